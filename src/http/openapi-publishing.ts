/**
 * IMGAPI as far as it changes images, and uploads, described.
 */
import {account, adminFields, channel, etagHeaders} from './openapi-images.js';
import {
	bytes,
	digest,
	flag,
	integer,
	json,
	list,
	needed,
	object,
	oneOf,
	param,
	ref,
	text,
	uuid,
	type Answer,
	type Body,
	type Operation,
	type Parameter,
} from './openapi-types.js';

const publishing = 'Publishing (IMGAPI)';
const uploads = 'Uploads';

const changed: Answer = {text: 'The image as it is now.', content: json(ref('Manifest')), headers: etagHeaders};
const ifMatch = {'If-Match': param('Only if the image still has this ETag: 412 otherwise.')};
const how = {account, channel, inclAdminFields: adminFields};
const file: Body = {
	...{types: ['application/octet-stream'], schema: bytes},
	...{text: 'The file as it is.', required: false},
};
const icon: Body = {
	...{types: ['image/jpeg', 'image/png', 'image/gif'], schema: bytes},
	...{text: 'The icon.', required: true},
};
const describedFile: Readonly<Record<string, Parameter>> = {
	compression: param('How the file is compressed.', oneOf('none', 'gzip', 'bzip2', 'xz')),
	sha1: param('Of the file: it is refused if it is another.', digest),
	dataset_guid: param('The guid of the snapshot in it.'),
	storage: param('`local`: there is no other.', oneOf('local')),
};
const putIcon = {
	group: publishing,
	path: '/images/:uuid/icon',
	right: 'publish',
	query: {...how, sha1: param('Of the icon.', digest), storage: param('`local`.', oneOf('local'))},
	headers: ifMatch,
	body: icon,
	answers: {200: changed},
} as const;

const describedImage: Readonly<Record<string, Parameter>> = {
	name: needed('Its name.'),
	version: needed('Its version.'),
	...Object.fromEntries(
		['uuid', 'owner', 'type', 'os', 'description', 'homepage', 'eula', 'origin'].map(name => [
			name,
			param(`\`${name}\` of the manifest.`),
		]),
	),
	...{nic_driver: param('Of zvols.'), disk_driver: param('Of zvols.'), cpu_type: param('Of zvols.')},
	image_size: param('Of zvols, in MiB.', integer),
	...{public: param('Seen by everybody.', flag), disabled: param('Not to be used.', flag)},
	generate_passwords: param('Of machines made of it.', flag),
	...Object.fromEntries(
		['acl', 'users', 'billing_tags', 'inherited_directories'].map(name => [
			name,
			param(`\`${name}\` of the manifest, with commas between.`),
		]),
	),
	'tag.NAME': param('A tag.'),
	'trait.NAME': param('A trait.'),
	'requirements.NAME': param('`brand`, `bootrom`, `min_platform`, `max_platform`, `min_ram`, `max_ram`, `ssh_key`.'),
	...describedFile,
	activate: param('`false` leaves it unactivated.', flag),
	...{account, channel},
};
const publish = {
	group: publishing,
	path: '/publish',
	summary: 'An image in one go: the file is the body, the query describes it',
	text: 'Nobody sees the image before it is whole. Whoever accepts `text/plain` by name gets the uuid alone.',
	right: 'publish',
	query: describedImage,
	body: {...file, required: true},
	answers: {
		200: {
			text: 'The image.',
			content: {types: ['application/json', 'text/plain'], schema: {anyOf: [ref('Manifest'), text]}},
			headers: {...etagHeaders, 'X-Image': 'Its uuid.'},
		},
	},
} as const;

