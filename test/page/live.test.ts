/**
 * What changes while one looks: events, a mirror that goes away and comes back, logging in and out.
 */
import test from 'ava';
import {closeBrowser, openPage} from '../helpers/browser.js';
import {uuidOf} from './fake-data.js';
import {FakeServer} from './fake-server.js';

test.after.always(closeBrowser);

const image = {uuid: uuidOf(5), name: 'postgresql', version: '20.0.5', public: true};
const away = /ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE|status of (?:401|404|503)/;

test.serial('a transfer is watched from its beginning to its end', async t => {
	const server = await FakeServer.start(t, {images: 100});
	const opened = await openPage(t, `${server.url}#/now`);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	const list = page.getByRole('region', {name: 'Transfers'});
	const [, transfer] = server.transfers;
	await list.getByText('from smartos, 10 clients').waitFor();
	await server.until(() => server.readers === 1);
	server.transfers = [];
	server.emit('transfer.ended', {image});
	await list.getByText('No file is on its way.').waitFor();
	t.truthy(transfer);
	for (const share of [0.1, 0.5, 0.9]) {
		const written = Math.round((transfer?.size ?? 0) * share);
		server.transfers = transfer === undefined ? [] : [{...transfer, written}];
		server.emit(share < 0.2 ? 'transfer.begun' : 'transfer.progress', {image, bytes: written});
		await list.getByText(`, ${Math.round(share * 100)} %,`).waitFor();
		t.is(await list.getByRole('progressbar').getAttribute('aria-valuenow'), String(Math.floor(share * 100)));
	}
	server.transfers = [];
	server.emit('transfer.ended', {image, source: 'smartos', bytes: 59_595_000});
	server.emit('image.cached', {image, bytes: 59_595_000});
	await list.getByText('No file is on its way.').waitFor();
	const log = page.getByRole('list', {name: 'Events'});
	await log.getByText('postgresql 20.0.5 has arrived from smartos, 59.6 MB').waitFor();
	await log.getByText('postgresql 20.0.5 is here, 59.6 MB').waitFor();
	t.is(await log.getByRole('listitem').count(), 4, 'progress is not worth a line');
	t.deepEqual(problems, []);
});

test.serial('rows follow events one by one, many at once as a whole list', async t => {
	const server = await FakeServer.start(t, {images: 100});
	const opened = await openPage(t, `${server.url}#/images?q=postgresql+20.0.5`);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	const row = page.locator('.row').first();
	await row.getByText('away').waitFor();
	await server.until(() => server.readers === 1);
	const lists = (): number => server.requests.filter(request => request === 'GET mirror/images').length;
	t.is(lists(), 1);
	server.change(uuidOf(5), {here: 'here', pinned: true});
	server.emit('image.cached', {image});
	await row.getByText('here').waitFor();
	await row.getByText('pinned').waitFor();
	t.is(lists(), 1, 'one image is asked for alone');
	server.change(uuidOf(5), {pinned: false});
	for (const {uuid, name, version} of server.rows.slice(0, 40)) {
		server.emit('image.unpinned', {image: {uuid, name, version, public: true}});
	}
	await row.getByText('pinned').waitFor({state: 'detached'});
	t.is(lists(), 2);
	t.true(server.requests.filter(request => request.startsWith('GET mirror/images/')).length < 20);
	server.rows = server.rows.slice(0, 5);
	server.emit('catalog.changed');
	await page.getByText('No image fits.').waitFor();
	t.deepEqual(problems, []);
});

test.serial('a mirror that went away is noticed, waited for, and everything is asked again', async t => {
	const server = await FakeServer.start(t, {images: 100});
	const opened = await openPage(t, `${server.url}#/images`, {expected: away});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByText('100 images').waitFor();
	await page.getByTitle('What happens is shown at once').waitFor();
	await server.stop();
	await page.getByText('The mirror does not answer.').waitFor();
	server.rows = server.rows.slice(0, 70);
	await server.listen();
	await page.getByText('70 images').waitFor();
	await page.getByText('The mirror does not answer.').waitFor({state: 'detached'});
	t.deepEqual(problems, []);
});

test.serial('a stream that is refused for a while is tried again by ourselves', async t => {
	const server = await FakeServer.start(t, {images: 50, fail: {events: 503}});
	const opened = await openPage(t, `${server.url}#/images`, {expected: away});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByText('The mirror does not answer.').waitFor();
	server.fail = {};
	await page.getByRole('button', {name: 'Try now'}).click();
	await page.getByTitle('What happens is shown at once').waitFor();
	await page.locator('.banner').waitFor({state: 'detached'});
	t.deepEqual(problems, []);
});

