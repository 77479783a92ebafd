/**
 * What a mirror would say, made up: as many images as a test wants, transfers, sources, a disk, hours of history.
 *
 * The same number always makes the same data, so that pictures of it can be compared.
 */
import type {HistoryPoint, HistoryReport} from '../../src/history/api.js';
import type {
	ImageDetails,
	ImageRow,
	SourceReport,
	StorageReport,
	StoredFile,
	TransferReport,
} from '../../src/mirror-operate-api.js';
import type {RuleReport} from '../../src/prefetch/api.js';

export const beginning = Date.parse('2026-03-01T12:00:00.000Z');

const names: readonly (readonly [string, string, string])[] = [
	['base-64', 'smartos', 'zone-dataset'],
	['base-64-lts', 'smartos', 'zone-dataset'],
	['minimal-64-lts', 'smartos', 'zone-dataset'],
	['pkgbuild', 'smartos', 'zone-dataset'],
	['nginx', 'smartos', 'zone-dataset'],
	['postgresql', 'smartos', 'zone-dataset'],
	['debian-12', 'linux', 'lx-dataset'],
	['ubuntu-24.04', 'linux', 'lx-dataset'],
	['centos-7', 'linux', 'zvol'],
	['rocky-9', 'linux', 'zvol'],
	['freebsd-14', 'bsd', 'zvol'],
	['openbsd-7', 'bsd', 'zvol'],
	['windows-2022', 'windows', 'zvol'],
	['imgapi', 'smartos', 'zone-dataset'],
	['vmapi', 'smartos', 'zone-dataset'],
	['platform', 'other', 'other'],
	['orgbase', 'smartos', 'zone-dataset'],
	['web', 'smartos', 'zone-dataset'],
];

export function uuidOf(number: number): ImageRow['uuid'] {
	const mixed = Math.imul(number + 1, 2_654_435_761) >>> 0;
	const hex = mixed.toString(16).padStart(8, '0');
	return `${hex}-${hex.slice(4)}-4${hex.slice(1, 4)}-a${hex.slice(0, 3)}-${String(number).padStart(12, '0')}` as ImageRow['uuid'];
}

/** Oldest first, as the mirror lists them. The first is an origin, the next three are built upon each other. */
export function makeRows(count: number): readonly ImageRow[] {
	return Array.from({length: count}, (_, at): ImageRow => {
		const [name, os, type] = names[at % names.length] ?? ['base', 'smartos', 'zone-dataset'];
		const isOurs = at % names.length >= 16;
		const source = isOurs ? 'local' : at % 5 === 0 ? 'triton' : 'smartos';
		const here = at % 7 === 0 ? 'here' : at % 97 === 0 ? 'coming' : at % 53 === 0 ? 'part' : 'away';
		return {
			uuid: uuidOf(at),
			...{name, os, type, source},
			version: `${20 + Math.floor(at / 400)}.${Math.floor(at / 18) % 22}.${at % 10}`,
			state: isOurs && at % 31 === 0 ? 'disabled' : 'active',
			owner: '00000000-0000-0000-0000-000000000000',
			public: at % 11 !== 3,
			publishedAt: new Date(beginning - (count - at) * 3_600_000 * 3).toISOString(),
			...(at > 0 && at < 4 ? {origin: uuidOf(at - 1)} : {}),
			size: 20_000_000 + ((at * 7_919_000) % 900_000_000),
			sources: isOurs ? ['local'] : at % 3 === 0 ? [source, 'old'] : [source],
			here: isOurs || at < 4 ? 'here' : here,
			pinned: at % 41 === 0,
			wantedBy: at % 29 === 0 ? ['nightly'] : [],
			...(at % 7 === 0 ? {lastUsedAt: new Date(beginning - at * 60_000).toISOString()} : {}),
			...(at % 211 === 5
				? {held: {source, why: 'age' as const, until: new Date(beginning + 86_400_000).toISOString()}}
				: {}),
			vanished: at % 173 === 9,
		};
	});
}

export function detailsOf(row: ImageRow, rows: readonly ImageRow[]): ImageDetails {
	const origins: ImageRow[] = [];
	let {origin} = row;
	while (origin !== undefined) {
		const parent = rows.find(({uuid}) => uuid === origin);
		if (parent === undefined) {
			break;
		}
		origins.push(parent);
		({origin} = parent);
	}
	const sha1 = row.uuid.replaceAll('-', '').padEnd(40, '0');
	return {
		...row,
		manifest: {
			...{v: 2, uuid: row.uuid, owner: row.owner, name: row.name, version: row.version, state: row.state},
			...{disabled: row.state === 'disabled', public: row.public, published_at: row.publishedAt, type: row.type},
			...{os: row.os, files: [{sha1, size: row.size, compression: 'gzip'}], origin: row.origin},
		},
		origins,
		dependents: rows.filter(one => one.origin === row.uuid),
		files: [
			{
				...{sha1, size: row.size, here: row.here},
				...(row.here === 'here' ? {storedAt: new Date(beginning - 86_400_000).toISOString()} : {}),
				stays: [
					...(row.source === 'local' ? ['published here'] : []),
					...(row.pinned ? ['pinned'] : []),
					...row.wantedBy.map(rule => `wanted by rule ${rule}`),
				],
			},
		],
	};
}

