import test from 'ava';
import type {PlannedBlob} from '../../src/airgap/api.js';
import {planEntries} from '../../src/airgap/plan-entries.js';

function blob(digit: string, size = 1): PlannedBlob {
	return {digest: `sha256:${digit.repeat(64)}`, size, text: digit.repeat(size)};
}

test('a bundle begins with what says that it is one, then its index, then its blobs in their order', t => {
	const [first, second] = [blob('b', 3), blob('a', 5)];
	t.deepEqual(planEntries([first, second], '{"ä":1}', undefined), [
		{path: 'oci-layout', size: 30, text: '{"imageLayoutVersion":"1.0.0"}'},
		{path: 'index.json', size: 8, text: '{"ä":1}'},
		{path: `blobs/sha256/${'b'.repeat(64)}`, size: 3, blob: first},
		{path: `blobs/sha256/${'a'.repeat(64)}`, size: 5, blob: second},
	]);
});

test('a signature stands behind what it signs', t => {
	const paths = planEntries([blob('c')], '{}', 'signed\n').map(({path, size}) => [path, size]);
	t.deepEqual(paths.slice(0, 3), [
		['oci-layout', 30],
		['index.json', 2],
		['index.json.sig', 7],
	]);
});

test('a blob that two images have is there once', t => {
	const paths = planEntries([blob('a'), blob('b'), blob('a')], '{}', undefined).map(({path}) => path);
	t.is(paths.length, 4);
	t.is(new Set(paths).size, 4);
});
