/**
 * Publishing in a real browser: the form, an upload that is cut, paused and gone on with, and what is published already.
 */
import test from 'ava';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {gzipSync} from 'node:zlib';
import {randomBytes} from 'node:crypto';
import {closeBrowser, openPage} from '../helpers/browser.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';
import {uuidOf} from './fake-data.js';
import {FakeServer} from './fake-server.js';

test.after.always(closeBrowser);

const broken = /ERR_|status of (?:409|422|404)/;

async function imageFile(t: Scope, bytes = 3_000_000): Promise<{readonly file: string; readonly content: Buffer}> {
	const content = gzipSync(randomBytes(bytes), {level: 1});
	const file = path.join(await tempDir(t), 'web-1.2.3.zfs.gz');
	await writeFile(file, content);
	return {file, content};
}

test.serial('a file and a form become an image, though the line is cut', async t => {
	const server = await FakeServer.start(t, {images: 200});
	const opened = await openPage(t, `${server.url}#/publish`, {expected: broken});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	const {file, content} = await imageFile(t);
	server.problemsOf = manifest =>
		manifest['name'] === 'w$b' ? [{field: 'name', code: 'Invalid', message: 'may have letters and digits'}] : [];
	await page.locator('#file').setInputFiles(file);
	t.is(await page.getByLabel('Name').inputValue(), 'web');
	t.is(await page.getByLabel('Version').inputValue(), '1.2.3');
	await page.getByText(', gzip, changed').waitFor();

	await page.getByLabel('Name').fill('w$b');
	await page.getByText('Something is missing or wrong.').waitFor();
	await page.getByRole('button', {name: 'Publish', exact: true}).click();
	await page.getByText('may have letters and digits').waitFor();
	t.is(await page.getByLabel('Name').getAttribute('aria-invalid'), 'true');
	t.false(server.requests.some(request => request.startsWith('POST uploads')));

	await page.getByLabel('Name').fill('wëb');
	await page.getByLabel('OS', {exact: true}).selectOption('linux');
	t.is(await page.getByLabel('Type').inputValue(), 'lx-dataset');
	await page.getByLabel('Description').fill('A web server');
	await page.getByLabel('Public').check();
	await page.getByLabel('Origin').pressSequentially('debian');
	await page.getByRole('listbox').getByRole('option').nth(1).waitFor();
	await page.keyboard.press('ArrowDown');
	await page.keyboard.press('Enter');
	t.regex(await page.getByLabel('Origin').inputValue(), /^debian-12 \d/);
	await page.getByText('Requirements and tags').click();
	await page.getByLabel('RAM at least').fill('512');
	await page.getByLabel('Tags').fill('role=web');
	await page.getByText('The mirror would take this manifest.').waitFor();

	server.tus.cuts = 2;
	await page.getByRole('button', {name: 'Publish', exact: true}).click();
	await page.getByText('is published').waitFor();
	await page.getByText(`imgadm import ${server.tus.image}`).waitFor();
	const [upload] = server.tus.uploads.values();
	t.true(upload?.bytes.equals(content));
	const origin = upload?.metadata.get('origin');
	t.true(server.rows.some(({uuid, name}) => uuid === origin && name === 'debian-12'));
	t.deepEqual(Object.fromEntries(upload?.metadata ?? []), {
		...{filename: 'web-1.2.3.zfs.gz', name: 'wëb', version: '1.2.3', public: 'true', type: 'lx-dataset', os: 'linux'},
		...{description: 'A web server', origin, 'requirements.min_ram': '512', 'tag.role': 'web'},
		...{compression: 'gzip', activate: 'true'},
	});
	t.is(await page.evaluate('localStorage.length'), 0, 'nothing is left to go on with');
	await page.getByRole('button', {name: 'Another one'}).click();
	await page.locator('#file').waitFor();
	t.deepEqual(problems, []);
});

test.serial('an upload is paused, survives a reload of the page, and can be given up', async t => {
	const server = await FakeServer.start(t, {images: 50});
	const opened = await openPage(t, `${server.url}#/publish`, {expected: broken});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	page.on('dialog', dialog => void dialog.accept());
	// Above one slice.
	const {file, content} = await imageFile(t, 20_000_000);
	let open = (): void => undefined;
	const isOpen = new Promise<void>(resolve => {
		open = resolve;
	});
	await page.locator('#file').setInputFiles(file);
	await page.getByText('The mirror would take this manifest.').waitFor();
	// Both slices may have come before a click is said to be over.
	[server.tus.gate, server.tus.ungated] = [isOpen, 1];
	await page.getByRole('button', {name: 'Publish', exact: true}).click();
	await server.until(() => server.tus.pieces.length === 1);
	await page.getByRole('button', {name: 'Pause'}).click();
	await page.getByText('Paused.').waitFor();
	await page.reload();
	open();
	await page.getByText('web 1.2.3 was not finished').waitFor();
	await page.locator('#file').setInputFiles(file);
	await page.getByText('This file is on its way already').waitFor();
	t.true(await page.getByLabel('Name').isDisabled());
	await page.getByRole('button', {name: 'Go on'}).click();
	await page.getByText('is published').waitFor();
	const [upload] = server.tus.uploads.values();
	t.is(server.tus.uploads.size, 1);
	t.true(upload?.bytes.equals(content));

	await page.getByRole('button', {name: 'Another one'}).click();
	server.tus.gate = new Promise(() => undefined);
	await page.locator('#file').setInputFiles(file);
	await page.getByText('The mirror would take this manifest.').waitFor();
	await page.getByRole('button', {name: 'Publish', exact: true}).click();
	await server.asked(/^PATCH uploads\/upload-2/);
	await page.getByRole('button', {name: 'Give up'}).click();
	await page.getByRole('dialog').getByRole('button', {name: 'Give up'}).click();
	await server.asked(/^DELETE uploads\/upload-2/);
	await page.locator('#file').waitFor();
	t.is(await page.evaluate('localStorage.length'), 0);
	t.deepEqual(problems, []);
});