export function makeStorage(rows: readonly ImageRow[]): StorageReport {
	const files = rows
		.filter(({here}) => here === 'here')
		.map((row): StoredFile => {
			const [file] = detailsOf(row, []).files;
			return {
				sha1: file?.sha1 ?? '',
				size: row.size,
				images: [{uuid: row.uuid, name: row.name, version: row.version}],
				storedAt: new Date(beginning - 40 * 86_400_000).toISOString(),
				lastUsedAt: row.lastUsedAt ?? new Date(beginning - 20 * 86_400_000).toISOString(),
				verifiedAt: new Date(beginning - 3 * 86_400_000).toISOString(),
				stays: file?.stays ?? [],
			};
		});
	const all = [...files].sort((one, other) => one.stays.length - other.stays.length);
	const sum = (some: readonly StoredFile[]): number => some.reduce((bytes, {size}) => bytes + size, 0);
	const free = all.filter(({stays}) => stays.length === 0);
	const reason = (word: string): number => sum(all.filter(({stays}) => stays[0]?.startsWith(word)));
	const bytes = sum(all);
	const allowed = Math.max(1e10, bytes * 1.15);
	const next = free.slice(0, 3);
	return {
		files: all.length,
		bytes,
		partials: rows.length > 0 ? 2 : 0,
		partialBytes: rows.length > 0 ? 310_000_000 : 0,
		reservedBytes: rows.length > 0 ? 500_000_000 : 0,
		freeBytes: 420e9,
		diskBytes: 1e12,
		limits: {
			maxBytes: allowed,
			minFreeBytes: 50e9,
			allowedBytes: allowed,
			highBytes: allowed * 0.95,
			lowBytes: allowed * 0.85,
		},
		byReason:
			all.length === 0
				? {}
				: {
						published: reason('published'),
						pinned: reason('pinned'),
						wanted: reason('wanted'),
						'free-to-go': sum(free),
					},
		all,
		next:
			next.length === 0
				? {files: 0, bytes: 0, because: 'Nothing has to go: there is room.'}
				: {
						files: next.length,
						bytes: sum(next),
						because: 'Files take more than the high mark: the least recently used go first.',
					},
		quarantine:
			all.length === 0
				? []
				: [
						{
							name: '2026-02-27-da39a3ee5e6b4b0d3255bfef95601890afd80709',
							size: 31_000_000,
							since: new Date(beginning - 2 * 86_400_000).toISOString(),
							note: {source: 'triton', expected: 'da39a3ee5e6b4b0d3255bfef95601890afd80709'},
						},
					],
		scrub: {
			...{running: false, files: all.length, filesDone: all.length, bytes, bytesDone: bytes, wrong: 0},
			...(all.length === 0 ? {} : {endedAt: new Date(beginning - 86_400_000).toISOString()}),
			nextAt: new Date(beginning + 6 * 86_400_000).toISOString(),
			damaged: [],
		},
	};
}

export function makeTransfers(rows: readonly ImageRow[]): readonly TransferReport[] {
	return rows.slice(4, 8).map(({uuid, name, version, size}, at) => ({
		image: {uuid, name, version},
		sha1: uuid.replaceAll('-', '').padEnd(40, '1'),
		size,
		written: at === 3 ? 0 : Math.floor(size * (0.2 + at * 0.25)),
		resumedFrom: at === 1 ? 12_000_000 : 0,
		followers: at === 2 ? 0 : at * 7 + 3,
		...(at === 3 ? {} : {source: 'smartos'}),
		waiting: at === 3,
		background: at === 2,
		since: new Date(beginning - 30_000).toISOString(),
		bytesPerSecond: at === 3 ? 0 : 9_000_000 + at * 3_000_000,
		...(at === 3 ? {} : {etaMs: 21_000 + at * 60_000}),
	}));
}

