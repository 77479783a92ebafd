/**
 * Shapes of images and of what is done with them, as the description of the API has them.
 */
import {
	described,
	digest,
	either,
	flag,
	free,
	integer,
	list,
	map,
	number,
	object,
	oneOf,
	ref,
	text,
	time,
	uuid,
	type Schema,
} from './openapi-types.js';

const imageFile = object({
	'sha1?': digest,
	'md5?': text,
	size: integer,
	compression: oneOf('none', 'gzip', 'bzip2', 'xz'),
	'dataset_guid?': text,
	'stor?': described(text, 'With `inclAdminFields`.'),
});

const manifestFields: Readonly<Record<string, Schema>> = {
	'v?': {type: 'integer', const: 2},
	uuid,
	'owner?': uuid,
	name: text,
	version: text,
	'state?': oneOf('active', 'disabled', 'unactivated', 'creating', 'failed'),
	'disabled?': flag,
	'public?': flag,
	'published_at?': time,
	'type?': oneOf('zone-dataset', 'lx-dataset', 'zvol', 'docker', 'lxd', 'other'),
	'os?': oneOf('smartos', 'linux', 'windows', 'bsd', 'illumos', 'other'),
	'files?': list(ref('ImageFile')),
	'description?': text,
	'homepage?': text,
	'eula?': text,
	'icon?': flag,
	'urn?': text,
	'acl?': list(uuid),
	'requirements?': free,
	'users?': list(object({name: text})),
	'billing_tags?': list(text),
	'traits?': free,
	'tags?': free,
	'generate_passwords?': flag,
	'inherited_directories?': list(text),
	'nic_driver?': text,
	'disk_driver?': text,
	'cpu_type?': text,
	'image_size?': number,
	'origin?': described(uuid, 'The image that this one is built upon.'),
	'channels?': list(text),
};

function allOptional(fields: Readonly<Record<string, Schema>>): Readonly<Record<string, Schema>> {
	return Object.fromEntries(Object.entries(fields).map(([name, schema]) => [name.replace(/\??$/u, '?'), schema]));
}

const fault = object({
	field: text,
	code: oneOf('Invalid', 'Missing', 'MissingParameter', 'NotAllowed'),
	'message?': text,
});

export const imageSchemas: Readonly<Record<string, Schema>> = {
	Error: object({
		code: described(text, 'For programs: `ResourceNotFound`, `ValidationFailed`, `RemoteSourceError`, …'),
		message: described(text, 'For people.'),
		'errors?': list(ref('Fault')),
		'error?': described(object({message: text, code: integer}), 'Below `/datasets` and `/assets`, as DSAPI has it.'),
	}),
	Fault: described(fault, 'What is wrong with one field.'),
	Manifest: {
		...object(manifestFields),
		description: 'An image, as its source describes it.',
		additionalProperties: true,
	},
	NewManifest: {
		...object({...allOptional(manifestFields), name: text, version: text}),
		description: 'What a client says of a new image; the server fills in the rest.',
		additionalProperties: true,
	},
	ManifestChange: {
		...object(allOptional(manifestFields)),
		description: 'The fields that change; `null` takes one away.',
		additionalProperties: true,
	},
	ImageFile: described(imageFile, 'A file of an image.'),
	Ping: object({
		ping: {type: 'string', const: 'pong'},
		version: text,
		imgapi: flag,
		'pid?': integer,
		'user?': described(text, 'Whose login the request had.'),
	}),
	Channel: object({name: text, description: text, 'default?': flag}),
	Job: {
		...object({
			uuid,
			name: text,
			execution: oneOf('queued', 'running', 'succeeded', 'failed'),
			image_uuid: uuid,
			created_at: time,
			chain_results: list(object({name: text, result: text, error: text})),
		}),
		additionalProperties: true,
	},
	Dataset: {
		...object({
			uuid,
			name: text,
			version: text,
			'urn?': text,
			'type?': text,
			'os?': text,
			'description?': text,
			'published_at?': time,
			'creator_uuid?': uuid,
			'creator_name?': text,
			'files?': list({
				...object({'path?': text, 'sha1?': digest, 'size?': integer, 'url?': text}),
				additionalProperties: true,
			}),
		}),
		description: 'An image as DSAPI describes it (a manifest of version 1).',
		additionalProperties: true,
	},
	Upload: object({
		id: text,
		offset: described(integer, 'Bytes that have arrived.'),
		'size?': integer,
		metadata: map(text),
		'expires?': time,
		'image?': described(uuid, 'What it has become.'),
	}),
	AdoptEvent: either(
		object({what: {const: 'found'}, images: integer, bytes: integer}),
		object({what: {const: 'image'}, uuid, name: text, version: text, bytes: integer}),
		object({what: {const: 'progress'}, uuid, bytes: integer}),
		object({what: {const: 'done'}, uuid, outcome: oneOf('adopted', 'there', 'failed'), 'problem?': text}),
		object({what: {const: 'end'}, adopted: integer, there: integer, failed: integer}),
	),
	CheckResult: object({
		errors: described(list(ref('Fault')), 'What publishing would refuse.'),
		advice: list(object({'field?': text, message: text})),
	}),
	Session: object({
		'user?': text,
		rights: list(oneOf('read', 'private', 'publish', 'operate')),
		credential: oneOf('none', 'password', 'token', 'signature', 'session', 'control'),
		hasUsers: described(flag, 'There is somebody who could log in.'),
		mode: described(oneOf('any', 'public', 'private'), 'Which images are taken.'),
		channels: list(ref('Channel')),
		version: text,
		'publicUrl?': text,
	}),
	Readiness: object({
		status: oneOf('ready', 'not ready'),
		problems: list(text),
		'warnings?': described(list(text), 'For those who may see all images.'),
	}),
};
