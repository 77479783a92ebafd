import {createHash} from 'node:crypto';
import {readFile, readdir, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {Imgadm} from '../helpers/imgadm.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {imgmirror, type Ran, type RunOptions} from '../helpers/run-command.js';
import {startMirror, type TestMirror} from '../helpers/start-mirror.js';
import {startUpstream, type Upstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';
import {fetched, operator} from '../mirror/site.js';

interface Report {
	readonly imported: number;
	readonly updated: number;
	readonly there: number;
	readonly failed: number;
	readonly images: readonly {readonly uuid: string; readonly outcome: string; readonly problem?: string}[];
}

/** A mirror, and the command line of whoever looks after it. */
interface Side {
	readonly mirror: TestMirror;
	readonly run: (args: readonly string[], options?: RunOptions) => Promise<Ran>;
	readonly ok: (...args: readonly string[]) => Promise<string>;
}

const isolated = {sources: [], config: {access: operator, store: {minFree: '0'}}};

function sideOf(mirror: TestMirror): Side {
	const run: Side['run'] = (args, options = {}) =>
		imgmirror([...args, '--url', mirror.url], {...options, env: {NO_COLOR: '1', ...options.env}});
	return {
		mirror,
		run,
		async ok(...args) {
			const ran = await run(args);
			if (ran.code !== 0) {
				throw new Error(`${args.join(' ')}: exit ${String(ran.code)}\n${ran.stderr}${ran.stdout}`);
			}
			return ran.stdout;
		},
	};
}

async function startFar(t: ExecutionContext, config: object = {}): Promise<Side> {
	return sideOf(await startMirror(t, {...isolated, config: {...isolated.config, ...config}}));
}

async function startNear(
	t: ExecutionContext,
	images: readonly TestImage[],
): Promise<Side & {readonly upstream: Upstream}> {
	const upstream = await startUpstream(t, {images});
	const sources = [{name: 'up', url: upstream.url, type: 'imgapi', listTtl: '1s'}];
	return {...sideOf(await startMirror(t, {...isolated, sources})), upstream};
}

/** Three origins, the lowest of them disabled, as in images that grew over the years. */
function makeChain(): readonly [TestImage, TestImage, TestImage, TestImage] {
	const base = makeImage({name: 'base', size: 120_000, state: 'disabled', public: false});
	const middle = makeImage({name: 'middle', size: 90_000, origin: base, compression: 'none'});
	const upper = makeImage({name: 'upper', size: 70_000, origin: middle, compression: 'xz'});
	const web = makeImage({
		name: 'web',
		size: 110_000,
		origin: upper,
		icon: Buffer.from('\u0089PNG web'),
		extra: {x_odd: {'7': 1e21}},
	});
	return [base, middle, upper, web];
}

async function trustEachOther(near: Side, far: Side): Promise<void> {
	await near.ok('key', 'new', '--comment', 'near');
	await far.ok('key', 'trust', (await near.ok('key', 'show')).trim());
}

async function imported(far: Side, ...args: readonly string[]): Promise<Report> {
	const ran = await far.run(['import', ...args, '-j']);
	return JSON.parse(ran.stdout) as Report;
}

async function serves(t: ExecutionContext, {mirror}: Side, image: TestImage): Promise<void> {
	t.is((await mirror.get(`/images/${image.uuid}`)).text, image.pretty);
	const file = await mirror.file(image);
	t.is(file.status, 200, file.text.slice(0, 200));
	t.true(file.body.equals(image.bytes));
	t.is(file.headers['content-length'], String(image.size));
}

/** Everything below a folder, by name. */
async function contentOf(folder: string): Promise<ReadonlyMap<string, string>> {
	const names = (await readdir(folder, {recursive: true})).sort();
	const content = new Map<string, string>();
	for (const name of names) {
		if ((await stat(path.join(folder, name))).isFile()) {
			content.set(
				name,
				createHash('sha256')
					.update(await readFile(path.join(folder, name)))
					.digest('hex'),
			);
		}
	}
	return content;
}

test('an empty site without a line gets a chain of four, its lowest disabled, with the near side switched off', async t => {
	const chain = makeChain();
	const [base, , , web] = chain;
	const other = makeImage({name: 'other'});
	const near = await startNear(t, [...chain, other]);
	const far = await startFar(t);
	await trustEachOther(near, far);
	const bundle = path.join(await tempDir(t), 'bundle');
	await near.ok('export', '--name', 'web', '--to', bundle);
	const list = (await near.mirror.get('/images?name=~e')).text;
	await near.mirror.stop();
	await near.upstream.close();

	const report = await imported(far, bundle);
	t.like(report, {imported: 4, updated: 0, there: 0, failed: 0});
	for (const image of chain) {
		await serves(t, far, image);
	}
	const icon = await far.mirror.get(`/images/${web.uuid}/icon`);
	t.is(icon.text, '\u0089PNG web');
	const names = ((await far.mirror.get('/images')).json() as readonly {name: string}[]).map(({name}) => name);
	t.deepEqual(names, ['middle', 'upper', 'web'], 'what was disabled is in no list, as before');
	t.true(list.includes(web.uuid));
	const installed = await new Imgadm(far.mirror.url).import(web.uuid);
	t.is(installed.length, 4);
	t.true(installed.some(({uuid, file}) => uuid === base.uuid && file.equals(base.bytes)));

	const status = (await far.mirror.get('/status')).json() as {readonly warnings?: readonly string[]};
	t.deepEqual(status.warnings ?? [], []);
	const ready = await far.mirror.get('/health/ready');
	t.true([200, 204].includes(ready.status) || ready.status === 404, ready.text);
	t.deepEqual(
		far.mirror.host.lines.filter(({level}) => level >= 40),
		[],
	);

	const again = await imported(far, bundle);
	t.like(again, {imported: 0, updated: 0, there: 4, failed: 0});
	const restarted = sideOf(await far.mirror.restart());
	await serves(t, restarted, web);
	await serves(t, restarted, base);
	const evicted = await restarted.run(['evict', web.uuid, '--force']);
	t.is(evicted.code, 1, 'what came by hand is only deleted');
	await serves(t, restarted, web);
});

test('the same images make the same bytes, as folder and as tar, now and on the next mirror', async t => {
	const chain = makeChain();
	const near = await startNear(t, chain);
	const far = await startFar(t, {bundles: {allowUnsigned: true}});
	const folder = await tempDir(t);
	const at = (name: string): string => path.join(folder, name);
	await near.ok('export', '--name', 'web', '--to', at('one'));
	await near.ok('export', chain[3].uuid, chain[0].uuid, '--to', at('two'));
	t.deepEqual(await contentOf(at('two')), await contentOf(at('one')));
	await near.ok('export', '--name', 'w*', '--to', at('one.tar'));
	const piped = await near.mirror.get('/export?name=web');
	t.is(piped.status, 200);
	t.true(piped.body.equals(await readFile(at('one.tar'))));
	t.is(piped.headers['content-length'], String(piped.bytes));
	const part = await near.mirror.get('/export?name=web', {
		headers: {range: 'bytes=1000-70000', 'if-range': String(piped.headers['etag'])},
	});
	t.is(part.status, 206);
	t.true(part.body.equals(piped.body.subarray(1000, 70_001)));

	await far.ok('import', at('one.tar'));
	await far.ok('export', '--all', '--to', at('back'));
	t.deepEqual(await contentOf(at('back')), await contentOf(at('one')));
	t.like(await imported({...near, run: near.run}, at('back'), '--allow-unsigned'), {failed: 0});
});

test('two sites hand bundles to each other in a circle, and nobody has anything twice', async t => {
	const [base, middle, upper, web] = makeChain();
	const near = await startNear(t, [base, middle, upper, web]);
	const [left, right] = [await startFar(t), await startFar(t)];
	const folder = await tempDir(t);
	for (const side of [near, left, right]) {
		await side.ok('key', 'new', '--comment', 'a site');
	}
	for (const side of [left, right]) {
		for (const other of [near, left, right]) {
			await side.ok('key', 'trust', (await other.ok('key', 'show')).trim());
		}
	}
	await near.ok('export', '--name', 'web', '--to', path.join(folder, 'start'));
	const own = await left.mirror.get('/publish?name=own&version=1', {method: 'POST', body: makeImage().bytes});
	const {uuid: ownUuid} = own.json() as {uuid: string};
	t.like(await imported(left, path.join(folder, 'start')), {imported: 4});
	const list = async ({mirror}: Side): Promise<string> => (await mirror.get('/images')).text;
	const files = async ({mirror}: Side): Promise<unknown> =>
		((await mirror.get('/status')).json() as {store: {files: number; bytes: number}}).store.files;
	let [from, to] = [left, right];
	for (let round = 0; round < 4; round++) {
		const bundle = path.join(folder, `round-${round}`);
		await from.ok('export', '--all', '--to', bundle);
		t.like(await imported(to, bundle), round === 0 ? {imported: 5, failed: 0} : {imported: 0, there: 5, failed: 0});
		[from, to] = [to, from];
	}
	t.is(await list(right), await list(left));
	t.is((await right.mirror.get(`/images/${ownUuid}`)).text, (await left.mirror.get(`/images/${ownUuid}`)).text);
	t.deepEqual([await files(left), await files(right)], [5, 5]);
});

test('a delta has only what is lacking: by what the far side says it has, or by the last bundle', async t => {
	const [base, middle, upper, web] = makeChain();
	const near = await startNear(t, [base, middle, upper]);
	const far = await startFar(t);
	await trustEachOther(near, far);
	const folder = await tempDir(t);
	const at = (name: string): string => path.join(folder, name);
	await near.ok('export', '--name', 'upper', '--to', at('first'));
	await far.ok('import', at('first'));

	near.upstream.add(web);
	const changed = makeImage({
		...{uuid: middle.uuid, name: 'middle', bytes: middle.bytes, origin: base},
		compression: 'none',
		description: 'other words',
		publishedAt: String(middle.manifest['published_at']),
	});
	near.upstream.add(changed);
	near.mirror.ahead(2 * 3_600_000);
	await near.ok('refresh');
	await far.ok('have', '--to', at('have'));
	for (const [name, since] of [
		['by-have', ['--have', at('have')]],
		['by-bundle', ['--since', at('first')]],
	] as const) {
		await near.ok('export', '--name', '*', '--to', at(name), ...since);
		const layers = [...(await contentOf(at(name))).keys()].filter(file => file.endsWith(web.sha256));
		t.is(layers.length, 1, name);
		t.false(
			[...(await contentOf(at(name))).keys()].some(file => file.endsWith(base.sha256)),
			name,
		);
		t.false(
			[...(await contentOf(at(name))).keys()].some(file => file.endsWith(middle.sha256)),
			name,
		);
	}
	t.deepEqual(await contentOf(at('by-bundle')), await contentOf(at('by-have')));
	t.like(await imported(far, at('by-have')), {imported: 1, updated: 1, failed: 0});
	await serves(t, far, web);
	await serves(t, far, changed);
	await far.ok('have', '--to', at('have-2'));
	const nothing = await near.run(['export', '--name', '*', '--to', at('nothing'), '--have', at('have-2')]);
	t.is(nothing.code, 0, nothing.stderr);
	t.regex(nothing.stdout + nothing.stderr, /nothing|there/i);
});

test('a broken file spoils its image and what is built upon it, and nothing else; the next bundle mends it', async t => {
	const [base, middle, upper, web] = makeChain();
	const other = makeImage({name: 'other'});
	const near = await startNear(t, [base, middle, upper, web, other]);
	const far = await startFar(t, {bundles: {allowUnsigned: true}});
	const bundle = path.join(await tempDir(t), 'bundle');
	await near.ok('export', web.uuid, other.uuid, '--to', bundle);
	const file = path.join(bundle, 'blobs/sha256', upper.sha256);
	const bytes = await readFile(file);
	bytes[40_000] = (bytes[40_000] ?? 0) ^ 1;
	await writeFile(file, bytes);

	const report = await imported(far, bundle);
	t.like(report, {imported: 3, failed: 2});
	t.deepEqual(
		report.images
			.filter(({outcome}) => outcome === 'failed')
			.map(({uuid}) => uuid)
			.sort(),
		[upper.uuid, web.uuid].sort(),
	);
	t.true(report.images.some(({uuid, problem}) => uuid === web.uuid && (problem ?? '').includes(upper.uuid)));
	for (const image of [base, middle, other]) {
		await serves(t, far, image);
	}
	for (const image of [upper, web]) {
		t.is((await far.mirror.get(`/images/${image.uuid}`)).status, 404);
	}
	t.is((await imgmirror(['bundle', 'verify', bundle])).code, 1);
	await rm(file);
	await near.ok('export', web.uuid, other.uuid, '--to', bundle);
	t.is((await imgmirror(['bundle', 'verify', bundle])).code, 0);
	t.like(await imported(far, bundle), {imported: 2, there: 3, failed: 0});
	await serves(t, far, web);
});

test('who has not signed is not let in, nor who is not trusted; what was changed after signing never', async t => {
	const image = makeImage({name: 'one'});
	const near = await startNear(t, [image]);
	const far = await startFar(t);
	const folder = await tempDir(t);
	const at = (name: string): string => path.join(folder, name);
	await near.ok('export', '--name', 'one', '--to', at('unsigned'));
	const refused = await far.run(['import', at('unsigned')]);
	t.is(refused.code, 1);
	t.regex(refused.stderr, /signed/);
	t.regex(refused.stderr, /--allow-unsigned/);
	await near.ok('key', 'new', '--comment', 'near');
	await near.ok('export', '--name', 'one', '--to', at('signed.tar'));
	const foreign = await far.run(['import', at('signed.tar')]);
	t.is(foreign.code, 1);
	t.regex(foreign.stderr, /SHA256:[\w+/]+/);
	t.regex(foreign.stderr, /key trust/);
	t.is(((await far.mirror.get('/images')).json() as unknown[]).length, 0);
	await far.ok('key', 'trust', (await near.ok('key', 'show')).trim());
	await near.ok('export', '--name', 'one', '--to', at('signed'));
	const index = await readFile(path.join(at('signed'), 'index.json'), 'utf8');
	await writeFile(path.join(at('signed'), 'index.json'), index.replace('"one"', '"two"'));
	for (const more of [[], ['--allow-unsigned']]) {
		const changed = await far.run(['import', at('signed'), ...more]);
		t.is(changed.code, 1);
		t.regex(changed.stderr, /changed/);
	}
	t.is(((await far.mirror.get('/images')).json() as unknown[]).length, 0);
	await far.ok('import', at('signed.tar'));
	await serves(t, far, image);
});

test('split for sticks, by pipe, compressed, and over HTTP: it all comes in', async t => {
	const chain = makeChain();
	const near = await startNear(t, chain);
	const folder = await tempDir(t);
	const at = (name: string): string => path.join(folder, name);
	await near.ok('export', '--name', 'web', '--to', at('b.tar'), '--split', '100kB');
	const parts = (await readdir(folder)).filter(name => name.startsWith('b.tar.')).sort();
	t.true(parts.length >= 4, parts.join());
	const whole = await near.mirror.get('/export?name=web');
	t.true(Buffer.concat(await Promise.all(parts.map(name => readFile(at(name))))).equals(whole.body));
	await writeFile(at('whole.tar'), whole.body);
	const {gzipSync} = await import('node:zlib');
	const gzipped = gzipSync(whole.body);
	await writeFile(at('whole.tgz'), gzipped);
	const ways: readonly (readonly [string, (far: Side) => Promise<unknown>])[] = [
		['parts', far => far.ok('import', at('b.tar'), '--allow-unsigned')],
		['parts named', far => far.ok('import', ...parts.map(at), '--allow-unsigned')],
		['tar', far => far.ok('import', at('whole.tar'), '--allow-unsigned')],
		['gzip', far => far.ok('import', at('whole.tgz'), '--allow-unsigned')],
		['pipe', far => far.run(['import', '-', '--allow-unsigned'], {input: whole.body})],
		['pipe of gzip', far => far.run(['import', '-', '--allow-unsigned'], {input: gzipped})],
		['http', far => far.mirror.get('/import?allowUnsigned=true', {method: 'PUT', body: whole.body})],
	];
	for (const [name, bring] of ways) {
		const far = await startFar(t);
		await bring(far);
		for (const image of chain) {
			t.is((await far.mirror.get(`/images/${image.uuid}`)).text, image.pretty, name);
		}
		await serves(t, far, chain[3]);
	}
});

test('a source that has never answered is not asked whether it has an origin', async t => {
	const [base, middle] = makeChain();
	const near = await startNear(t, [base, middle]);
	const folder = await tempDir(t);
	await near.ok('export', '--name', 'middle', '--no-origins', '--to', path.join(folder, 'b'));
	const lost = await startUpstream(t, {state: 'blackhole'});
	const config = {...isolated.config, sourceDefaults: {headerTimeout: '10m'}};
	const far = sideOf(await startMirror(t, {sources: [{name: 'lost', url: lost.url, type: 'imgapi'}], config}));
	const ran = await far.run(['import', path.join(folder, 'b'), '--allow-unsigned']);
	t.is(ran.code, 0, ran.stderr);
	t.regex(ran.stderr, new RegExp(`its origin ${base.uuid} is neither in the bundle nor here`));
	await serves(t, far, middle);
});

test('channels, states and dates stay what they were', async t => {
	const channels = [
		{name: 'dev', description: 'all', default: true},
		{name: 'release', description: 'good'},
	];
	const near = await startFar(t, {channels});
	const made: string[] = [];
	for (const name of ['a', 'b']) {
		const answer = await near.mirror.get(`/publish?name=${name}&version=1&channel=dev`, {
			method: 'POST',
			body: makeImage().bytes,
		});
		made.push((answer.json() as {uuid: string}).uuid);
	}
	const [a = '', b = ''] = made;
	await near.mirror.get(`/images/${a}?action=channel-add&channel=dev`, {
		method: 'POST',
		headers: {'content-type': 'application/json'},
		body: JSON.stringify({channel: 'release'}),
	});
	await near.mirror.get(`/images/${b}?action=disable&channel=dev`, {method: 'POST', body: '{}'});
	const bundle = path.join(await tempDir(t), 'bundle');
	const released = path.join(await tempDir(t), 'released');
	await near.ok('export', '--all', '--to', bundle);
	await near.ok('export', '--channel', 'release', '--to', released);
	const far = await startFar(t, {channels, bundles: {allowUnsigned: true}});
	t.like(await imported(far, released), {imported: 1, failed: 0});
	t.like(await imported(far, bundle), {imported: 1, there: 1, failed: 0});
	for (const uuid of made) {
		for (const query of ['?channel=dev', '?channel=release', '?channel=*']) {
			const ask = {headers: {'accept-version': '~2'}};
			const [one, other] = [
				await near.mirror.get(`/images/${uuid}${query}`, ask),
				await far.mirror.get(`/images/${uuid}${query}`, ask),
			];
			t.is(other.status, one.status, query);
			if (one.status === 200) {
				t.is(other.text, one.text, query);
			}
		}
	}
	t.is((await far.mirror.get('/images?channel=release')).text, (await near.mirror.get('/images?channel=release')).text);
	await fetched(far.mirror, {...makeImage(), uuid: a, bytes: (await near.mirror.get(`/images/${a}/file`)).body});
});