test.serial('where the mirror answers but its events do not come, it is asked instead', async t => {
	const server = await FakeServer.start(t, {images: 50, fail: {events: 503}});
	const opened = await openPage(t, `${server.url}#/images`, {expected: away, hasOwnClock: true});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByText('50 images').waitFor();
	server.rows = server.rows.slice(0, 47);
	for (const tries of [1, 2]) {
		await server.until(() => server.requests.filter(request => request === 'GET events').length >= tries);
		await page.locator('.banner').waitFor();
		await page.clock.runFor(31_000);
	}
	await page.getByText('Events do not get through').waitFor();
	await page.clock.runFor(6000);
	await page.getByText('47 images').waitFor();
	t.deepEqual(problems, []);
});

test.serial('a mirror that does not say who one is is asked again', async t => {
	const server = await FakeServer.start(t, {images: 50, fail: {session: 500}});
	const opened = await openPage(t, `${server.url}#/images`, {expected: /status of 500/});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByText('The test says 500.').first().waitFor();
	server.fail = {};
	await page.getByRole('button', {name: 'Try now'}).click();
	await page.getByRole('columnheader', {name: 'Source'}).waitFor();
	t.deepEqual(problems, []);
});

test.serial('who cannot be told what was missed asks for everything', async t => {
	const server = await FakeServer.start(t, {images: 50});
	const opened = await openPage(t, `${server.url}#/images`);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByText('50 images').waitFor();
	await server.until(() => server.readers === 1);
	server.rows = server.rows.slice(0, 30);
	server.write('id: other-1\nevent: reset\ndata: {}\n\n');
	await page.getByText('30 images').waitFor();
	t.deepEqual(problems, []);
});

test.serial('logging in shows what strangers do not see, logging out hides it', async t => {
	const server = await FakeServer.start(t, {images: 100, rights: ['read']});
	const opened = await openPage(t, `${server.url}#/storage`, {expected: away});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByText('are shown to those with the right').waitFor();
	server.hasUsers = false;
	await page.reload();
	await page.getByRole('button', {name: 'Log in'}).click();
	await page.getByText('Nobody can log in yet.').waitFor();
	const dialog = page.getByRole('dialog', {name: 'Log in'});
	await dialog.getByLabel('Name').fill('alice');
	await dialog.getByLabel('Password').fill('wrong');
	await page.keyboard.press('Enter');
	await dialog.getByText('The name or the password is wrong.').waitFor();
	await dialog.getByLabel('Password').fill('secret');
	await page.keyboard.press('Enter');
	await page.getByRole('heading', {name: 'By name'}).waitFor();
	await page.getByText('Logged in as alice.').waitFor();
	await server.until(() => server.readers === 1);
	await page.getByRole('button', {name: 'Log out'}).click();
	await page.getByText('are shown to those with the right').waitFor();
	t.deepEqual(problems, []);
});

test.serial('a login that has ended is noticed with the first refusal', async t => {
	const server = await FakeServer.start(t, {images: 100});
	const opened = await openPage(t, `${server.url}#/images?image=${uuidOf(5)}`, {expected: away});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByRole('button', {name: 'Prefetch'}).waitFor();
	server.loginEndsAt = /action=pin/;
	await page.getByRole('button', {name: 'Pin', exact: true}).click();
	await page.getByText(/Log in with an account that may do this/).waitFor();
	await page.getByText('Log in to see what is here').waitFor();
	t.is(await page.getByRole('button', {name: 'Prefetch'}).count(), 0);
	t.deepEqual(problems, []);
});

test.serial('what changes between the drawing and the listening is drawn all the same', async t => {
	const server = await FakeServer.start(t, {images: 10});
	const opened = await openPage(t, server.url);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.locator('.row').first().waitFor();
	await page.evaluate(`(async () => {
		const [{Cell, useCell}, {html, render, useLayoutEffect}] = await Promise.all(
			['cell.js', 'html.js'].map(name => import(new URL(name, location.href))));
		const cell = new Cell('before');
		const Shown = () => {
			const value = useCell(cell);
			useLayoutEffect(() => cell.set('after'), []);
			return html\`<p>\${value}</p>\`;
		};
		const place = Object.assign(document.createElement('div'), {id: 'shown'});
		document.body.append(place);
		render(html\`<\${Shown} />\`, place);
	})()`);
	await page.locator('#shown').getByText('after').waitFor();
	t.deepEqual(problems, []);
});
