/** Folders as the older servers leave them, to the letter, for the tests of adoption and of the drop folder. */
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {TestImage} from '../helpers/make-image.js';

export async function put(folder: string, name: string, content: string | Buffer | object): Promise<string> {
	const file = path.join(folder, name);
	await mkdir(path.dirname(file), {recursive: true});
	const isBytes = typeof content === 'string' || Buffer.isBuffer(content);
	await writeFile(file, isBytes ? content : JSON.stringify(content, undefined, 2));
	return file;
}

/** What smartos-image-server's import-image writes. */
export async function smartosImageServer(folder: string, image: TestImage): Promise<void> {
	const {manifest} = image;
	const file = `${String(manifest['name'])}-${String(manifest['version'])}.zfs.gz`;
	await put(folder, `${image.uuid}/${file}`, image.bytes);
	await put(
		folder,
		`${image.uuid}/manifest.json`,
		`{
    "uuid": "${image.uuid}",
    "name": "${String(manifest['name'])}",
    "version": "${String(manifest['version'])}",
    "description": "Base image for our organization",

    "os": "smartos",
    "type": "zone-dataset",
    "platform_type": "smartos",
    "cloud_name": "internal",
    "urn": "internal:internal:${String(manifest['name'])}:${String(manifest['version'])}",

    "creator_name": "internal",
    "creator_uuid": "",
    "vendor_uuid": "",

    "created_at": "2013-05-06T07:08Z",
    "updated_at": "2013-05-06T07:08Z",
    "published_at": "2013-05-06T07:08Z",

    "files": [
      {
        "path": "${file}",
        "sha1": "${image.sha1}",
        "size": ${image.size},
        "url": "-automatic-"
      }
    ]
}
`,
	);
}

/** dsapid's own form, with the file by the base name of its path. */
export async function dsapid(folder: string, image: TestImage, more: object = {}): Promise<void> {
	const {manifest} = image;
	await put(folder, `${image.uuid}/image-file.zfs.gz`, image.bytes);
	await put(folder, `${image.uuid}/manifest.json`, {
		uuid: image.uuid,
		provider: 'community',
		owner: 'a979f956-12cb-4216-bf4c-ae73e6f14dde',
		name: manifest['name'],
		version: manifest['version'],
		description: 'from dsapid',
		state: 'active',
		public: true,
		disabled: false,
		type: 'zone-dataset',
		os: 'smartos',
		published_at: '2014-08-13T20:07:10.123456789Z',
		created_at: '0001-01-01T00:00:00Z',
		requirements: null,
		metadata_info: null,
		builder_info: {builder: 'x'},
		sync_info: null,
		files: [
			{
				path: 'image-file.zfs.gz',
				size: image.size,
				sha1: image.sha1,
				md5: image.md5,
				compression: 'gzip',
			},
		],
		...more,
	});
}

/** The local database and storage of sdc-imgapi, below its data directory. */
export async function sdcImgapi(
	folder: string,
	image: TestImage,
	options: {readonly raw?: object; readonly prefixed?: boolean} = {},
): Promise<void> {
	const {prefixed = true, raw} = options;
	const {state, files, icon, ...manifest} = image.manifest;
	const own = `images/${prefixed ? `${image.uuid.slice(0, 3)}/` : ''}${image.uuid}`;
	await put(folder, `${own}/file0`, image.bytes);
	if (image.icon !== undefined) {
		await put(folder, `${own}/icon`, image.icon);
	}
	await put(folder, `manifests/${image.uuid}.raw`, {
		...manifest,
		activated: state !== 'unactivated',
		state,
		acl: manifest['acl'] ?? [],
		tags: ['role=os', 'nested='],
		tagsObj: {role: 'os', nested: {a: 1}},
		files: (files as object[]).map(file => ({
			...file,
			contentMD5: image.contentMd5,
			mtime: '2015-01-02T03:04:05.678Z',
			stor: 'local',
		})),
		...(icon === true
			? {
					icon: {
						contentType: 'image/png',
						contentMD5: 'ignored',
						sha1: '0'.repeat(40),
						size: image.icon?.length,
						mtime: '2015-01-02T03:04:05.678Z',
						stor: 'local',
					},
				}
			: {}),
		...raw,
	});
	await put(folder, `archive/${image.uuid.slice(0, 3)}/${image.uuid}.json`, image.manifest);
}

/** trondn's server: Go's numbers, no owner, no date; `state` is `activated` once it was switched on. */
export async function trondn(folder: string, image: TestImage, more: object = {}): Promise<void> {
	const {manifest} = image;
	await put(folder, `${image.uuid}/image.gz`, image.bytes);
	await put(
		folder,
		`${image.uuid}/manifest.json`,
		JSON.stringify(
			{
				description: 'Snapshot of Couchbase Server',
				disabled: false,
				files: [{compression: 'gzip', sha1: image.sha1, size: 'SIZE'}],
				name: manifest['name'],
				os: 'smartos',
				public: false,
				requirements: {networks: [{description: 'public', name: 'net0'}]},
				state: 'active',
				type: 'zone-dataset',
				uuid: image.uuid,
				v: 2,
				version: manifest['version'],
				...more,
			},
			undefined,
			2,
		).replace('"SIZE"', `${image.size / 1e4}e+04`),
	);
}

/** hww3's server, and any pair of a manifest and a file. */
export async function pair(
	folder: string,
	stem: string,
	image: TestImage,
	options: {readonly manifest?: string; readonly file?: string; readonly fields?: object} = {},
): Promise<void> {
	const {manifest = '.json', file = '.zfs.gz', fields = image.manifest} = options;
	await put(folder, `${stem}${file}`, image.bytes);
	await put(folder, `${stem}${manifest}`, fields);
}
