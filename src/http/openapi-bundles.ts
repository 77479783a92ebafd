/**
 * Carrying images by hand, described: the operations, and the shapes of `airgap/api.ts`.
 */
import {range, tar} from './openapi-images.js';
import {lineError} from './openapi-schemas-operate.js';
import {
	bytes,
	described,
	digest,
	either,
	flag,
	integer,
	json,
	lines,
	list,
	needed,
	number,
	object,
	oneOf,
	param,
	ref,
	text,
	time,
	uuid,
	type Operation,
	type Parameter,
	type Schema,
} from './openapi-types.js';

const group = 'Carrying by hand';

const several = (what: string): Parameter => param(`${what} May be given several times.`);
const chosen: Readonly<Record<string, Parameter>> = {
	uuid: {...several('This image.'), schema: uuid},
	name: several('Glob.'),
	...{os: several('`smartos`, `linux`, …'), type: several('`zone-dataset`, …'), owner: several('The owner’s uuid.')},
	source: several('Offered by this source; `local`: our own.'),
	version: param('A range as npm has them, or a glob.'),
	newest: param('So many of each name.', {type: 'integer', minimum: 1}),
	publishedSince: param('Not older.', time),
	maxBytes: param('No more than fit in so many.', integer),
	rule: param('As that rule of the configuration has it.'),
	channel: param('What is in that channel.'),
	all: param('Everything whose files are here.', flag),
	origins: param('`false`: without the images that others are built upon.', flag),
};

export const bundleOperations: readonly Operation[] = [
	{
		...{group, id: 'getBundle', method: 'GET', path: '/export'},
		summary: 'Images as one bundle: the tar of an OCI image layout',
		text: 'The same images give the same bytes. What is not here is fetched before the answer begins; an image that cannot go fails all of it.',
		right: 'operate',
		query: chosen,
		headers: range,
		answers: {200: tar, 206: tar},
		curl: "-u USER -OJ 'BASE/export?name=debian*&newest=1'",
	},
	{
		...{group, id: 'getLackingBundle', method: 'POST', path: '/export'},
		summary: 'The same without what the far side has',
		right: 'operate',
		query: chosen,
		body: {
			...{types: ['text/plain'], schema: text},
			...{text: 'What `/mirror/have` gives there.', required: true},
		},
		answers: {200: {...tar, text: 'The tar.'}},
		curl: "-u USER -OJ --data-binary @have.txt 'BASE/export?all=true'",
	},
	{
		...{group, id: 'importBundle', method: 'PUT', path: '/import'},
		summary: 'Takes the images of a bundle: they are ours from then on',
		text: 'The body is taken as it comes, and nothing is seen before it is whole. An image that is broken stays out alone, with what is built upon it (422 at the end); what is here already is passed over. Whoever accepts `application/x-ndjson` by name is told of it line by line meanwhile.',
		right: 'operate',
		query: {
			allowUnsigned: param('Also what nobody has signed, or somebody whose key is not trusted.', flag),
			dryRun: param('Reads and checks everything, and keeps nothing.', flag),
			key: param('A key to be trusted this once: `ssh-ed25519 AAAA…`.'),
		},
		body: {
			...{types: ['application/x-tar', 'application/gzip', 'application/zstd'], schema: bytes},
			...{text: 'The tar, as it is or compressed.', required: true},
		},
		answers: {
			200: {
				text: 'What came of it; or one line for each step.',
				content: {
					types: ['application/json', 'application/x-ndjson'],
					schema: {anyOf: [ref('ImportReport'), ref('ImportEvent')]},
				},
			},
			422: {text: 'Not all of it came in.', content: json({anyOf: [ref('SpoiledReport'), ref('Error')]})},
		},
		curl: '-u USER -T bundle.tar BASE/import',
	},
	{
		...{group, id: 'planBundle', method: 'POST', path: '/mirror/export'},
		summary: 'What a bundle consists of, for whoever writes it',
		text: 'What is not here is fetched, unless `dryRun` is said. An image that cannot go is left out.',
		right: 'operate',
		body: {
			...json(
				object({
					'selection?': ref('Selection'),
					'channel?': described(text, 'What is in that channel.'),
					'all?': described(flag, 'Everything whose files are here.'),
					'origins?': described(flag, '`false`: without the images that others are built upon.'),
					'have?': described(text, 'What `/mirror/have` gives on the far side: only what is lacking there.'),
					'dryRun?': described(flag, 'Fetches nothing, and only tells.'),
				}),
			),
			...{text: 'Which images.', required: true},
		},
		answers: {200: {text: 'One line for each step.', content: lines(ref('PlanEvent'))}},
		curl: `-u USER -N --json '{"all": true}' BASE/mirror/export`,
	},
	{
		...{group, id: 'getHave', method: 'GET', path: '/mirror/have'},
		summary: 'Every image that is here whole, a line each: for an export elsewhere',
		right: 'private',
		answers: {200: {text: 'The lines.', content: {types: ['text/plain'], schema: text}}},
	},
	{
		...{group, id: 'listBundleKeys', method: 'GET', path: '/mirror/keys'},
		summary: 'What bundles are signed with, and whose are taken',
		right: 'operate',
		answers: {
			200: {
				text: 'The keys.',
				content: json(
					object({
						'own?': ref('PublicKey'),
						'ownProblem?': described(text, 'Why our own key, which is there, cannot be used.'),
						trusted: list(ref('TrustedKey')),
					}),
				),
			},
		},
	},
	{
		...{group, id: 'makeBundleKey', method: 'POST', path: '/mirror/keys'},
		summary: 'Makes the key that bundles are signed with',
		right: 'operate',
		body: {
			...json(object({'comment?': text, 'replace?': described(flag, 'Also where there is one: 409 otherwise.')})),
			...{text: 'What to call it.', required: false},
		},
		answers: {200: {text: 'Its public half.', content: json(ref('PublicKey'))}},
	},
	{
		...{group, id: 'trustBundleKey', method: 'POST', path: '/mirror/keys/trusted'},
		summary: 'Takes bundles that are signed with a key',
		right: 'operate',
		body: {...json(object({key: text})), text: 'The public key, as OpenSSH writes it.', required: true},
		answers: {
			200: {
				text: 'The key.',
				content: json(object({key: ref('TrustedKey'), added: described(flag, '`false`: it was trusted already.')})),
			},
		},
	},
	{
		...{group, id: 'untrustBundleKey', method: 'DELETE', path: '/mirror/keys/trusted'},
		summary: 'Takes them no more',
		right: 'operate',
		query: {key: needed('Its fingerprint, or its comment.')},
		answers: {204: {text: 'They are not taken any more.'}},
	},
];