export const publishingOperations: readonly Operation[] = [
	{
		...{id: 'createImage', method: 'POST', path: '/images', group: publishing},
		summary: 'A new image, of a manifest without uuid',
		text: 'It is seen once it has a file and is activated.',
		right: 'publish',
		query: {...how, action: param('`create-from-vm` and the like need a data center: 501.')},
		body: {...json(ref('NewManifest')), text: 'The manifest.', required: true},
		answers: {200: changed},
	},
	{
		...{id: 'changeImage', method: 'POST', path: '/images/:uuid', group: publishing},
		summary: 'Does something to an image',
		text: '`import`: a new image that keeps its uuid and date (`source`: from another server). `import-remote`: with its file and its origins, as a job. `activate`: it has its file, and is to be seen. `update`: other fields. `enable`, `disable`, `channel-add`, `change-stor`, `export`.',
		right: 'publish',
		query: {
			...how,
			action: needed(
				'What to do.',
				oneOf(
					...['import', 'import-remote', 'import-from-datacenter', 'activate', 'update', 'enable', 'disable'],
					...['channel-add', 'change-stor', 'export'],
				),
			),
			source: param('URL of another server, for `import` and `import-remote`.'),
			skip_owner_check: param('Is taken, and changes nothing.', flag),
			manta_path: param('For `export`.'),
			datacenter: param('For `import-from-datacenter`.'),
			stor: param('For `change-stor`: `local`.'),
		},
		headers: ifMatch,
		body: {
			...json({anyOf: [ref('Manifest'), ref('ManifestChange'), object({channel: text})]}),
			...{text: 'For `import`: a manifest; `update`: fields; `channel-add`: a channel.', required: false},
		},
		answers: {
			200: {
				...changed,
				text: 'The image as it is now; of `import-remote`, the job.',
				content: json({anyOf: [ref('Manifest'), object({image_uuid: uuid, job_uuid: uuid})]}),
			},
		},
		curl: "-u USER -X POST 'BASE/images/UUID?action=activate'",
	},
	{
		...{id: 'deleteImage', method: 'DELETE', path: '/images/:uuid', group: publishing},
		summary: 'Removes an image, or takes it out of a channel',
		right: 'publish',
		query: {account, channel, force_all_channels: param('Out of all channels, and the image itself.', flag)},
		headers: ifMatch,
		answers: {204: {text: 'It is gone.'}},
	},
	{
		...{id: 'changeImageAcl', method: 'POST', path: '/images/:uuid/acl', group: publishing},
		summary: 'Accounts that see an image',
		right: 'publish',
		query: {...how, action: param('What to do with them.', oneOf('add', 'remove'))},
		headers: ifMatch,
		body: {...json(list(uuid)), text: 'The accounts.', required: true},
		answers: {200: changed},
	},
	{
		...{id: 'cloneImage', method: 'POST', path: '/images/:uuid/clone', group: publishing},
		summary: 'Is not done here: 501',
		right: 'publish',
		answers: {},
	},
	{
		...{id: 'pushImage', method: 'POST', path: '/images/:uuid/push', group: publishing},
		summary: 'Is not done here: 501 for docker images, 422 for others',
		right: 'publish',
		answers: {},
	},
	{
		...{id: 'putImageFile', method: 'PUT', path: '/images/:uuid/file', group: publishing},
		summary: 'The file of an image that has none',
		text: '`compression` must be given, `sha1` should be. With `source` it is fetched from another server. An image that is activated keeps its file; one whose file was lost takes that very file again.',
		right: 'publish',
		query: {...how, ...describedFile, source: param('URL of another server to have it from.')},
		headers: ifMatch,
		body: file,
		answers: {200: changed},
		curl: "-u USER -T image.zfs.gz 'BASE/images/UUID/file?compression=gzip'",
	},
	{
		...{id: 'putImageFileFromUrl', method: 'POST', path: '/images/:uuid/file/from-url', group: publishing},
		summary: 'The file from a URL',
		right: 'publish',
		query: {...how, ...describedFile},
		headers: ifMatch,
		body: {...json(object({file_url: text})), text: 'Where it is.', required: true},
		answers: {200: changed},
	},
	{...putIcon, id: 'putImageIcon', method: 'PUT', summary: 'An icon: JPEG, PNG or GIF'},
	{...putIcon, id: 'postImageIcon', method: 'POST', summary: 'The same, for clients that cannot PUT'},
	{
		...{id: 'deleteImageIcon', method: 'DELETE', path: '/images/:uuid/icon', group: publishing},
		summary: 'Removes the icon',
		right: 'publish',
		query: how,
		headers: ifMatch,
		answers: {200: changed},
	},
	{
		...{...publish, id: 'publish', method: 'PUT'},
		curl: "-u USER -T image.zfs.gz 'BASE/publish?name=N&version=V'",
	},
	{...publish, id: 'publishByPost', method: 'POST'},
];

