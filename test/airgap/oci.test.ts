import {createHash} from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import {
	blobPath,
	checkConfig,
	digestOf,
	emptyLayer,
	emptyLayerText,
	hexOf,
	indexText,
	isDigest,
	layoutText,
	makeImage,
	parseImage,
	parseIndex,
	type IndexEntry,
	type MadeImage,
} from '../../src/airgap/oci.js';
import {IntegrityError, InvalidParameterError} from '../../src/errors.js';
import {isCompression, parseManifest, type Manifest} from '../../src/image/manifest.js';
import {anyCharacter} from '../helpers/any-character.js';

const uuid = '7b5981c4-1889-11e6-b4c5-3f3bdfc9b88b';
const baseUuid = '0084dad6-05c1-11e6-bb5c-e3f4b4d2ae92';
const sha1 = 'f6cd25adf3ae1a5d1d1a5d1d1a5d1d1a5d1d1a5d';
const sha256 = 'a'.repeat(64);
const files = [{sha1, sha256, size: 123_456}];

const fields = {
	v: 2,
	uuid,
	owner: '930896af-bf8c-48d4-885c-6573a94b1853',
	name: 'base-64-lts',
	version: '15.4.1',
	state: 'active',
	disabled: false,
	public: true,
	published_at: '2016-05-12T14:09:12Z',
	type: 'zone-dataset',
	os: 'smartos',
	files: [{sha1, size: 123_456, compression: 'gzip'}],
	description: 'A 64-bit image: "base"',
	homepage: 'https://docs.example.com/images',
	icon: true,
	origin: baseUuid,
};

function textOf(changed: object = {}): string {
	return JSON.stringify({...fields, ...changed}, null, 2);
}

function made(changed: object = {}, parts: Partial<Parameters<typeof makeImage>[0]> = {}): MadeImage {
	const text = textOf(changed);
	return makeImage({manifest: parseManifest(text), text, files, ...parts});
}

/** The manifest blob with something else in it. */
function changedManifest(change: (fields: Record<string, unknown>) => unknown): Buffer {
	const value = JSON.parse(made().manifestText) as Record<string, unknown>;
	return Buffer.from(JSON.stringify(change(value) ?? value));
}

function entry(number: number, changed: Partial<IndexEntry> = {}): IndexEntry {
	return {
		digest: digestOf(`manifest ${number}`),
		size: 700 + number,
		uuid,
		name: 'base',
		version: '1.0',
		filesElsewhere: false,
		...changed,
	};
}

function indexOf(manifests: unknown, more: object = {}): Buffer {
	return Buffer.from(JSON.stringify({schemaVersion: 2, manifests, ...more}));
}

const aDescriptor = {mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf('x'), size: 3};

test('an image is written to the byte as the format says', t => {
	const text = textOf();
	const icon = {bytes: Buffer.from('picture'), contentType: 'image/png'};
	const image = made({}, {icon});
	const configDigest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
	const iconDigest = `sha256:${createHash('sha256').update('picture').digest('hex')}`;
	t.is(
		image.manifestText,
		'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",' +
			'"artifactType":"application/vnd.smartos.image.v1",' +
			'"config":{"mediaType":"application/vnd.smartos.image.manifest.v2+json",' +
			`"digest":"${configDigest}","size":${Buffer.byteLength(text)}},` +
			'"layers":[{"mediaType":"application/vnd.smartos.image.file.v1.zfs+gzip",' +
			`"digest":"sha256:${sha256}","size":123456,` +
			`"annotations":{"org.opencontainers.image.title":"${uuid}-file.gz","org.smartos.image.file.sha1":"${sha1}"}},` +
			`{"mediaType":"image/png","digest":"${iconDigest}","size":7,` +
			`"annotations":{"org.opencontainers.image.title":"${uuid}-icon.png"}}],` +
			'"annotations":{"org.opencontainers.image.title":"base-64-lts","org.opencontainers.image.version":"15.4.1",' +
			'"org.opencontainers.image.created":"2016-05-12T14:09:12Z",' +
			'"org.opencontainers.image.description":"A 64-bit image: \\"base\\"",' +
			'"org.opencontainers.image.url":"https://docs.example.com/images",' +
			`"org.smartos.image.uuid":"${uuid}","org.smartos.image.type":"zone-dataset",` +
			`"org.smartos.image.os":"smartos","org.smartos.image.origin":"${baseUuid}"}}`,
	);
	t.is(image.digest, digestOf(image.manifestText));
	t.is(image.size, Buffer.byteLength(image.manifestText));
	t.is(image.config.digest, configDigest);
	t.is(image.layers.length, 2);
	t.deepEqual(image.layers, [...image.files, image.icon]);
	t.is(layoutText, '{"imageLayoutVersion":"1.0.0"}');
});

