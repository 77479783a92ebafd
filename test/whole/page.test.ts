/**
 * The page as a mirror really serves it, in a real browser: what the page's own tests try with a stand-in.
 */
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {gzipSync} from 'node:zlib';
import {randomBytes} from 'node:crypto';
import test from 'ava';
import {closeBrowser, openPage} from '../helpers/browser.js';
import {Imgadm} from '../helpers/imgadm.js';
import {makeImage, makeManifests} from '../helpers/make-image.js';
import {addUser} from '../helpers/run-command.js';
import {startMirror} from '../helpers/start-mirror.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';

test.after.always(closeBrowser);

const operator = {networks: [{cidrs: ['127.0.0.1'], may: ['operate']}]};
const views = ['images', 'now', 'sources', 'storage', 'publish'];

test.serial('every view of a mirror with 25,000 images, and of one with none, renders without a complaint', async t => {
	const upstream = await startUpstream(t, {images: makeManifests(25_000)});
	const full = await startMirror(t, {
		sources: [{name: 'up', url: upstream.url, type: 'imgapi'}],
		config: {access: operator},
	});
	const empty = await startMirror(t, {sources: [], config: {access: operator}});
	await full.until(({merged}) => merged === 25_000);
	for (const mirror of [full, empty]) {
		const opened = await openPage(t, `${mirror.url}/ui/#/images`);
		if (opened === undefined) {
			return;
		}
		const {page, problems} = opened;
		for (const view of views) {
			await page.goto(`${mirror.url}/ui/#/${view}`);
			await page.locator('h1').first().waitFor();
			await page.locator('[aria-busy=true]').first().waitFor({state: 'detached'});
		}
		await page.goto(`${mirror.url}/ui/#/images`);
		await page
			.getByText(mirror === full ? /25\s?000 images/u : /There are no images yet/)
			.first()
			.waitFor();
		t.deepEqual(problems, []);
		await page.close();
	}
});

test.serial('a transfer is watched from its start to its end, and the image is here then', async t => {
	const image = makeImage({name: 'watched', version: '4.5.6', size: 2_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 800_000});
	const mirror = await startMirror(t, {
		sources: [{name: 'up', url: upstream.url, type: 'imgapi'}],
		config: {access: operator},
	});
	await mirror.get('/images');
	const opened = await openPage(t, `${mirror.url}/ui/#/now`);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	const list = page.getByRole('region', {name: 'Transfers'});
	await list.waitFor();
	const client = mirror.file(image);
	await upstream.reached(800_000);
	const bar = list.getByRole('progressbar');
	await bar.waitFor();
	await list.getByText('watched').first().waitFor();
	upstream.release();
	t.true((await client).body.equals(image.bytes));
	await bar.waitFor({state: 'detached'});
	await page.goto(`${mirror.url}/ui/#/images?image=${image.uuid}`);
	await page.getByText(`imgadm import ${image.uuid}`).waitFor();
	t.deepEqual(problems, []);
});

test.serial('an image is published on the page by somebody who logs in there, and then imported by imgadm', async t => {
	const mirror = await startMirror(t, {sources: []});
	await addUser(mirror.data, 'alice', 'secret-enough', 'publish');
	const opened = await openPage(t, `${mirror.url}/ui/#/publish`, {expected: /status of 40[13]/});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page
		.getByRole('button', {name: /log in/i})
		.first()
		.click();
	await page.getByLabel('Name (empty with a token)').fill('alice');
	await page.getByLabel('Password, or a token').fill('secret-enough');
	await page
		.getByRole('dialog')
		.getByRole('button', {name: /log in/i})
		.click();
	const content = gzipSync(randomBytes(1_500_000), {level: 1});
	const file = path.join(await tempDir(t), 'web-1.2.3.zfs.gz');
	await writeFile(file, content);
	await page.locator('#file').setInputFiles(file);
	await page.getByText('The mirror would take this manifest.').waitFor();
	await page.getByRole('button', {name: 'Publish', exact: true}).click();
	await page.getByText('is published').waitFor();
	const line = await page
		.getByText(/imgadm import [0-9a-f-]{36}/)
		.first()
		.textContent();
	const uuid = /[0-9a-f-]{36}/.exec(line ?? '')?.[0] ?? '';
	const imported = await new Imgadm(mirror.url).import(uuid);
	t.true(imported.at(-1)?.file.equals(content));
	t.deepEqual(problems, []);
});
