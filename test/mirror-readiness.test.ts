import {createHash} from 'node:crypto';
import {readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {readiness, Vitals, type ReadinessFacts} from '../src/mirror-readiness.js';
import {tempDir} from './helpers/temp-dir.js';
import {testHost} from './helpers/test-host.js';

const well: ReadinessFacts = {
	stopping: false,
	images: 100,
	sources: [{name: 'joyent', known: true, down: false, wrong: false}],
	vitals: {broken: undefined, full: false, lagMs: 21},
	diskLow: undefined,
	damaged: [],
	unreadable: [],
	others: [],
	failingHooks: [],
};

const unanswered = {name: 'joyent', known: false, down: true, wrong: false};

test('a mirror that can do all its work is ready, and there is nothing to say', t => {
	t.deepEqual(readiness(well), {ready: true, problems: [], warnings: []});
	t.true(readiness({...well, images: 0, sources: []}).ready);
	t.true(readiness({...well, images: 0}).ready);
});

for (const [what, facts, problem] of [
	['that is stopping', {stopping: true}, 'the mirror is stopping'],
	[
		'that knows nothing',
		{images: 0, sources: [unanswered, unanswered]},
		'no source has answered yet, and nothing is known from before',
	],
	['whose disk is broken', {vitals: {...well.vitals, broken: 'the disk: EIO'}}, 'the disk: EIO'],
	[
		'that does not keep up',
		{vitals: {...well.vitals, lagMs: 1500.4}},
		'the process does not keep up: what is due comes 1500 ms late',
	],
] as const) {
	test(`a mirror ${what} is not ready`, t => {
		const judged = readiness({...well, ...facts});
		t.false(judged.ready);
		t.deepEqual(judged.problems, [problem]);
	});
}

test('what keeps nobody from being served is a warning', t => {
	const image = {name: 'base', uuid: '1f32508c-e6e9-11e6-bc05-8fea9e979940'};
	for (const [facts, warnings] of [
		[{sources: [unanswered, {...unanswered, name: 'b'}]}, ['2 sources are down: joyent, b']],
		[{sources: [unanswered]}, ['a source is down: joyent']],
		[{sources: [{...unanswered, name: 'a', wrong: true, known: true, down: false}]}, ['a source sends wrong files: a']],
		[
			{sources: ['a', 'b'].map(name => ({...unanswered, name, wrong: true, down: false}))},
			['2 sources send wrong files: a, b'],
		],
		[{diskLow: 'the disk has 5 B left'}, ['there is no room for more files: the disk has 5 B left']],
		[
			{diskLow: 'the disk has 0 B left', vitals: {...well.vitals, full: true}},
			['the disk is full: what is not here yet is passed through and not kept'],
		],
		[{damaged: [image]}, [`the file of the published image base (${image.uuid}) is damaged, and there is no other`]],
		[{unreadable: [image.uuid]}, [`the record of the published image ${image.uuid} cannot be read: it is not offered`]],
		[{others: ['this', 'that'], diskLow: undefined}, ['this', 'that']],
		[{failingHooks: ['ops']}, ['a webhook does not answer: ops']],
		[{failingHooks: ['ops', 'chat']}, ['webhooks do not answer: ops, chat']],
	] as const) {
		t.deepEqual(readiness({...well, ...facts}), {ready: true, problems: [], warnings: [...warnings]});
	}
});

const sha1Of = async (file: string): Promise<string> =>
	createHash('sha1')
		.update(await readFile(file))
		.digest('hex');

function vitals(t: ExecutionContext, file: string, hash: (file: string, bytes: number) => Promise<string | undefined>) {
	const host = testHost();
	const made = new Vitals({host, file, sha1Of: hash});
	t.teardown(() => {
		made.stop();
	});
	return {made, clock: host.clock};
}

test('a byte is written, hashed, and found right; again only after a while', async t => {
	const file = join(await tempDir(t), 'probe');
	const hashed: number[] = [];
	const {made, clock} = vitals(t, file, (path, bytes) => {
		hashed.push(bytes);
		return sha1Of(path);
	});
	t.like(await made.signs(), {broken: undefined, full: false});
	t.is((await readFile(file)).length, 1);
	await clock.advance(9999);
	await made.signs();
	t.deepEqual(hashed, [1]);
	await clock.advance(1);
	await Promise.all([made.signs(), made.signs(), made.signs()]);
	t.deepEqual(hashed, [1, 1]);
	t.is(clock.pending, 0);
});

test('a directory that cannot be written, and files that cannot be verified, are told in words', async t => {
	const root = await tempDir(t);
	await writeFile(join(root, 'file'), '');
	const {made: nowhere} = vitals(t, join(root, 'file', 'probe'), sha1Of);
	t.regex((await nowhere.signs()).broken ?? '', /^the data directory cannot be written: ENOTDIR/);
	const {made: unhashed} = vitals(t, join(root, 'a'), () => Promise.reject(new Error('the hashing thread has ended')));
	t.is((await unhashed.signs()).broken, 'files cannot be verified: the hashing thread has ended');
	const {made: lying} = vitals(t, join(root, 'b'), async () => 'another');
	t.is((await lying.signs()).broken, 'files are read back from the data directory otherwise than they were written');
});

test('it is well again once the disk is', async t => {
	let broken = true;
	const {made, clock} = vitals(t, join(await tempDir(t), 'probe'), path =>
		broken ? Promise.reject(new Error('no')) : sha1Of(path),
	);
	t.truthy((await made.signs()).broken);
	broken = false;
	t.truthy((await made.signs()).broken);
	await clock.advance(10_000);
	t.is((await made.signs()).broken, undefined);
});

// Where there is such a device: it takes nothing, for want of room.
const fullDisk = process.platform === 'linux' ? test : test.skip;

fullDisk('a full disk is not a broken one', async t => {
	const file = join(await tempDir(t), 'probe');
	await symlink('/dev/full', file);
	const {made} = vitals(t, file, sha1Of);
	t.like(await made.signs(), {broken: undefined, full: true});
});

test('whoever asks does not wait for a disk that hangs, and is told so in the end', async t => {
	let release = (): void => undefined;
	const begun: (() => void)[] = [];
	const asked = new Promise<void>(resolve => begun.push(resolve));
	const {made, clock} = vitals(t, join(await tempDir(t), 'probe'), async path => {
		begun.pop()?.();
		await new Promise<void>(resolve => {
			release = resolve;
		});
		return sha1Of(path);
	});
	const first = made.signs();
	await asked;
	await clock.advance(2000);
	t.like(await first, {broken: undefined, full: false});
	await clock.advance(27_999);
	const second = made.signs();
	await clock.advance(1);
	await clock.advance(2000);
	t.regex((await second).broken ?? '', /has not taken a byte for 30 s$/);
	release();
	t.is((await made.signs()).broken, undefined);
});