test('the index is written to the byte as the format says', t => {
	const digest = digestOf('one');
	const other = digestOf('two');
	t.is(
		indexText([
			{digest, size: 700, uuid, name: 'base', version: '1.0', filesElsewhere: false},
			{digest: other, size: 701, uuid: baseUuid, name: 'ba"se', version: '2', filesElsewhere: true},
		]),
		'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[' +
			`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"${digest}","size":700,` +
			`"annotations":{"org.opencontainers.image.ref.name":"${uuid}","org.opencontainers.image.title":"base",` +
			'"org.opencontainers.image.version":"1.0"},"artifactType":"application/vnd.smartos.image.v1"},' +
			`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"${other}","size":701,` +
			`"annotations":{"org.opencontainers.image.ref.name":"${baseUuid}","org.opencontainers.image.title":"ba\\"se",` +
			'"org.opencontainers.image.version":"2","org.smartos.image.files":"elsewhere"},' +
			'"artifactType":"application/vnd.smartos.image.v1"}]}',
	);
	t.is(indexText([]), '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}');
	t.deepEqual(parseIndex(Buffer.from(indexText([]))), []);
});

test('files are called after their compression and their place', t => {
	const one = (compression: string): object => ({sha1, size: 123_456, compression});
	const image = made(
		{files: [one('none'), one('gzip'), one('bzip2'), one('xz')]},
		{files: [...files, ...files, ...files, ...files]},
	);
	t.deepEqual(
		image.layers.map(({mediaType, annotations}) => [mediaType, annotations['org.opencontainers.image.title']]),
		[
			['application/vnd.smartos.image.file.v1.zfs', `${uuid}-file`],
			['application/vnd.smartos.image.file.v1.zfs+gzip', `${uuid}-file1.gz`],
			['application/vnd.smartos.image.file.v1.zfs+bzip2', `${uuid}-file2.bz2`],
			['application/vnd.smartos.image.file.v1.zfs+xz', `${uuid}-file3.xz`],
		],
	);
	t.is(parseImage(Buffer.from(image.manifestText)).files.length, 4);
});

test('icons are called after what they are', t => {
	for (const [contentType, suffix] of [
		['image/png', 'png'],
		['image/jpeg', 'jpg'],
		['image/gif', 'gif'],
	] as const) {
		const {icon} = made({}, {icon: {bytes: Buffer.from('x'), contentType}});
		t.is(icon?.annotations['org.opencontainers.image.title'], `${uuid}-icon.${suffix}`);
	}
});

test('an image without files has the empty layer, and comes back without any', t => {
	const text = textOf({files: [], icon: false});
	const image = makeImage({manifest: parseManifest(text), text, files: []});
	t.deepEqual(image.layers, [emptyLayer]);
	t.is(digestOf(emptyLayerText), emptyLayer.digest);
	t.is(Buffer.byteLength(emptyLayerText), emptyLayer.size);
	t.true(
		image.manifestText.includes(
			'"layers":[{"mediaType":"application/vnd.oci.empty.v1+json","digest":' +
				'"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}],"annotations"',
		),
	);
	const read = parseImage(Buffer.from(image.manifestText));
	t.deepEqual(read.files, []);
	t.is(read.icon, undefined);
	t.is(String(checkConfig(read, Buffer.from(text)).manifest.uuid), uuid);
});

test('annotations are there only for what the manifest says', t => {
	const image = made({
		...{name: '', version: 7, published_at: undefined, description: '', homepage: 5},
		...{type: undefined, os: undefined, origin: undefined},
	});
	t.true(image.manifestText.endsWith(`,"annotations":{"org.smartos.image.uuid":"${uuid}"}}`));
});

