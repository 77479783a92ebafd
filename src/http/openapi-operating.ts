/**
 * What operators ask for, described.
 */
import {
	described,
	flag,
	integer,
	json,
	lines,
	list,
	needed,
	object,
	oneOf,
	param,
	ref,
	text,
	uuid,
	type Answer,
	type Operation,
	type Schema,
} from './openapi-types.js';

const group = 'Operating';
const states = oneOf('active', 'disabled', 'unactivated', 'creating', 'failed', 'all');

function report(text: string, schema: Schema): Readonly<Record<number, Answer>> {
	return {200: {text, content: json(schema)}};
}

export const operatingOperations: readonly Operation[] = [
	{
		...{group, id: 'listKnownImages', method: 'GET', path: '/mirror/images'},
		summary: 'All images that are known, and whether they are here',
		text: 'Held ones and those of every state included, oldest first.',
		right: 'private',
		query: {
			name: param('Equal to it; with a leading `~`: contains it.'),
			version: param('Equal to it; with a leading `~`: contains it.'),
			os: param('`smartos`, `linux`, …'),
			type: param('`zone-dataset`, …; with a leading `!`: not this one.'),
			owner: param('The owner’s uuid.'),
			state: param('`all` unless it is said.', states),
			public: param('Only public ones, or only others.', flag),
			source: param('Offered by this source; `local`: our own.'),
			here: param('How much of its file is here.', oneOf('here', 'coming', 'part', 'away', 'true', 'false')),
			pinned: param('Only pinned ones, or only others.', flag),
			held: param('Only held ones, or only others.', flag),
			wanted: param('Only those that a prefetch rule wants, or only others.', flag),
			vanished: param('Only those that their source has no more, or only others.', flag),
			limit: param('At most so many.', integer),
			offset: param('So many are left out before.', integer),
		},
		answers: {
			200: {
				text: 'The images.',
				content: json(list(ref('ImageRow'))),
				headers: {ETag: 'For `If-None-Match`.', 'X-Total-Count': 'How many there are without `limit` and `offset`.'},
			},
		},
		curl: "--compressed 'BASE/mirror/images?here=here&name=~debian'",
	},
	{
		...{group, id: 'getKnownImage', method: 'GET', path: '/mirror/images/:uuid'},
		summary: 'All about one image: its manifest, its origins, its files and why they stay',
		right: 'private',
		answers: report('The image.', ref('ImageDetails')),
	},
	{
		...{group, id: 'operateImage', method: 'POST', path: '/mirror/images/:uuid'},
		summary: 'Pins, unpins, holds or releases an image',
		text: '`pin`: it stays with its origins, whatever happens. `hold`: it is offered to nobody. `release`: it is offered at once, whatever its source’s rule says.',
		right: 'operate',
		query: {action: needed('What to do.', oneOf('pin', 'unpin', 'hold', 'release'))},
		body: {...json(object({'note?': text})), text: 'For `hold`: why.', required: false},
		answers: report('What came of it.', {
			anyOf: [ref('PinOutcome'), ref('HeldReport'), object({released: list(uuid)})],
		}),
		curl: "-u USER -X POST 'BASE/mirror/images/UUID?action=pin'",
	},
	{
		...{group, id: 'evictImages', method: 'POST', path: '/mirror/evict'},
		summary: 'Deletes the files of images; they stay in the list',
		right: 'operate',
		body: {
			...json(
				object({
					uuids: list(uuid),
					'force?': described(flag, 'Also what a rule wants, or another image is built upon.'),
				}),
			),
			...{text: 'Which.', required: true},
		},
		answers: report('What came of each.', list(ref('EvictOutcome'))),
	},
	{
		...{group, id: 'getStorage', method: 'GET', path: '/mirror/storage'},
		summary: 'What the disk holds, what goes next and why',
		right: 'private',
		query: {files: param('At most so many files: 1000 unless it is said; or `all`.')},
		answers: report('The storage.', ref('StorageReport')),
	},
	{
		...{group, id: 'verifyFiles', method: 'POST', path: '/mirror/verify'},
		summary: 'Reads files again and says which are right',
		text: 'What is wrong goes into quarantine and is fetched again. Whoever leaves ends it.',
		right: 'operate',
		body: {
			...json(
				object({
					'uuids?': described(list(uuid), 'Of these images; missing: all.'),
					'bytesPerSecond?': described(integer, '0: as fast as it goes.'),
				}),
			),
			...{text: 'Which, and how fast.', required: false},
		},
		answers: {200: {text: 'One line for each step.', content: lines(ref('VerifyEvent'))}},
		curl: '-u USER -N -X POST BASE/mirror/verify',
	},
	{
		...{group, id: 'listPrefetchRules', method: 'GET', path: '/mirror/prefetch'},
		summary: 'The prefetch rules, and how they fare',
		right: 'private',
		answers: report('The rules.', list(ref('RuleReport'))),
	},
	{
		...{group, id: 'prefetch', method: 'POST', path: '/mirror/prefetch'},
		summary: 'Fetches images ahead, or tells what that would be',
		text: 'Clients’ own requests go first. Whoever leaves ends it; asked for again, it goes on where it was.',
		right: 'operate',
		body: {
			...json(
				object({
					selection: ref('Selection'),
					'dryRun?': described(flag, 'Only tells names, bytes and how long it would take.'),
					'bytesPerSecond?': described(integer, '0: as fast as it goes.'),
					'concurrent?': {type: 'integer', minimum: 1, maximum: 32},
				}),
			),
			...{text: 'Which, and how.', required: true},
		},
		answers: {
			200: {
				text: 'One line for each step; of `dryRun`, the plan.',
				content: {
					types: ['application/x-ndjson', 'application/json'],
					schema: {anyOf: [ref('PrefetchEvent'), ref('PrefetchPlan')]},
				},
			},
		},
		curl: `-u USER -N --json '{"selection": {"name": ["debian*"], "newest": 1}}' BASE/mirror/prefetch`,
	},
	{
		...{group, id: 'runPrefetchRule', method: 'POST', path: '/mirror/prefetch/run'},
		summary: 'Runs a rule now, whatever its schedule says',
		right: 'operate',
		query: {rule: needed('Its name.')},
		answers: {202: {text: 'It runs.', content: json(object({}))}},
	},
	{
		...{group, id: 'listSources', method: 'GET', path: '/mirror/sources'},
		summary: 'Sources, their lists and their health',
		right: 'private',
		answers: report('The sources.', list(ref('SourceReport'))),
	},
	{
		...{group, id: 'listConflicts', method: 'GET', path: '/mirror/conflicts'},
		summary: 'Images that two sources describe with different files',
		right: 'private',
		answers: report('The conflicts.', list({type: 'object', additionalProperties: true})),
	},
	{
		...{group, id: 'listTransfers', method: 'GET', path: '/mirror/transfers'},
		summary: 'Files on their way here',
		right: 'private',
		answers: report('The transfers.', list(ref('TransferReport'))),
	},
	{
		...{group, id: 'listFailures', method: 'GET', path: '/mirror/failures'},
		summary: 'What failed lately, newest first',
		right: 'private',
		answers: report('The failures.', list(ref('MirrorEvent'))),
	},
	{
		...{group, id: 'listHeld', method: 'GET', path: '/mirror/held'},
		summary: 'Images that are offered to nobody yet, and why',
		right: 'private',
		answers: report('The images.', list(ref('HeldReport'))),
	},
	{
		...{group, id: 'getHistory', method: 'GET', path: '/mirror/history'},
		summary: 'The last hours in numbers',
		right: 'private',
		query: {hours: param('24 unless it is said.', {type: 'integer', minimum: 1, maximum: 168})},
		answers: report('The numbers.', ref('HistoryReport')),
	},
	{
		...{group, id: 'refreshSources', method: 'POST', path: '/mirror/refresh'},
		summary: 'Reads the lists of sources now',
		right: 'operate',
		query: {source: param('Only this one.')},
		answers: report('What came of each.', list(object({source: text, 'problem?': text}))),
	},
	{
		...{group, id: 'readLog', method: 'GET', path: '/mirror/log'},
		summary: 'The last lines of the log',
		right: 'operate',
		query: {
			lines: param('So many: 100 unless it is said.', {type: 'integer', minimum: 0, maximum: 10_000}),
			level: param('This and above.', oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal')),
			follow: param('And those that come, until you leave.', flag),
		},
		answers: {200: {text: 'One line each.', content: lines(ref('LogLine'))}},
		curl: "-u USER -N 'BASE/mirror/log?level=warn&follow=true'",
	},
	{
		...{group, id: 'checkManifest', method: 'POST', path: '/mirror/check'},
		summary: 'Whether a manifest could be published, and what could be better',
		right: 'read',
		body: {
			...json({type: 'object', additionalProperties: true}),
			...{text: 'A manifest, of 128 KiB at most.', required: true},
		},
		answers: report('What there is to say.', ref('CheckResult')),
	},
	{
		...{group, id: 'readEvents', method: 'GET', path: '/events'},
		summary: 'What happens, as it happens: server-sent events',
		text: 'Each has its type as `event` and a `MirrorEvent` as `data`. Whoever comes back with `Last-Event-ID` is told what it missed; where that is not possible, the first event is `reset`, and everything must be looked at anew. A comment comes every 15 seconds.',
		right: 'private',
		headers: {'Last-Event-ID': param('The `id` of the last event that was read.')},
		answers: {200: {text: 'Events, without end.', content: {types: ['text/event-stream'], schema: ref('MirrorEvent')}}},
		curl: '-N BASE/events',
	},
	{
		...{group, id: 'getState', method: 'GET', path: '/state'},
		summary: 'The server’s inner state, as IMGAPI has it',
		right: 'operate',
		answers: report('The state.', {type: 'object', additionalProperties: true}),
	},
	{
		...{group, id: 'updateState', method: 'POST', path: '/state'},
		summary: 'Drops what is kept ready made',
		right: 'operate',
		query: {action: needed('What to do.', oneOf('dropcaches'))},
		answers: {202: {text: 'It is dropped.'}},
	},
	{
		...{group, id: 'reloadAuthKeys', method: 'POST', path: '/authkeys/reload'},
		summary: 'Reads users and keys again',
		right: 'operate',
		answers: report('They have been read.', object({})),
	},
	{
		...{group, id: 'adopt', method: 'POST', path: '/adopt'},
		summary: 'Takes over what an older server kept on this machine',
		text: 'Only by the control socket, which the command line uses.',
		right: 'operate',
		body: {
			...json(object({directory: text, 'how?': oneOf('copy', 'link', 'move'), 'dryRun?': flag})),
			...{text: 'Which folder.', required: true},
		},
		answers: {200: {text: 'One line for each step.', content: lines(ref('AdoptEvent'))}},
	},
];
