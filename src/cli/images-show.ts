/**
 * `imgmirror images show`: all that the mirror knows of one image, and the images it is built upon.
 */
import {systemClock} from '../host.js';
import {exitCodes} from './exit-codes.js';
import {drawnTree, type Branch} from './image-tree.js';
import type {CliIo} from './io.js';
import {withOperator} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {chosenImages, plainUuid} from './uuid-prefixes.js';
import {readDetails, type Details, type Hold, type Row} from './wire.js';
import {humanBytes, painted, painter, printable, titled, when, type Cell, type Paint} from './words.js';

export interface ShowOptions {
	readonly where: Whereabouts;
	/** Or the first digits. */
	readonly uuid: string;
	readonly json: boolean;
}

export async function showImage({where, uuid, json}: ShowOptions, io: CliIo): Promise<number> {
	plainUuid(uuid);
	const {answer, url} = await withOperator(where, io, async server => {
		const [image] = await chosenImages(server, [uuid]);
		return {answer: await server.get(`/mirror/images/${image?.uuid ?? uuid}`), url: server.url};
	});
	if (json) {
		io.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
		return exitCodes.ok;
	}
	const now = (io.clock ?? systemClock).now();
	io.stdout.write(described(readDetails(answer), {io, now, url}));
	return exitCodes.ok;
}

interface Seen {
	readonly io: CliIo;
	readonly now: number;
	readonly url: string | undefined;
}

function described(image: Details, {io, now, url}: Seen): string {
	const paint = painter(io.stdout, io);
	const facts: readonly (readonly [string, Cell | undefined])[] = [
		['uuid', image.uuid],
		['kind', [image.os, image.type].filter(part => part !== '').join(', ')],
		['state', {text: stateOf(image), colour: image.state === 'active' ? undefined : 'yellow'}],
		['published', image.publishedAt === undefined ? '-' : `${image.publishedAt} (${when(image.publishedAt, now)})`],
		['owner', image.owner],
		['source', sourcesOf(image)],
		['here', {text: hereOf(image), colour: image.here === 'here' ? 'green' : undefined}],
		['last used', when(image.lastUsedAt, now)],
		['wanted', image.wantedBy.length === 0 ? undefined : `by rule ${image.wantedBy.join(', ')}`],
		['pinned', image.pinned ? 'yes, with its origins' : undefined],
		['held', image.held === undefined ? undefined : {text: heldInWords(image.held, now), colour: 'yellow'}],
	];
	const rows = facts.flatMap(([name, cell]) =>
		cell === undefined || cell === '' ? [] : [[{text: name, colour: 'dim'} as const, cell]],
	);
	return [
		`${paint('bold', printable(titled(image)))}\n`,
		painted(rows, {paint, indent: '  '}),
		...familyOf(image, {io, paint}),
		...filesOf(image, {paint, now}),
		`\nOn a SmartOS machine that has this mirror as a source:\n`,
		`  imgadm import ${url === undefined ? '' : `-S ${url} `}${image.uuid}\n`,
	].join('');
}

function stateOf({state, public: isPublic, vanished}: Row): string {
	return [state, isPublic ? 'public' : 'private', ...(vanished ? ['gone from its source'] : [])].join(', ');
}

function sourcesOf({source, sources}: Row): string {
	const others = sources.filter(name => name !== source);
	const first = source === 'local' ? 'local: it was published or imported here' : source;
	return others.length === 0 ? first : `${first}; also ${others.join(', ')}`;
}

const hereWords: Readonly<Record<Row['here'], string>> = {
	here: 'yes, whole and verified',
	coming: 'on its way',
	part: 'in part',
	away: 'no',
};

function hereOf({here, size}: Row): string {
	return `${hereWords[here]} (${humanBytes(size)})`;
}

export function heldInWords({why, source, until, by, note}: Hold, now: number): string {
	const reasons: Readonly<Record<Hold['why'], string>> = {
		age: `${source} offers only what is older`,
		rule: `${source} offers only what somebody released`,
		operator: `held back${by === undefined ? '' : ` by ${by}`}`,
	};
	const rest = [
		...(until === undefined ? [] : [`offered ${when(until, now)}`]),
		...(note === undefined || note === '' ? [] : [note]),
	];
	return [reasons[why], ...rest].join('; ');
}

/** From the first origin down to those that are built upon this one. Nothing for an image that stands alone. */
function familyOf(image: Details, {io, paint}: {readonly io: CliIo; readonly paint: Paint}): readonly string[] {
	if (image.origins.length === 0 && image.dependents.length === 0) {
		return [];
	}
	const self: Branch = {
		text: `${titled(image)}  this one`,
		colour: 'bold',
		branches: image.dependents.map(one => ({text: lineOf(one), colour: undefined, branches: []})),
	};
	const tree = image.origins.reduce<Branch>(
		(branch, origin) => ({text: lineOf(origin), colour: undefined, branches: [branch]}),
		self,
	);
	return ['\nOrigins, and what is built upon it\n', drawnTree(tree, {io, paint, indent: '  '})];
}

function lineOf(row: Row): string {
	return row.name === '' ? `${row.uuid}  nobody knows it` : `${titled(row)}  ${row.uuid}  ${hereWords[row.here]}`;
}

function filesOf(image: Details, {paint, now}: {readonly paint: Paint; readonly now: number}): readonly string[] {
	if (image.files.length === 0) {
		return ['\nIt has no file.\n'];
	}
	return image.files.flatMap(file => {
		const head = `${humanBytes(file.size)}, sha1 ${file.sha1 ?? 'unknown'}`;
		const rows: readonly (readonly Cell[])[] =
			file.here === 'here'
				? [
						[{text: 'stored', colour: 'dim'}, when(file.storedAt, now)],
						[{text: 'verified', colour: 'dim'}, when(file.verifiedAt, now)],
						[{text: 'stays', colour: 'dim'}, file.stays.join('; ') || 'until room is needed'],
					]
				: [];
		return ['\nFile\n', `  ${printable(head)}\n`, painted(rows, {paint, indent: '  '})];
	});
}