test('an image is not written that nobody could read again', t => {
	const icon = {bytes: Buffer.from('x'), contentType: 'image/png'};
	const many = Array.from({length: 64}, () => ({sha1, size: 123_456, compression: 'gzip'}));
	const manyFiles = Array.from({length: 64}, () => files[0] ?? {sha1, sha256, size: 1});
	t.notThrows(() => made({files: many}, {files: manyFiles}));
	for (const [attempt, message] of [
		[() => made({}, {files: []}), /has 1 files, not 0/u],
		[() => made({}, {files: [{sha1, sha256, size: 1}]}), /file 0 of image .* is not the one/u],
		[() => made({}, {files: [{sha1: 'b'.repeat(40), sha256, size: 123_456}]}), /file 0 of image .* is not the one/u],
		[() => made({}, {icon: {...icon, contentType: 'image/svg+xml'}}), /1 bytes of image\/svg\+xml/u],
		[() => made({}, {icon: {...icon, bytes: Buffer.alloc(131_073)}}), /131073 bytes of image\/png/u],
		[() => made({icon: false}, {icon}), /speaks of no icon/u],
		[() => made({files: many}, {files: manyFiles, icon}), /more files/u],
		[() => made({description: 'x'.repeat(4_194_304)}), /a longer manifest/u],
	] as const) {
		t.throws(attempt, {instanceOf: IntegrityError, message});
	}
	t.notThrows(() => made({}, {icon: {...icon, bytes: Buffer.alloc(131_072)}}));
});

test('an index is not written that nobody could read again', t => {
	const long = Array.from({length: 20}, (_, number) => entry(number, {name: 'x'.repeat(4_000_000)}));
	t.throws(() => indexText(long), {instanceOf: InvalidParameterError, message: /20 images are too many/u});
});

const digits = Array.from({length: 16}, (_, digit) => digit.toString(16));
const hex = (length: number): fc.Arbitrary<string> =>
	fc.string({unit: fc.constantFrom(...digits), minLength: length, maxLength: length});
const uuids = fc.uuid();
const images = fc
	.record({
		uuid: uuids,
		name: fc.string({unit: 'grapheme'}),
		version: fc.string(),
		description: fc.option(fc.string({unit: anyCharacter}), {nil: undefined}),
		origin: fc.option(uuids, {nil: undefined}),
		channels: fc.option(fc.uniqueArray(fc.string({minLength: 1}), {maxLength: 3}), {nil: undefined}),
		tags: fc.jsonValue({maxDepth: 3}),
		files: fc.array(
			fc.record({
				sha1: hex(40),
				size: fc.maxSafeNat(),
				compression: fc.constantFrom('none', 'gzip', 'bzip2', 'xz'),
				isSilent: fc.boolean(),
			}),
			{maxLength: 4},
		),
		icon: fc.option(fc.uint8Array({minLength: 1, maxLength: 100}), {nil: undefined}),
		indent: fc.constantFrom(0, 2),
	})
	.map(({files: all, icon, indent, ...rest}) => {
		const told = {
			v: 2,
			...rest,
			icon: icon !== undefined,
			files: all.map(({sha1: own, size, compression, isSilent}) => ({
				...(isSilent ? {} : {sha1: own}),
				size,
				compression,
			})),
		};
		const text = Buffer.from(JSON.stringify(told, null, indent)).toString();
		return {
			text,
			manifest: parseManifest(text),
			// Files of one digest are of one size.
			files: all.map(({sha1: own, size}) => ({
				sha1: own,
				size,
				sha256: createHash('sha256').update(`${own} ${size}`).digest('hex'),
			})),
			...(icon === undefined ? {} : {icon: {bytes: Buffer.from(icon), contentType: 'image/png'}}),
			channels: rest.channels,
		};
	});

test('what is written is read again, and the same image makes the same bytes', t => {
	t.notThrows(() =>
		fc.assert(
			fc.property(images, parts => {
				const image = makeImage(parts);
				t.is(makeImage({...parts, manifest: parseManifest(parts.text)}).manifestText, image.manifestText);
				const read = parseImage(Buffer.from(image.manifestText));
				t.deepEqual(read.config, image.config);
				t.deepEqual(
					read.files.map(({descriptor}) => descriptor),
					image.files,
				);
				t.deepEqual(
					read.files.map(file => String(file.sha1)),
					parts.files.map(file => file.sha1),
				);
				t.deepEqual(read.icon, image.icon);
				const config = checkConfig(read, Buffer.from(parts.text));
				t.is(config.text, parts.text);
				t.deepEqual(config.manifest, parts.manifest);
				t.deepEqual(config.channels, parts.channels);
			}),
			{numRuns: 200},
		),
	);
});

