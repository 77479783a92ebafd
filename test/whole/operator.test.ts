import {mkdir} from 'node:fs/promises';
import path from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {countDisk} from '../helpers/disk-count.js';
import {makeImage, type TestImage} from '../helpers/make-image.js';
import {imgmirror, type Ran} from '../helpers/run-command.js';
import {startProcess} from '../helpers/start-process.js';
import {startUpstream, type Upstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';
import type {ImageRow, StorageReport} from '../../src/mirror-operate-api.js';

/** A command line on a data directory, whether or not a server runs on it. */
interface Operator {
	readonly data: string;
	readonly run: (...args: readonly string[]) => Promise<Ran>;
	/** The same, which must go well; what it printed with `-j`. */
	readonly json: <T>(...args: readonly string[]) => Promise<T>;
}

interface Site {
	readonly operator: Operator;
	readonly upstream: Upstream;
	readonly base: TestImage;
	readonly child: TestImage;
	readonly other: TestImage;
}

async function startSite(t: ExecutionContext, {running}: {readonly running: boolean}): Promise<Site> {
	const base = makeImage({name: 'base', size: 300_000});
	const child = makeImage({name: 'web', size: 200_000, origin: base});
	const other = makeImage({name: 'db', size: 100_000});
	const upstream = await startUpstream(t, {images: [base, child, other]});
	const data = path.join(await tempDir(t), 'data');
	await mkdir(data);
	const config = {store: {minFree: '0'}, prefetch: {rules: [{name: 'bases', include: {name: 'nothing-like-it'}}]}};
	const mirror = await startProcess(t, {sources: [{name: 'up', url: upstream.url, type: 'imgapi'}], data, config});
	if (!running) {
		await mirror.end('SIGTERM');
	}
	const run = (...args: readonly string[]): Promise<Ran> =>
		imgmirror([...args, '--config', mirror.configFile], {env: {NO_COLOR: '1'}});
	const operator: Operator = {
		data,
		run,
		json: async <T>(...args: readonly string[]) => {
			const ran = await run(...args, '-j');
			if (ran.code !== 0) {
				throw new Error(`${args.join(' ')}: exit ${String(ran.code)}: ${ran.stderr}`);
			}
			return JSON.parse(ran.stdout) as T;
		},
	};
	return {operator, upstream, base, child, other};
}

async function isCounted(t: ExecutionContext, operator: Operator): Promise<StorageReport> {
	const report = await operator.json<StorageReport>('du', '-a');
	t.deepEqual(
		{blobs: report.files, blobBytes: report.bytes, partials: report.partials, partialBytes: report.partialBytes},
		countDisk(operator.data),
	);
	return report;
}

for (const running of [true, false]) {
	const how = running ? 'with a server that runs' : 'with none running';

	test(`a day of an operator, ${how}: every command does what it says, and the counters are the disk's`, async t => {
		const {operator, base, child, other} = await startSite(t, {running});
		const {run, json} = operator;
		if (!running) {
			// One that is started for a command has asked nobody yet.
			t.is((await run('refresh')).code, 0);
		}
		const rows = await json<readonly ImageRow[]>('images', 'list');
		t.deepEqual(rows.map(({name}) => name).sort(), ['base', 'db', 'web']);
		t.regex((await run('images')).stdout, /^UUID +NAME +VERSION/);

		const planned = await run('prefetch', child.uuid.slice(0, 8), '--dry-run');
		t.is(planned.code, 0, planned.stderr);
		t.regex(planned.stdout, /base/);
		t.is((await isCounted(t, operator)).files, 0);
		const fetched = await run('prefetch', child.uuid.slice(0, 8));
		t.is(fetched.code, 0, fetched.stderr);
		t.is((await isCounted(t, operator)).files, 2, 'its origin came along');

		t.is((await run('pin', child.uuid)).code, 0);
		const refused = await run('evict', base.uuid);
		t.is(refused.code, 1);
		t.regex(refused.stderr + refused.stdout, /web.*(built upon|pinned)|pinned/s);
		t.is((await isCounted(t, operator)).files, 2);
		const why = await run('du');
		t.regex(why.stdout, /pinned/);
		t.is((await run('unpin', child.uuid)).code, 0);
		const evicted = await run('evict', child.uuid, base.uuid, '--force');
		if (evicted.code !== 0) {
			// What came a moment ago is in use for a minute, unless the server is another by now.
			t.regex(evicted.stderr + evicted.stdout, /in use/);
		} else {
			t.is((await isCounted(t, operator)).files, 0);
		}

		t.is((await run('prefetch', '--name', 'd*')).code, 0);
		const verified = await run('verify');
		t.is(verified.code, 0, verified.stderr);
		await isCounted(t, operator);

		t.is((await run('hold', other.uuid, '--note', 'broken')).code, 0);
		t.regex((await run('held')).stdout, /broken/);
		const shown = await run('images', 'show', other.uuid);
		t.regex(shown.stdout, /held/i);
		t.is((await run('release', other.uuid)).code, 0);
		t.notRegex((await run('held')).stdout, /broken/);

		const status = await run('status');
		t.is(status.code, 0, status.stderr);
		t.regex(status.stdout, /up/);
		// The log of a server that was started for this would be empty.
		const logged = running ? [['log', '-n', '5']] : [];
		for (const command of [['sources'], ['transfers'], ['prefetch', 'rules'], ...logged]) {
			const ran = await run(...command);
			t.is(ran.code, 0, `${command.join(' ')}: ${ran.stderr}`);
		}
		t.is((await run('images', 'show', '00000000-0000-4000-8000-000000000000')).code, 1);
		t.is((await run('prefetch')).code, 2, 'of what');
		await isCounted(t, operator);
	});
}