test.serial('a file is dropped as well as chosen', async t => {
	const server = await FakeServer.start(t, {images: 50});
	const opened = await openPage(t, `${server.url}#/publish`);
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	await page.locator('.drop').waitFor();
	const dataTransfer = await page.evaluateHandle(`(() => {
		const transfer = new DataTransfer();
		transfer.items.add(new File([new Uint8Array([0x42, 0x5a, 0x68, 0x39])], 'base-64-lts-22.4.0.zfs.bz2'));
		return transfer;
	})()`);
	await page.locator('.drop').dispatchEvent('dragover', {dataTransfer});
	await page.locator('.drop.over').waitFor();
	await page.locator('.drop').dispatchEvent('drop', {dataTransfer});
	await page.getByText('4 B, bzip2, changed').waitFor();
	t.is(await page.getByLabel('Name').inputValue(), 'base-64-lts');
	t.is(await page.getByLabel('Version').inputValue(), '22.4.0');
	t.is(await page.locator('.drop.over').count(), 0);
	t.deepEqual(problems, []);
});

test.serial('what the mirror refuses is said at once, field by field', async t => {
	const server = await FakeServer.start(t, {images: 50});
	const opened = await openPage(t, `${server.url}#/publish`, {expected: broken});
	if (opened === undefined) {
		return;
	}
	const {page, problems} = opened;
	const {file} = await imageFile(t, 1000);
	server.tus.refusal = {
		status: 422,
		body: {
			code: 'ValidationFailed',
			message: 'the image is wrong',
			errors: [{field: 'homepage', code: 'Invalid', message: 'is no URL'}],
		},
	};
	await page.locator('#file').setInputFiles(file);
	await page.getByText('The mirror would take this manifest.').waitFor();
	await page.getByRole('button', {name: 'Publish', exact: true}).click();
	await page.getByText('The image is wrong.').waitFor();
	await page.getByText('homepage: is no URL').waitFor();
	await page.getByRole('button', {name: 'Back to the form'}).click();
	await page.locator('#file').waitFor();
	t.deepEqual(problems, []);
});

test.serial(
	'our own images are disabled, enabled, moved between channels and deleted, dependents shown before',
	async t => {
		const channels = [
			{name: 'dev', description: 'for tests', default: true as const},
			{name: 'release', description: 'for all'},
		];
		const server = await FakeServer.start(t, {images: 36, channels});
		const [ours] = server.rows.filter(({source, state}) => source === 'local' && state === 'active');
		if (ours === undefined) {
			t.fail('there is no image of our own');
			return;
		}
		const {uuid, name, version} = ours;
		server.rows = server.rows.map(row => (row.uuid === uuidOf(30) ? {...row, origin: uuid} : row));
		const opened = await openPage(t, `${server.url}#/publish`, {expected: broken});
		if (opened === undefined) {
			return;
		}
		const {page, problems} = opened;
		const dialog = page.getByRole('dialog');
		await page.getByRole('button', {name: `Disable ${name} ${version}`}).click();
		await dialog.getByRole('button', {name: 'Disable'}).click();
		await page.getByText('is disabled: it is in no usual list.').waitFor();
		t.true(server.requests.includes(`POST images/${uuid}?action=disable&channel=dev`));
		await page.getByRole('button', {name: `Enable ${name} ${version}`}).click();
		await page.getByText('is enabled').waitFor();
		await page.getByRole('button', {name: `Disable ${name} ${version}`}).waitFor();

		await page.getByLabel(`Add ${name} ${version} to a channel`).selectOption('release');
		await page.getByText('is in channel release now.').waitFor();
		t.deepEqual(server.bodies.at(-1)?.body, {channel: 'release'});
		await page.getByRole('button', {name: `Take ${name} ${version} out of dev`}).click();
		await dialog.getByText('It is in no other channel').waitFor();
		await dialog.getByRole('button', {name: 'Cancel'}).click();

		await page.getByRole('button', {name: `Delete ${name} ${version}`}).click();
		await dialog.getByText('1 image is built upon it').waitFor();
		t.true(await dialog.getByRole('button', {name: 'Delete'}).isDisabled());
		await dialog.getByRole('textbox').fill(name);
		await dialog.getByRole('button', {name: 'Delete'}).click();
		await page.getByText(`${name} ${version} is deleted.`).waitFor();
		t.true(server.requests.includes(`DELETE images/${uuid}?force_all_channels=true&channel=dev`));
		await page.getByRole('button', {name: `Delete ${name} ${version}`}).waitFor({state: 'detached'});
		t.deepEqual(problems, []);
	},
);
