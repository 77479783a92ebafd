/**
 * IMGAPI and DSAPI as far as they are read, described.
 */
import {
	bytes,
	flag,
	integer,
	json,
	list,
	needed,
	oneOf,
	param,
	ref,
	text,
	uuid,
	type Answer,
	type Operation,
	type Parameter,
} from './openapi-types.js';

const images = 'Images (IMGAPI)';
const datasets = 'Datasets (DSAPI)';

export const etagHeaders = {ETag: 'For `If-None-Match` and `If-Match`.'} as const;
const fileHeaders = {
	...etagHeaders,
	'x-cache': 'Where it came from: `hit`, `join`, `miss`, `stale`, `local` or `pass`.',
	'x-source': 'Which source it is from.',
	'Content-MD5': 'Where it is known.',
	'Last-Modified': 'When it was stored here.',
} as const;

export const account: Parameter = param('On whose behalf; an image is seen only if this account sees it.', uuid);
export const channel: Parameter = param('A channel of this server, or `*` for all of them.');
export const adminFields: Parameter = param('Operators’ fields as well. Needs a login.', flag);
const acceptVersion: Parameter = param('`~1` or `~2`: the second has the channels of images.');

const manifest: Answer = {text: 'The manifest.', content: json(ref('Manifest')), headers: etagHeaders};
const file: Answer = {
	text: 'The file, or the part that was asked for (206).',
	content: {types: ['application/octet-stream'], schema: bytes},
	headers: fileHeaders,
};
export const tar: Answer = {
	text: 'The tar, or the part that was asked for (206).',
	content: {types: ['application/x-tar'], schema: bytes},
	headers: {...etagHeaders, 'Content-Disposition': 'What to call it.'},
};
export const range = {
	Range: param('A part of it: `bytes=0-1023`.'),
	'If-Range': param('Only if it is still the same.'),
};

export const imageOperations: readonly Operation[] = [
	{
		...{id: 'ping', method: 'GET', path: '/ping', group: images},
		summary: 'Whether a server is there, and which',
		text: 'Whoever sends a login here learns whether it is right. `error` simulates an error.',
		right: 'read',
		query: {error: param('The code of an error to be answered with.')},
		answers: {200: {text: 'It is there.', content: json(ref('Ping'))}},
	},
	{
		...{id: 'listImages', method: 'GET', path: '/images', group: images},
		summary: 'All images, oldest first',
		text: 'The merged list of all sources and of this server’s own images. Images that are not public are there for those who may see them.',
		right: 'read',
		query: {
			name: param('Equal to it; with a leading `~`: contains it.'),
			version: param('Equal to it; with a leading `~`: contains it.'),
			os: param('`smartos`, `linux`, …'),
			owner: param('The owner’s uuid.'),
			type: param('`zone-dataset`, `lx-dataset`, `zvol`, …; with a leading `!`: not this one.'),
			public: param('Only public ones, or only others.', flag),
			state: param(
				'`active` unless it is said. Others need a login.',
				oneOf('active', 'disabled', 'unactivated', 'creating', 'failed', 'all'),
			),
			'tag.KEY': param('Images with such a tag.'),
			billing_tag: param('Images with this billing tag; may be given several times.'),
			...{account, channel, inclAdminFields: adminFields},
			sort: param('Their order.', oneOf('published_at', 'published_at.asc', 'published_at.desc')),
			limit: param('At most so many.', integer),
			marker: param('From here on: a uuid or a date; the marker itself comes first.'),
		},
		headers: {
			'Accept-Version': acceptVersion,
			'Accept-Encoding': param(
				'`br` and `gzip` are there, but for the shortest lists; without it the list comes as it is.',
			),
			'If-None-Match': param('The ETag of any form that is taken: 304 if it is still that.'),
		},
		answers: {
			200: {
				text: 'Their manifests.',
				content: json(list(ref('Manifest'))),
				headers: {...etagHeaders, 'Content-Encoding': 'How it is compressed; each form has its own ETag.'},
			},
		},
		curl: "'BASE/images?os=linux&name=~debian'",
	},
	{
		...{id: 'getImage', method: 'GET', path: '/images/:uuid', group: images},
		summary: 'The manifest of one image, in any state',
		right: 'read',
		query: {account, channel, inclAdminFields: adminFields},
		headers: {'Accept-Version': acceptVersion},
		answers: {200: manifest},
	},
	{
		...{id: 'getImageFile', method: 'GET', path: '/images/:uuid/file', group: images},
		summary: 'Its file, whole or by Range',
		text: 'A file that is not here yet arrives while it is fetched. Its digest is known before, and its last bytes are sent only once it has been found right: where it is wrong, the connection is cut.',
		right: 'read',
		query: {index: param('Which of its files, if there are several.', integer), account, channel},
		headers: range,
		answers: {200: file, 206: file},
		curl: '-OJ BASE/images/UUID/file',
	},
	{
		...{id: 'getImageIcon', method: 'GET', path: '/images/:uuid/icon', group: images},
		summary: 'Its icon',
		right: 'read',
		query: {account, channel},
		answers: {
			200: {
				text: 'The icon.',
				content: {types: ['image/jpeg', 'image/png', 'image/gif', 'application/octet-stream'], schema: bytes},
				headers: etagHeaders,
			},
		},
	},
	{
		...{id: 'listImageJobs', method: 'GET', path: '/images/:uuid/jobs', group: images},
		summary: 'What is being done about an image',
		right: 'read',
		query: {
			task: param('Only those of this name: `import-remote`.'),
			execution: param('Only those that are so far.', oneOf('queued', 'running', 'succeeded', 'failed')),
			account,
			channel,
		},
		answers: {200: {text: 'The jobs.', content: json(list(ref('Job')))}},
	},
	{
		...{id: 'getJob', method: 'GET', path: '/jobs/:uuid', group: images},
		summary: 'How far a job is',
		right: 'read',
		answers: {200: {text: 'The job.', content: json(ref('Job'))}},
	},
	{
		...{id: 'listChannels', method: 'GET', path: '/channels', group: images},
		summary: 'The channels that images are in',
		text: '404 where this server has none.',
		right: 'read',
		answers: {200: {text: 'The channels.', content: json(list(ref('Channel')))}},
	},
];