test('every entry of an index is read again, in its order', t => {
	const entries = fc.uniqueArray(
		fc.record({
			digest: hex(64).map(text => `sha256:${text}`),
			size: fc.maxSafeNat(),
			uuid: uuids,
			name: fc.string({unit: anyCharacter}),
			version: fc.string(),
			filesElsewhere: fc.boolean(),
		}),
		{selector: ({digest}) => digest, maxLength: 20},
	);
	t.notThrows(() =>
		fc.assert(
			fc.property(entries, all => {
				const text = indexText(all);
				t.is(indexText(structuredClone(all)), text);
				t.deepEqual(
					parseIndex(Buffer.from(text)).map(({descriptor, name, filesElsewhere, foreign}) => ({
						...{digest: descriptor.digest, size: descriptor.size, name, filesElsewhere, foreign},
						version: descriptor.annotations['org.opencontainers.image.version'],
					})),
					all.map(({digest, size, uuid: name, filesElsewhere, version}) => ({
						...{digest, size, name, filesElsewhere, foreign: false},
						version: Buffer.from(version).toString(),
					})),
				);
			}),
			{numRuns: 100},
		),
	);
});

test('an index as other tools write it back is taken: no media type, no artifact types, no titles, any tag', t => {
	const digest = digestOf('m');
	const [found, ...more] = parseIndex(
		Buffer.from(
			`{\n "schemaVersion": 2,\n "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",` +
				` "digest": "${digest}", "size": 3, "annotations": {"org.opencontainers.image.ref.name": "latest"}}]\n}\n`,
		),
	);
	t.deepEqual(more, []);
	t.deepEqual(found, {
		descriptor: {
			mediaType: 'application/vnd.oci.image.manifest.v1+json',
			digest,
			size: 3,
			annotations: {'org.opencontainers.image.ref.name': 'latest'},
		},
		name: 'latest',
		filesElsewhere: false,
		foreign: false,
	});
	t.is(parseIndex(indexOf([{...aDescriptor, annotations: null}]))[0]?.name, aDescriptor.digest);
	t.is(parseIndex(indexOf([aDescriptor], {mediaType: 'application/vnd.oci.image.index.v1+json'})).length, 1);
});

test('artifacts of another kind are told apart', t => {
	const read = parseIndex(
		indexOf([
			{...aDescriptor, artifactType: 'application/vnd.example.sbom'},
			{...aDescriptor, mediaType: 'application/vnd.oci.image.index.v1+json', digest: digestOf('y')},
			{...aDescriptor, artifactType: 'application/vnd.smartos.image.v1', digest: digestOf('z')},
		]),
	);
	t.deepEqual(
		read.map(({foreign}) => foreign),
		[true, true, false],
	);
});

test('an artifact with several tags is one, and its files are elsewhere only if every tag says so', t => {
	const here = entry(1);
	const elsewhere = entry(1, {filesElsewhere: true, uuid: baseUuid});
	const both = parseIndex(Buffer.from(indexText([elsewhere, here, entry(2)])));
	t.deepEqual(
		both.map(({name, filesElsewhere}) => [name, filesElsewhere]),
		[
			[baseUuid, false],
			[uuid, false],
		],
	);
	t.true(parseIndex(Buffer.from(indexText([elsewhere, elsewhere])))[0]?.filesElsewhere);
	t.false(parseIndex(Buffer.from(indexText([here, elsewhere])))[0]?.filesElsewhere);
	t.throws(() => parseIndex(Buffer.from(indexText([here, {...here, size: 1}]))), {
		instanceOf: IntegrityError,
		message: /manifests\[1\] gives sha256:\w+ another size than before/u,
	});
});

test('a tag that a terminal would obey is not shown', t => {
	for (const tag of ['\u001B[2J', 'a b', '', 'x'.repeat(201), 'ü', 'a\nb']) {
		const annotations = {'org.opencontainers.image.ref.name': tag};
		t.is(parseIndex(indexOf([{...aDescriptor, annotations}]))[0]?.name, aDescriptor.digest);
	}
});

