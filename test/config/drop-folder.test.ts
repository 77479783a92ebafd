import {join, relative} from 'node:path';
import test from 'ava';
import {Layout} from '../../src/blobs/layout.js';
import {ownPlaces} from '../../src/config/drop-folder.js';
import {tempDir} from '../helpers/temp-dir.js';
import {configOf, faultsOf} from './config-file.js';

test('what the mirror keeps for itself is what the layout has', t => {
	const layout = new Layout('/data');
	const places = Object.values(layout) as string[];
	t.deepEqual([...ownPlaces].sort(), places.flatMap(place => relative(layout.root, place) || []).sort());
});

for (const [what, data, dropFolder, why] of [
	['the data directory', '/var/mirror', '/var/mirror/', 'which is that directory, or has it inside'],
	['the data directory, named otherwise', 'data', './x/../data', 'which is that directory, or has it inside'],
	['the default data directory', undefined, 'data', 'which is that directory, or has it inside'],
	['around the data directory', '/var/mirror', '/var', 'which is that directory, or has it inside'],
	['everything', '/var/mirror', '/', 'which is that directory, or has it inside'],
	['where files are', '/var/mirror', '/var/mirror/blobs', "which is of the mirror's own blobs"],
	['below one of its folders', '/var/mirror', '/var/mirror/uploads/drop', "which is of the mirror's own uploads"],
] as const) {
	test(`no drop folder: ${what}`, async t => {
		const text = `{${data === undefined ? '' : `"data": "${data}",`}\n"publish": {\n"dropFolder": "${dropFolder}"}}`;
		const faults = await faultsOf(t, text);
		t.is(faults.length, 1, faults.join('\n'));
		t.regex(faults[0] ?? '', /^publish\.dropFolder \(line 3\): expected a folder apart from what the mirror keeps/);
		t.true(faults[0]?.endsWith(why), faults[0]);
	});
}

test('a folder beside the data directory will do, or one of its own in there', async t => {
	const directory = await tempDir(t);
	for (const dropFolder of ['drop', 'data-drop', 'data/drop', 'data/blobs-of-mine', '..drop']) {
		const {publish} = await configOf(t, {data: 'data', publish: {dropFolder}}, {directory});
		t.is(publish.dropFolder, join(directory, dropFolder));
	}
});

test('the data directory of the command line counts', async t => {
	const directory = await tempDir(t);
	const content = {publish: {dropFolder: 'drop'}};
	t.is((await faultsOf(t, content, {directory, flags: {data: join(directory, 'drop')}})).length, 1);
	t.deepEqual(await faultsOf(t, content, {directory, flags: {data: join(directory, 'other')}}), []);
});