export function makeSources(isEmpty = false): readonly SourceReport[] {
	if (isEmpty) {
		return [];
	}
	const at = (agoMs: number): string => new Date(beginning - agoMs).toISOString();
	const usual = {kind: 'imgapi', held: 0, vanished: 0, skipped: 0, reasons: [], fresh: true};
	return [
		{
			...usual,
			name: 'smartos',
			urls: ['https://images.smartos.org', 'https://images.joyent.com'],
			images: 1412,
			held: 3,
			fetchedAt: at(120_000),
			ageMs: 120_000,
			nextTryAt: at(-180_000),
			health: {
				...{state: 'up', since: at(86_400_000 * 3), lastSuccessAt: at(120_000), consecutiveFailures: 0},
				...{latencyMs: 84.3, requests: 5210, failures: 4, marks: 0},
			},
		},
		{
			...usual,
			name: 'triton',
			urls: ['https://updates.tritondatacenter.com?channel=release'],
			images: 310,
			vanished: 2,
			fresh: false,
			fetchedAt: at(5_400_000),
			ageMs: 5_400_000,
			nextTryAt: at(-40_000),
			lastError: 'connect timed out after 10 s',
			health: {
				...{state: 'down', since: at(4_000_000), lastSuccessAt: at(5_400_000), lastFailureAt: at(20_000)},
				...{lastError: 'connect timed out after 10 s', consecutiveFailures: 9, latencyMs: 310, requests: 800},
				...{failures: 40, marks: 1, lastMark: 'a file with another sha1'},
			},
		},
		{
			...usual,
			name: 'old',
			kind: 'dsapi',
			urls: ['http://datasets.example.com/datasets'],
			images: 96,
			skipped: 2,
			reasons: ['no uuid'],
			fetchedAt: at(200_000),
			ageMs: 200_000,
			health: {
				...{state: 'up', since: at(7_000_000), consecutiveFailures: 0, latencyMs: 41},
				...{requests: 300, failures: 0, marks: 0},
			},
		},
	];
}

export function makeHistory(hours: number, isEmpty = false, toMs = beginning): HistoryReport {
	const stepMs = 60_000;
	const count = isEmpty ? 0 : (hours * 3_600_000) / stepMs;
	const points = Array.from({length: count}, (_, index): HistoryPoint => {
		const wave = 1 + Math.sin(index / 9) + Math.sin(index / 31);
		const burst = index % 37 < 5 ? 3 : 1;
		return {
			at: new Date(toMs - (count - 1 - index) * stepMs).toISOString(),
			ms: stepMs,
			requests: Math.round(90 + 60 * wave * burst),
			errors: index % 41 === 0 ? 3 : 0,
			out: {
				hit: Math.max(0, 6e8 * wave * burst),
				join: burst === 3 ? 4e8 : 5e7,
				miss: burst === 3 ? 2e8 : 3e7,
				local: 4e7,
			},
			in: {smartos: burst === 3 ? 2e8 : 3e7, triton: index % 50 < 10 ? 6e7 : 0},
			files: {hit: 30 * burst, join: burst === 3 ? 12 : 1, miss: burst, local: 2},
			connections: 12,
			storeBytes: 4e11,
		};
	}).filter((_, index) => hours < 24 || index % 1440 < 300 || index % 1440 > 330);
	const state = (ago: number, is: 'up' | 'down', problem?: string) => ({
		at: new Date(toMs - ago).toISOString(),
		state: is,
		...(problem === undefined ? {} : {problem}),
	});
	const sourcePoints = points.map(({at}) => ({at, state: 'up' as const}));
	return {
		stepMs,
		from: new Date(toMs - hours * 3_600_000).toISOString(),
		to: new Date(toMs).toISOString(),
		points,
		sources: isEmpty
			? {}
			: {
					smartos: {points: sourcePoints, changes: [state(86_400_000, 'up')]},
					triton: {
						points: sourcePoints,
						changes: [
							state(86_400_000, 'up'),
							state(50_000_000, 'down', 'HTTP status 502'),
							state(47_000_000, 'up'),
							state(4_000_000, 'down', 'connect timed out after 10 s'),
						],
					},
					old: {points: sourcePoints, changes: [state(40_000_000, 'up')]},
				},
	};
}

export function makeRules(isEmpty = false): readonly RuleReport[] {
	return isEmpty
		? []
		: [
				{
					name: 'nightly',
					chooses: 'the newest 2 of each name like base-64* or minimal-64*, of source smartos',
					...{images: 24, imagesHere: 19, bytes: 9.2e9, bytesHere: 7.1e9, running: true, waiting: false},
					lastRunAt: new Date(beginning - 86_400_000).toISOString(),
					nextRunAt: new Date(beginning + 43_200_000).toISOString(),
				},
				{
					name: 'linux',
					chooses: 'os linux, published in the last 90 days, 50 GB at most',
					...{images: 11, imagesHere: 11, bytes: 6.4e9, bytesHere: 6.4e9, running: false, waiting: true},
					lastRunAt: new Date(beginning - 3_600_000).toISOString(),
					lastProblem: 'rocky-9 20.4.1: no source has its file',
				},
			];
}