test('names of prototypes are names like any other', t => {
	const annotations = '{"__proto__":"a","constructor":"b","toString":"c","hasOwnProperty":"d"}';
	const text = `{"__proto__":{"schemaVersion":3},"schemaVersion":2,"manifests":[{"__proto__":{"urls":["x"]},"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"${aDescriptor.digest}","size":3,"annotations":${annotations}}]}`;
	const [read] = parseIndex(Buffer.from(text));
	t.is(JSON.stringify(read?.descriptor.annotations), annotations);
	t.is(read?.name, aDescriptor.digest);
	t.is(read?.descriptor.size, 3);
	t.throws(() => parseIndex(Buffer.from('{"__proto__":{"schemaVersion":2,"manifests":[]}}')), {
		instanceOf: IntegrityError,
		message: /schemaVersion is not 2: missing/u,
	});
});

const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;

for (const [what, bytes, message] of [
	['nothing', '', /^index\.json: not JSON$/u],
	['no JSON', '{"schemaVersion":2,', /^index\.json: not JSON$/u],
	['an array', '[]', /no JSON object/u],
	['null', 'null', /no JSON object/u],
	['another version', '{"schemaVersion":1,"manifests":[]}', /schemaVersion is not 2: 1/u],
	['a version in words', '{"schemaVersion":"2","manifests":[]}', /schemaVersion is not 2: "2"/u],
	['a version of structure', '{"schemaVersion":[2],"manifests":[]}', /neither text nor number/u],
	['another media type', '{"schemaVersion":2,"mediaType":"x/y","manifests":[]}', /something else: "x\/y"/u],
	['no manifests', '{"schemaVersion":2}', /no list of manifests/u],
	['manifests by name', '{"schemaVersion":2,"manifests":{"length":1}}', /no list of manifests/u],
	['deep JSON', `{"schemaVersion":2,"manifests":${nested(100_000)}}`, /nested more than/u],
	['deep JSON with an open end', '['.repeat(1_000_000), /nested more than/u],
	['null for a descriptor', indexOf([null]), /manifests\[0\] is no descriptor/u],
	['no media type', indexOf([{digest: digestOf(''), size: 1}]), /no media type/u],
	['no digest', indexOf([{...aDescriptor, digest: undefined}]), /no sha256: missing/u],
	['another digest', indexOf([{...aDescriptor, digest: `sha512:${'a'.repeat(128)}`}]), /no sha256: "sha512:a+…"/u],
	['a digest in capitals', indexOf([{...aDescriptor, digest: `sha256:${'A'.repeat(64)}`}]), /no sha256/u],
	['a path for a digest', indexOf([{...aDescriptor, digest: 'sha256:../../etc/passwd'}]), /no sha256/u],
	['a line after the digest', indexOf([{...aDescriptor, digest: `${aDescriptor.digest}\n`}]), /no sha256/u],
	['a negative size', indexOf([{...aDescriptor, size: -1}]), /not a number of bytes: -1/u],
	['half a byte', indexOf([{...aDescriptor, size: 1.5}]), /not a number of bytes: 1\.5/u],
	['more bytes than numbers', indexOf([{...aDescriptor, size: 2 ** 60}]), /not a number of bytes/u],
	['a size in words', indexOf([{...aDescriptor, size: '3'}]), /not a number of bytes: "3"/u],
	['urls', indexOf([{...aDescriptor, urls: ['https://example.com/x']}]), /has urls/u],
	['a number for a note', indexOf([{...aDescriptor, annotations: {a: 1}}]), /annotations: "a" is no text/u],
	['a list of notes', indexOf([{...aDescriptor, annotations: ['a']}]), /annotations are no names and texts/u],
	['a number for the kind', indexOf([{...aDescriptor, artifactType: 3}]), /the artifact type is no text: 3/u],
	['colours in a media type', indexOf([], {mediaType: '\u001B[31m\u202Ered'}), /something else: "\\u001b\[31m\?red"/u],
	['200,001 entries', indexOf(Array.from({length: 200_001}, () => 0)), /lists 200001 manifests/u],
	['millions of values', Buffer.from(`[${'[],'.repeat(1_600_000)}[]]`), /more values/u],
	['millions of gaps', Buffer.from(`[${'0 \n'.repeat(3_100_000)}]`), /more values/u],
	[
		'tens of thousands of names',
		Buffer.from(`[${Array.from({length: 20_000}, (_, name) => `{"${name}" :0}`).join(',')}]`),
		/more values/u,
	],
	['67 MB', Buffer.alloc(67_108_865, 0x20), /has 67108865 bytes/u],
] as const) {
	test(`an index with ${what} is refused in words`, t => {
		const error = t.throws(() => parseIndex(Buffer.from(bytes)), {instanceOf: IntegrityError, message});
		t.true(error.message.length < 300);
		t.regex(error.message, /^[\x20-\x7e…]*$/u);
	});
}

