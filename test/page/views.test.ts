/**
 * Every view in a real browser: with 25,000 images, with none, and when the mirror fails.
 */
import test from 'ava';
import {closeBrowser, openPage} from '../helpers/browser.js';
import {FakeServer} from './fake-server.js';

test.after.always(closeBrowser);

const views = ['images', 'now', 'sources', 'storage', 'publish'] as const;

test.serial('every view shows what a full mirror has', async t => {
	const server = await FakeServer.start(t, {images: 25_000});
	const opened = await openPage(t, server.url);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	const expected: Readonly<Record<(typeof views)[number], readonly string[]>> = {
		images: ['25\u202f000 images'],
		now: ['3 files on the way', 'To clients', 'the transfer of imgapi 20.0.3 from triton failed: cut off after 31 MB'],
		sources: ['connect timed out after 10 s', 'the newest 2 of each name', 'smartos has 111111111111', 'Held back'],
		storage: ['the least recently used go first', 'orgbase', 'da39a3ee5e6b4b0d3255bfef95601890afd80709', 'limit'],
		publish: ['Drop the file of the image here', 'Published here', 'orgbase'],
	};
	for (const view of views) {
		await page.goto(`${server.url}#/${view}`);
		for (const text of expected[view]) {
			await page.getByText(text).first().waitFor();
		}
	}
	t.is(await page.locator('table.ours tbody tr').count(), 50);
	t.deepEqual(problems, []);
});

test.serial('charts are drawn, over one hour or a day, in the colours of the theme', async t => {
	const server = await FakeServer.start(t, {images: 100});
	const opened = await openPage(t, `${server.url}#/now`);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.locator('.chart canvas').nth(3).waitFor();
	await page.getByRole('group', {name: 'How many hours'}).getByRole('button', {name: '24 h'}).click();
	await server.asked(/hours=24/);
	await page.locator('.chart figcaption p', {hasText: 'TB'}).first().waitFor();
	const [colours, others] = [await coloursOf(), await coloursAfter('Dark')];
	t.true(colours.length > 3, 'something is drawn');
	t.notDeepEqual(colours, others);
	t.is(await page.evaluate('document.documentElement.dataset.theme'), 'dark');
	await page.reload();
	await page.locator('.chart canvas').nth(3).waitFor();
	t.is(await page.evaluate('document.documentElement.dataset.theme'), 'dark', 'it is remembered');
	await page.locator('.chart-frame').first().hover();
	await page.locator('.legend b', {hasText: '/s'}).first().waitFor();
	t.deepEqual(problems, []);

	async function coloursAfter(name: string): Promise<readonly string[]> {
		await page.getByRole('button', {name, exact: true}).click();
		await page.locator('.chart canvas').nth(3).waitFor();
		return coloursOf();
	}

	function coloursOf(): Promise<readonly string[]> {
		return page.evaluate(`(() => {
			const canvas = document.querySelector('canvas');
			const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
			const found = new Set();
			for (let at = 0; at < data.length; at += 4) {
				if (data[at + 3] === 255) {
					found.add([data[at], data[at + 1], data[at + 2]].join());
				}
			}
			return [...found].slice(0, 50);
		})()`);
	}
});

test.serial('every view says what it is that there is none of', async t => {
	const server = await FakeServer.start(t, {images: 0});
	const opened = await openPage(t, server.url);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	const expected: Readonly<Record<(typeof views)[number], readonly string[]>> = {
		images: ['There are no images yet.'],
		now: ['No file is on its way.', 'Nothing has failed lately.', 'Nothing to draw yet'],
		sources: ['No source is configured', 'No rule is configured', 'All sources agree'],
		storage: ['The disk holds no files of images yet.', 'Empty: nothing has failed verification', 'there is room'],
		publish: ['Nothing has been published here yet.'],
	};
	for (const view of views) {
		await page.goto(`${server.url}#/${view}`);
		for (const text of expected[view]) {
			await page.getByText(text).first().waitFor();
		}
	}
	t.deepEqual(problems, []);
});

test.serial('a mirror that fails is said to, and asked again when somebody wants it', async t => {
	const server = await FakeServer.start(t, {images: 40, fail: {mirror: 500, images: 500}});
	const opened = await openPage(t, server.url, {expected: /status of 500/});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	for (const view of views) {
		await page.goto(`${server.url}#/${view}`);
		await page.getByRole('alert').filter({hasText: 'The test says 500.'}).first().waitFor();
	}
	await page.goto(`${server.url}#/images`);
	server.fail = {};
	await page.getByRole('button', {name: 'Try again'}).click();
	await page.getByText('40 images').waitFor();
	t.deepEqual(problems, []);
});

test.serial('sources are read again and rules run when an operator says so', async t => {
	const server = await FakeServer.start(t, {images: 40});
	const opened = await openPage(t, `${server.url}#/sources`);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByRole('button', {name: 'Refresh triton'}).click();
	await server.asked(/^POST mirror\/refresh\?source=triton$/);
	await page.getByText('1 source was read again.').waitFor();
	await page.getByRole('button', {name: 'Refresh all'}).click();
	await server.asked(/^POST mirror\/refresh$/);
	await page.getByRole('button', {name: 'Run now: rule linux'}).click();
	await server.asked(/^POST mirror\/prefetch\/run\?rule=linux$/);
	await page.getByText('Rule linux runs.').waitFor();
	t.regex(
		(await page.getByRole('article', {name: 'triton'}).getByRole('img').getAttribute('aria-label')) ?? '',
		/^Up 9\d % of the last day, down 2 times$/,
	);
	t.deepEqual(problems, []);
});

test.serial('files are verified on demand, and what is wrong is named', async t => {
	const server = await FakeServer.start(t, {images: 60});
	const opened = await openPage(t, `${server.url}#/storage`);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.getByRole('button', {name: 'Verify all files'}).click();
	await page.getByText('1 wrong, 0 unreadable. file 222222222222: wrong, being fetched anew').waitFor();
	t.deepEqual(server.bodies.at(-1), {request: 'POST mirror/verify', body: {}});
	// The treemap and the table say the same.
	const first = await page.locator('.tile').first().locator('.tile-name, .tile-size').allTextContents();
	await page.getByText('The same as a table').click();
	const cells = await page
		.locator('table', {has: page.getByText('Files', {exact: true})})
		.locator('tbody tr')
		.first()
		.locator('td')
		.allTextContents();
	t.deepEqual(first, [cells[0]?.trim(), cells[2]]);
	await page.locator('.tile').first().click();
	await page.getByRole('region', {name: new RegExp(`^${cells[0]?.trim() ?? ''}: `)}).waitFor();
	t.deepEqual(problems, []);
});