const urn = {
	id: needed('A uuid or a URN: `cloud:creator:name:version`, or `name:version`, `cloud:creator:name`, `name`.'),
};
const datasetFilters = {
	name: param('Equal to it.'),
	version: param('Equal to it.'),
	type: param('`smartmachine` or `virtualmachine`, or a type of IMGAPI.'),
	os: param('`smartos`, `linux`, …'),
	creator_uuid: param('Whose it is.'),
	restricted_to_uuid: param('Whom it is for.'),
	channel,
};

export const datasetOperations: readonly Operation[] = [
	{
		...{id: 'listDatasets', method: 'GET', path: '/datasets', group: datasets},
		summary: 'Images as DSAPI lists them, newest first',
		right: 'read',
		query: datasetFilters,
		answers: {200: {text: 'The datasets.', content: json(list(ref('Dataset'))), headers: etagHeaders}},
	},
	{
		...{id: 'getDataset', method: 'GET', path: '/datasets/:id', group: datasets},
		summary: 'One of them, by uuid or URN',
		right: 'read',
		segments: urn,
		query: {channel},
		answers: {200: {text: 'The dataset.', content: json(ref('Dataset')), headers: etagHeaders}},
	},
	{
		...{id: 'getDatasetFile', method: 'GET', path: '/datasets/:id/:path', group: datasets},
		summary: 'Its file, by the path that the dataset gives it',
		right: 'read',
		segments: {...urn, path: needed('`files[0].path` of the dataset.')},
		query: {channel},
		headers: range,
		answers: {200: file, 206: file},
	},
	{
		...{id: 'getAsset', method: 'GET', path: '/assets/:path', group: datasets},
		summary: 'A file by its path alone',
		right: 'read',
		segments: {path: needed('`files[0].path` of a dataset.')},
		headers: range,
		answers: {200: file, 206: file},
	},
	{
		...{id: 'exportDataset', method: 'GET', path: '/api/export/:uuid', group: datasets},
		summary: 'Its manifests and its files as one tar, at dsapid’s address',
		text: 'First the manifest as DSAPI has it, then as IMGAPI has it. What is not here is fetched before the answer begins.',
		right: 'read',
		query: {account, channel},
		headers: range,
		answers: {200: tar, 206: tar},
		curl: '-OJ BASE/api/export/UUID',
	},
	{
		...{id: 'putDataset', method: 'PUT', path: '/datasets/:id', group: datasets},
		summary: 'Publishes a dataset sent as a form',
		text: 'First the part `manifest`, then one for its file, named by its path. A dataset that is there is not replaced.',
		right: 'publish',
		segments: {id: needed('The uuid in the manifest.', uuid)},
		query: {account, channel},
		body: {
			...{types: ['multipart/form-data'], schema: {type: 'object', properties: {manifest: text, file: bytes}}},
			...{text: 'The manifest and the file.', required: true},
		},
		answers: {200: {text: 'The dataset.', content: json(ref('Dataset')), headers: etagHeaders}},
		curl: '-u USER -X PUT -F manifest=@image.dsmanifest -F file=@image.zfs.gz BASE/datasets/UUID',
	},
	{
		...{id: 'deleteDataset', method: 'DELETE', path: '/datasets/:id', group: datasets},
		summary: 'Removes a dataset',
		right: 'publish',
		segments: {id: needed('Its uuid.', uuid)},
		query: {account},
		answers: {204: {text: 'It is gone.'}},
	},
	{
		...{id: 'uploadDataset', method: 'POST', path: '/api/upload', group: datasets},
		summary: 'The same as a form, at dsapid’s address',
		text: 'The uuid is in the manifest, or a new one is made.',
		right: 'publish',
		query: {account, channel},
		body: {
			...{types: ['multipart/form-data'], schema: {type: 'object', properties: {manifest: text, file: bytes}}},
			...{text: 'The manifest and the file.', required: true},
		},
		answers: {200: {text: 'The dataset.', content: json(ref('Dataset')), headers: etagHeaders}},
	},
];