const named = {uuid: text, name: text, version: text};
const publicKey = {line: text, fingerprint: text, comment: text};
const outcome = oneOf('imported', 'updated', 'there', 'failed');
const sums = {imported: integer, updated: integer, there: integer, failed: integer, bytes: integer, ms: number};
const warning = object({what: {const: 'warning'}, message: text});
const report = {
	...sums,
	images: list(object({...named, outcome, bytes: integer, 'problem?': text})),
	warnings: list(text),
};

export const bundleSchemas: Readonly<Record<string, Schema>> = {
	PlannedBlob: described(
		object({
			digest: text,
			size: integer,
			'text?': text,
			'base64?': text,
			'file?': described(object({uuid, index: integer, sha1: digest}), '`GET /images/<uuid>/file?index=<index>`.'),
		}),
		'One file below `blobs/sha256/`, and where its bytes are.',
	),
	PlanEvent: either(
		object({what: {const: 'begin'}, images: integer, bytes: integer, bytesToFetch: integer}),
		object({what: {const: 'fetching'}, ...named, bytes: integer}),
		object({what: {const: 'progress'}, bytesDone: integer}),
		warning,
		object({
			what: {const: 'image'},
			...{...named, bytes: integer, 'originOf?': text},
			filesLeftOut: described(flag, 'The far side has them.'),
			blobs: list(ref('PlannedBlob')),
		}),
		object({
			what: {const: 'left-out'},
			...{uuid: text, 'name?': text, 'version?': text},
			...{why: oneOf('there', 'failed'), 'problem?': text},
		}),
		object({what: {const: 'index'}, text, 'signature?': text, 'signedBy?': text}),
		object({what: {const: 'end'}, images: integer, there: integer, failed: integer, bytes: integer}),
		lineError,
	),
	ImportEvent: either(
		object({
			what: {const: 'begin'},
			...{images: integer, 'bytes?': integer},
			'signedBy?': object({fingerprint: text, 'comment?': text, trusted: flag}),
		}),
		object({what: {const: 'image'}, ...named, bytes: integer}),
		object({what: {const: 'progress'}, bytesDone: integer}),
		warning,
		object({what: {const: 'done'}, ...named, bytes: integer, outcome, 'problem?': text}),
		object({what: {const: 'end'}, ...sums}),
		lineError,
	),
	ImportReport: object(report),
	SpoiledReport: object({code: oneOf('BundleSpoiled'), message: text, ...report}),
	PublicKey: object(publicKey),
	TrustedKey: object({
		...publicKey,
		from: described(oneOf('own', 'file', 'config'), '`own`: bundles of our own come back.'),
	}),
};