const layer = {mediaType: 'application/vnd.smartos.image.file.v1.zfs', digest: digestOf('x'), size: 3};
const icon = {mediaType: 'image/png', digest: digestOf('i'), size: 3};

for (const [what, change, message] of [
	['no config', () => ({config: undefined}), /config is no descriptor/u],
	['another config', () => ({config: {...aDescriptor, mediaType: 'x/y'}}), /no SmartOS image: its config is "x\/y"/u],
	['another kind', () => ({artifactType: 'x/y'}), /no SmartOS image but of "x\/y"/u],
	['a kind that is no text', () => ({artifactType: {}}), /neither text nor number/u],
	['a giant config', (config: object) => ({config: {...config, size: 4_194_305}}), /config may have 4194304 bytes/u],
	['no layers', () => ({layers: undefined}), /no list of layers/u],
	['65 layers', () => ({layers: Array.from({length: 65}, () => layer)}), /65 layers/u],
	['a layer that is none', () => ({layers: [0]}), /layers\[0\] is no descriptor/u],
	['urls in a layer', () => ({layers: [{...layer, urls: []}]}), /layers\[0\] has urls/u],
	['a layer of another kind', () => ({layers: [{...layer, mediaType: 'x/y'}]}), /neither a file nor an icon: "x\/y"/u],
	['a longer kind of file', () => ({layers: [{...layer, mediaType: `${layer.mediaType}x`}]}), /neither a file/u],
	['an icon in front', () => ({layers: [icon, layer]}), /layers\[1\] is a file after the icon/u],
	['two icons', () => ({layers: [icon, icon]}), /second icon/u],
	['a giant icon', () => ({layers: [{...icon, size: 131_073}]}), /icon may have 131072 bytes/u],
	['an empty layer beside others', () => ({layers: [layer, emptyLayer]}), /neither a file nor an icon/u],
	['an empty layer of bytes', () => ({layers: [{...emptyLayer, digest: digestOf('x')}]}), /neither a file/u],
	['an empty layer of another size', () => ({layers: [{...emptyLayer, size: 3}]}), /two sizes/u],
	['two sizes of one layer', () => ({layers: [layer, {...layer, size: 4}]}), /two sizes/u],
	['no sha1', () => ({layers: [{...layer, annotations: {'org.smartos.image.file.sha1': 'x'}}]}), /"x" is no sha1/u],
	['notes that are none', () => ({annotations: 'x'}), /annotations are no names and texts/u],
] as const) {
	test(`an OCI manifest with ${what} is refused in words`, t => {
		const bytes = changedManifest(value => ({...value, ...change(value['config'] as object)}));
		const error = t.throws(() => parseImage(bytes), {instanceOf: IntegrityError, message});
		t.true(error.message.length < 300);
	});
}

test('an OCI manifest may leave out its kind, its media type, its notes and the sha1 of its layers', t => {
	const read = parseImage(
		changedManifest(({config, schemaVersion}) => ({
			config,
			schemaVersion,
			layers: [layer, layer],
			subject: aDescriptor,
		})),
	);
	t.deepEqual(
		read.files.map(file => file.sha1),
		[undefined, undefined],
	);
	t.deepEqual(read.annotations, {});
	t.deepEqual(parseImage(changedManifest(value => ({...value, layers: []}))).files, []);
});

test('an OCI manifest is bounded', t => {
	t.throws(() => parseImage(Buffer.alloc(4_194_305, 0x20)), {
		instanceOf: IntegrityError,
		message: /has 4194305 bytes/u,
	});
	t.throws(() => parseImage(Buffer.from(`[${'0,'.repeat(600_000)}0]`)), {message: /more values/u});
	t.throws(() => parseImage(Buffer.from(nested(10_000))), {message: /nested more/u});
});