const tus = {'Tus-Resumable': needed('The version of the protocol: `1.0.0`.', oneOf('1.0.0'))};
const progress = {
	'Upload-Offset': 'Bytes that have arrived.',
	'Upload-Expires': 'How long it is kept.',
	'X-Image': 'What it has become, once it is whole.',
} as const;
const one = {path: '/uploads/:upload', group: uploads, segments: {upload: needed('From `Location`.')}} as const;
const piece: Body = {
	...{types: ['application/offset+octet-stream'], schema: bytes},
	...{text: 'The bytes from the offset on.', required: false},
};

export const uploadOperations: readonly Operation[] = [
	{
		...{id: 'describeUploads', method: 'OPTIONS', path: '/uploads', group: uploads},
		summary: 'What of tus is spoken here',
		answers: {
			204: {
				text: 'In headers.',
				headers: {'Tus-Version': '`1.0.0`', 'Tus-Extension': 'What it can do.', 'Tus-Resumable': '`1.0.0`'},
			},
		},
	},
	{
		...{id: 'beginUpload', method: 'POST', path: '/uploads', group: uploads},
		summary: 'Begins an upload that can be resumed (tus 1.0)',
		text: '`Upload-Metadata` says what it is to become: `image` is the uuid of an image that is to get it as its file; otherwise the names that `/publish` has describe a new one.',
		right: 'publish',
		headers: {
			...tus,
			'Upload-Length': param('Of all of it.', integer),
			'Upload-Defer-Length': param('`1`: that is not known yet.', oneOf('1')),
			'Upload-Metadata': param('Names, each with a value in base64, with commas between.'),
		},
		body: piece,
		answers: {201: {text: 'It has begun.', headers: {Location: 'Where it goes on.', ...progress}}},
	},
	{
		...{...one, id: 'describeUpload', method: 'OPTIONS'},
		summary: 'What of tus is spoken here',
		answers: {204: {text: 'In headers.'}},
	},
	{
		...{...one, id: 'getUpload', method: 'GET'},
		summary: 'An upload, for people',
		right: 'publish',
		answers: {200: {text: 'The upload.', content: json(ref('Upload')), headers: progress}},
	},
	{
		...{...one, id: 'getUploadOffset', method: 'HEAD'},
		summary: 'Where an upload goes on',
		right: 'publish',
		headers: tus,
		answers: {200: {text: 'In headers.', headers: progress}},
	},
	{
		...{...one, id: 'continueUpload', method: 'PATCH'},
		summary: 'Goes on with an upload',
		text: 'With the last byte it becomes what it was begun for, and the answer names the image.',
		right: 'publish',
		headers: {
			...tus,
			'Upload-Offset': needed('Where these bytes belong.', integer),
			'Upload-Length': param('If it was not known before.', integer),
		},
		body: {...piece, required: true},
		answers: {204: {text: 'They are here.', headers: progress}},
	},
	{
		...{...one, id: 'giveUpUpload', method: 'DELETE'},
		summary: 'Gives an upload up',
		right: 'publish',
		headers: tus,
		answers: {204: {text: 'It is gone.'}},
	},
	{
		...{...one, id: 'overrideUpload', method: 'POST'},
		summary: 'PATCH or DELETE, for clients that can send nothing but POST',
		right: 'publish',
		headers: {...tus, 'X-HTTP-Method-Override': needed('The method that is meant.', oneOf('PATCH', 'DELETE'))},
		body: piece,
		answers: {204: {text: 'As the method that was meant.', headers: progress}},
	},
];
