/**
 * Every view looked at by axe-core, in light, in dark and on a phone; and that nothing is wider than a phone.
 */
import test from 'ava';
import {accessibilityFindings, closeBrowser, openPage} from '../helpers/browser.js';
import {uuidOf} from './fake-data.js';
import {FakeServer} from './fake-server.js';

test.after.always(closeBrowser);

/** What has to be seen before a view is there. */
const views: readonly (readonly [view: string, seen: string])[] = [
	['images', '.row'],
	[`images?image=${uuidOf(2)}`, '.tree'],
	['now', '.chart canvas'],
	['sources', '.strip'],
	['storage', '.tile'],
	['publish', '.ours'],
];

for (const [name, options] of [
	['light', {}],
	['dark', {colours: 'dark'}],
	['on a phone', {width: 360, height: 740}],
] as const) {
	test.serial(`no view has a serious fault, ${name}`, async t => {
		const server = await FakeServer.start(t, {
			images: 400,
			channels: [{name: 'dev', description: '', default: true}],
		});
		const opened = await openPage(t, server.url, {...options, ignorePolicy: true});
		if (opened === undefined) {
			return;
		}
		const {page, problems} = opened;
		for (const [view, seen] of views) {
			await page.goto(`${server.url}#/${view}`);
			await page.locator(seen).first().waitFor();
			t.deepEqual(await accessibilityFindings(opened), [], view);
			const width = await page.evaluate<number>('document.documentElement.scrollWidth');
			t.true(width <= (await page.evaluate<number>('innerWidth')), `${view} is ${width} wide`);
		}
		await page.getByRole('button', {name: 'Log in'}).click();
		t.deepEqual(await accessibilityFindings(opened), [], 'the login');
		t.deepEqual(problems, []);
	});
}

test.serial('no view has a serious fault where there is nothing, or where it fails', async t => {
	const server = await FakeServer.start(t, {images: 0});
	const opened = await openPage(t, server.url, {ignorePolicy: true, expected: /status of 500|ERR_/});
	if (opened === undefined) {
		return;
	}
	const {page} = opened;
	for (const view of ['images', 'now', 'sources', 'storage', 'publish']) {
		await page.goto(`${server.url}#/${view}`);
		await page.locator('.empty').first().waitFor();
		t.deepEqual(await accessibilityFindings(opened), [], view);
	}
	server.fail = {mirror: 500};
	for (const view of ['now', 'storage']) {
		await page.goto(`${server.url}#/${view}`);
		await page.getByRole('alert').first().waitFor();
		t.deepEqual(await accessibilityFindings(opened), [], `${view}, failing`);
	}
	t.deepEqual(opened.problems, []);
});