for (const [what, changed, message] of [
	['another image', {uuid: baseUuid}, /the manifest is that of 0084dad6-.*, its annotations speak of "7b5981c4/u],
	['no files', {files: []}, /speaks of 0 files, its layers are 1/u],
	['more files', {files: [...fields.files, ...fields.files]}, /speaks of 2 files, its layers are 1/u],
	['another size', {files: [{...fields.files[0], size: 1}]}, /files\[0\] has 1 bytes, its layer 123456/u],
	[
		'another sha1',
		{files: [{...fields.files[0], sha1: 'b'.repeat(40)}]},
		/files\[0\] has the sha1 b+, its layer f6cd/u,
	],
	[
		'another compression',
		{files: [{...fields.files[0], compression: 'xz'}]},
		/has the compression xz, its layer is ".*\+gzip"/u,
	],
	['no icon', {icon: false}, /says that there is no icon/u],
	['odd channels', {channels: 'dev'}, /channels is no list of names/u],
	['a channel that is no name', {channels: ['dev', 1]}, /channels is no list of names/u],
	['a channel without a name', {channels: ['']}, /channels is no list of names/u],
	['a thousand channels and one', {channels: Array.from({length: 1001}, String)}, /channels is no list of names/u],
	['no version', {v: 1}, /v is not 2/u],
	['no uuid', {uuid: '../x'}, /no valid uuid/u],
	['a file without a size', {files: [{sha1}]}, /size is not a number/u],
] as const) {
	test(`a manifest that lies is caught: ${what}`, t => {
		const {manifestText} = made({}, {icon: {bytes: Buffer.from('x'), contentType: 'image/png'}});
		const config = Buffer.from(textOf(changed));
		const image = parseImage(Buffer.from(manifestText));
		t.throws(() => checkConfig({...image, config: {...image.config, size: config.length}}, config), {
			instanceOf: IntegrityError,
			message,
		});
	});
}

test('a config that is not what it should be is refused', t => {
	const read = (bytes: Buffer): unknown => {
		const image = parseImage(Buffer.from(made().manifestText));
		return checkConfig({...image, config: {...image.config, size: bytes.length}}, bytes);
	};
	const image = parseImage(Buffer.from(made().manifestText));
	t.throws(() => checkConfig(image, Buffer.from('{}')), {instanceOf: IntegrityError, message: /has 2 bytes, not \d+/u});
	t.throws(() => read(Buffer.from('[]')), {instanceOf: IntegrityError, message: /no JSON object/u});
	t.throws(() => read(Buffer.from('{')), {instanceOf: IntegrityError, message: 'the manifest: not JSON'});
	t.throws(() => read(Buffer.from(nested(1000))), {instanceOf: IntegrityError, message: /nested/u});
	const broken = Buffer.concat([Buffer.from(textOf()), Buffer.from([0x20])]);
	t.notThrows(() => read(broken));
	broken[broken.indexOf('base-64')] = 0xff;
	t.throws(() => read(broken), {instanceOf: IntegrityError, message: /not UTF-8/u});
});

test('a manifest says which channels it is in, or nothing of them', t => {
	const channelsOf = (changed: object): unknown => {
		const text = textOf(changed);
		const image = makeImage({manifest: parseManifest(text), text, files});
		return checkConfig(parseImage(Buffer.from(image.manifestText)), Buffer.from(text)).channels;
	};
	t.is(channelsOf({}), undefined);
	t.is(channelsOf({channels: null}), undefined);
	t.deepEqual(channelsOf({channels: []}), []);
	t.deepEqual(channelsOf({channels: ['dev', 'staging', 'dev']}), ['dev', 'staging']);
	t.deepEqual(channelsOf({channels: ['__proto__']}), ['__proto__']);
});

test('a manifest without a sha1 takes that of its layer', t => {
	const text = textOf({files: [{size: 123_456, compression: 'gzip'}]});
	const image = makeImage({manifest: parseManifest(text), text, files});
	const read = parseImage(Buffer.from(image.manifestText));
	t.is(String(read.files[0]?.sha1), sha1);
	t.is(checkConfig(read, Buffer.from(text)).manifest.files[0]?.sha1, undefined);
});

/** Runs it: whatever is wrong, it is said with IntegrityError. */
function survives(run: () => unknown): boolean {
	try {
		run();
		return true;
	} catch (error) {
		return error instanceof IntegrityError;
	}
}

const good = made({}, {icon: {bytes: Buffer.from('x'), contentType: 'image/png'}});
const goodIndex = Buffer.from(
	indexText([{...entry(1), digest: good.digest, size: good.size}, entry(2, {filesElsewhere: true})]),
);
const goodImage = parseImage(Buffer.from(good.manifestText));

function readAs(kind: 'index' | 'image' | 'config', bytes: Buffer): unknown {
	switch (kind) {
		case 'index':
			return parseIndex(bytes);
		case 'image':
			return parseImage(bytes);
		case 'config':
			return checkConfig({...goodImage, config: {...goodImage.config, size: bytes.length}}, bytes);
	}
}

for (const [kind, bytes] of [
	['index', goodIndex],
	['image', Buffer.from(good.manifestText)],
	['config', Buffer.from(textOf())],
] as const) {
	test(`whatever happens to the bytes, nothing but IntegrityError comes of it: ${kind}`, t => {
		const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({min: 0, max: 255})), {
			minLength: 1,
			maxLength: 4,
		});
		t.true(survives(() => readAs(kind, bytes)));
		t.notThrows(() => readAs(kind, bytes));
		t.notThrows(() => {
			fc.assert(
				fc.property(changes, fc.nat(bytes.length), (changed, cut) => {
					const mutated = Buffer.from(bytes);
					for (const [at, byte] of changed) {
						mutated[at] = byte;
					}
					return survives(() => readAs(kind, mutated)) && survives(() => readAs(kind, mutated.subarray(0, cut)));
				}),
				{numRuns: 500},
			);
			fc.assert(fc.property(fc.json({maxDepth: 6}), text => survives(() => readAs(kind, Buffer.from(text)))));
			fc.assert(fc.property(fc.uint8Array({maxLength: 300}), some => survives(() => readAs(kind, Buffer.from(some)))));
		});
	});

	test(`whatever a value is replaced with, nothing but IntegrityError comes of it: ${kind}`, t => {
		const odd: readonly unknown[] = [null, true, 0, -1, 1e300, '', 'x', [], {}, [[]], {length: 2}, [null], '\uD800'];
		const value: unknown = JSON.parse(bytes.toString());
		let tried = 0;
		const spoil = (holder: unknown): void => {
			if (typeof holder !== 'object' || holder === null) {
				return;
			}
			for (const [name, was] of Object.entries(holder)) {
				for (const instead of odd) {
					Reflect.set(holder, name, instead);
					tried++;
					if (!survives(() => readAs(kind, Buffer.from(JSON.stringify(value))))) {
						t.fail(`${name}: ${JSON.stringify(instead)}`);
					}
				}
				Reflect.deleteProperty(holder, name);
				t.true(survives(() => readAs(kind, Buffer.from(JSON.stringify(value)))));
				Reflect.set(holder, name, was);
				spoil(was);
			}
		};
		spoil(value);
		t.true(tried > 100);
	});
}

test('digests are digests, and blobs lie where they say', t => {
	t.true(isDigest(digestOf('')));
	t.false(isDigest(undefined));
	t.false(isDigest(`sha256:${'g'.repeat(64)}`));
	t.false(isDigest(` ${digestOf('')}`));
	t.is(blobPath(digestOf('')), 'blobs/sha256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
	t.is(`sha256:${hexOf(digestOf('x'))}`, digestOf(Buffer.from('x')));
	t.true(isCompression('gzip'));
});

test('ten thousand images are written and read in less than a second or so', t => {
	const entries = Array.from({length: 10_000}, (_, number) => entry(number));
	const begun = process.cpuUsage();
	const read = parseIndex(Buffer.from(indexText(entries)));
	const used = process.cpuUsage(begun);
	t.is(read.length, 10_000);
	t.deepEqual(
		read.map(({descriptor}) => descriptor.digest),
		entries.map(({digest}) => digest),
	);
	t.true(used.user + used.system < 5_000_000);
});

test('the type of a manifest is that of the image room', t => {
	const manifest: Manifest = checkConfig(goodImage, Buffer.from(textOf())).manifest;
	t.is(manifest.text, JSON.stringify(fields));
});
