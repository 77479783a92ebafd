import {setImmediate} from 'node:timers/promises';
import test from 'ava';
import fc from 'fast-check';
import {MirrorError} from '../../src/errors.js';
import {DatasetLists, type DatasetList} from '../../src/http/dataset-lists.js';
import {datasetText} from '../../src/image/dataset.js';
import {parseManifest, type Manifest} from '../../src/image/manifest.js';
import {makeImage, makeManifests} from '../helpers/make-image.js';

const names = {cloudName: 'cloud', creatorName: 'me'};
const base = 'http://here:8080';
const key = {version: 1, text: 'all'};
const manifests = makeManifests(600).map(({text}) => parseManifest(text));

async function textOf({parts}: DatasetList): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const part of parts()) {
		chunks.push(part);
	}
	return Buffer.concat(chunks).toString();
}

function asWritten(datasets: readonly Manifest[], by = names, at = base): string {
	return JSON.stringify(
		datasets.map(manifest => JSON.parse(datasetText(manifest, by)(at)) as unknown),
		null,
		2,
	);
}

for (const count of [0, 1, 249, 250, 251, 600]) {
	test(`a list of ${count} is what JSON would be, of the length that it says, in parts that are no crumbs`, async t => {
		const datasets = manifests.slice(0, count);
		const list = await new DatasetLists().make(key, {datasets, names, base});
		const text = await textOf(list);
		t.is(text, asWritten(datasets));
		t.is(list.length, Buffer.byteLength(text));
		// The last few bytes by themselves would wait for the client's word that it has all the others.
		t.true((list.chunks?.at(-1)?.length ?? 0) >= Math.min(list.length, 1000));
	});
}

test('one that is too long is the same, but not kept', async t => {
	const lists = new DatasetLists({maxBytes: 100_000});
	const list = await lists.make(key, {datasets: manifests, names, base});
	t.is(list.chunks, undefined);
	const text = await textOf(list);
	t.is(text, asWritten(manifests));
	t.is(list.length, Buffer.byteLength(text));
	t.is(lists.kept(key, names), undefined);
	const few = manifests.slice(0, 10);
	t.is((await lists.make({...key, text: 'few'}, {datasets: few, names, base})).chunks?.length, 1);
	t.not(lists.kept({...key, text: 'few'}, names), undefined);
});

test('who asks for the same at the same time has it made once, and later it is there', async t => {
	const lists = new DatasetLists();
	const wanted = {datasets: manifests, names, base};
	t.is(lists.kept(key, names), undefined);
	const making = [lists.make(key, wanted), lists.make(key, wanted), lists.make({...key, text: 'other'}, wanted)];
	const [one, two, other] = await Promise.all(making);
	t.is(one, two);
	t.not(one, other);
	t.is(lists.kept(key, names), one);
	t.is(lists.kept({...key, text: 'other'}, names), other);
});

test('of another version, or by other names, nothing is there', async t => {
	const lists = new DatasetLists();
	const [first, second] = [manifests.slice(0, 3), manifests.slice(1, 4)];
	await lists.make(key, {datasets: first, names, base});
	const next = {...key, version: 2};
	t.is(lists.kept(next, names), undefined);
	const list = await lists.make(next, {datasets: second, names, base});
	t.is(await textOf(list), asWritten(second));
	t.is(lists.kept(key, names), undefined);
	// Who has waited for longer finds what there was, and it is not made for more than that.
	t.is(await textOf(await lists.make(key, {datasets: first, names, base})), asWritten(first));
	t.is(lists.kept(next, names), list);
	const others = {...names, cloudName: 'elsewhere'};
	t.is(lists.kept(next, others), undefined);
	const renamed = await lists.make(next, {datasets: second, names: others, base});
	t.is(await textOf(renamed), asWritten(second, others));
	t.not(renamed.etag, list.etag);
	t.is(lists.kept(next, names), undefined);
});

test('a list that becomes another one while it is made is not kept for that', async t => {
	const lists = new DatasetLists();
	const slow = lists.make(key, {datasets: manifests, names, base});
	await setImmediate();
	const quick = await lists.make({...key, version: 2}, {datasets: [], names, base});
	t.is(await textOf(await slow), asWritten(manifests));
	t.is(lists.kept({...key, version: 2}, names), quick);
	t.is(lists.kept(key, names), undefined);
});

test('however many names we are called by at once, and however slowly they take it, no more is made than there is room for', async t => {
	const maxBytes = 200_000;
	const lists = new DatasetLists({maxBytes});
	const ask = (version: number): Promise<readonly DatasetList[]> =>
		Promise.all(
			Array.from({length: 100}, (_, name) =>
				lists.make(
					{version, text: `${name}`},
					{datasets: manifests.slice(name, name + 10), names, base: `http://${name}`},
				),
			),
		);
	for (const version of [1, 2]) {
		const made = await ask(version);
		const whole = made.filter(({chunks}) => chunks !== undefined);
		t.true(whole.length > 2 && whole.length < 20);
		t.true(whole.reduce((sum, {length}) => sum + length, 0) <= maxBytes);
		t.deepEqual(
			made.map((_, name) => lists.kept({version, text: `${name}`}, names)),
			made.map(list => (list.chunks === undefined ? undefined : list)),
		);
		for (const [name, list] of made.entries()) {
			t.is(await textOf(list), asWritten(manifests.slice(name, name + 10), names, `http://${name}`));
		}
	}
});

test('wherever we are found, the URLs say so', async t => {
	await fc.assert(
		fc.asyncProperty(fc.webUrl(), fc.array(fc.nat(20), {maxLength: 8}), async (at, picks) => {
			const datasets = picks.map(pick => manifests[pick] ?? manifests[0]).filter(each => each !== undefined);
			const lists = new DatasetLists();
			const list = await lists.make(key, {datasets, names, base: JSON.stringify(at).slice(1, -1)});
			t.is(await textOf(list), asWritten(datasets, names, at));
			const here = await lists.make({...key, text: 'here'}, {datasets, names, base});
			t.is(here.etag === list.etag, at === base);
		}),
		{numRuns: 30},
	);
});

test('an image that cannot be shown is the failure of who asks, and of nobody after', async t => {
	const lists = new DatasetLists();
	const broken = new Proxy(parseManifest(makeImage().text), {
		get() {
			throw new MirrorError('it cannot be read');
		},
	});
	await t.throwsAsync(lists.make(key, {datasets: [broken], names, base}), {message: 'it cannot be read'});
	const list = await lists.make(key, {datasets: manifests.slice(0, 1), names, base});
	t.is(lists.kept(key, names), list);
});
