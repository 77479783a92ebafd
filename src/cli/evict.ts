/**
 * `imgmirror evict`: files of images go from the disk, the images stay in the catalog.
 */
import {exitCodes} from './exit-codes.js';
import {list} from './fields.js';
import type {CliIo} from './io.js';
import {withOperator, type OperatorClient} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {chosenImages, namedImages, plainUuid, type Chosen} from './uuid-prefixes.js';
import {readDetails, readEvicted, type Evicted} from './wire.js';
import {counted, humanBytes, painted, painter, titled, type Cell} from './words.js';

export interface EvictOptions {
	readonly where: Whereabouts;
	/** Or their first digits. */
	readonly uuids: readonly string[];
	/** Also what a rule wants or another image is built upon. */
	readonly force: boolean;
	readonly dryRun: boolean;
	readonly json: boolean;
}

/** The answer comes when the last of thousands has gone. */
const silenceMs = 60 * 60_000;

export async function evict(options: EvictOptions, io: CliIo): Promise<number> {
	const {where, force, dryRun, json} = options;
	options.uuids.forEach(plainUuid);
	const {answer, chosen} = await withOperator(where, io, async server => {
		const images = await (json ? chosenImages : namedImages)(server, options.uuids);
		const uuids = images.map(({uuid}) => uuid);
		return {
			chosen: images,
			answer: dryRun
				? await foreseen(server, uuids, force)
				: await server.post('/mirror/evict', {uuids, force}, {answerMs: silenceMs}),
		};
	});
	const outcomes = list(readEvicted)(answer);
	io.stdout.write(json ? `${JSON.stringify(answer, null, 2)}\n` : reported(outcomes, {chosen, dryRun, io}));
	return outcomes.some(({problem}) => problem !== undefined) ? exitCodes.failure : exitCodes.ok;
}

/** It passes: by the time that it is done in earnest it may be over. */
const inUse = 'in use just now';

/** What would become of each, as far as it can be told without trying. */
async function foreseen(server: OperatorClient, uuids: readonly string[], force: boolean): Promise<readonly Evicted[]> {
	const outcomes: Evicted[] = [];
	for (const uuid of uuids) {
		const {files} = readDetails(await server.get(`/mirror/images/${uuid}`, {right: 'operate'}));
		const here = files.filter(file => file.here === 'here');
		const stays = [...new Set(here.flatMap(file => file.stays))].filter(reason => !reason.startsWith(inUse));
		const bytes = here.reduce((sum, {size}) => sum + size, 0);
		const nothing = here.length === 0 ? 'it is not here' : undefined;
		const kept =
			stays.length === 0
				? undefined
				: `${stays.join('; ')}${force ? ' (--force passes over rules and images built upon it, nothing else)' : ''}`;
		outcomes.push({uuid, bytes, problem: nothing ?? kept});
	}
	return outcomes;
}

function reported(
	outcomes: readonly Evicted[],
	{chosen, dryRun, io}: {readonly chosen: readonly Chosen[]; readonly dryRun: boolean; readonly io: CliIo},
): string {
	const rows = new Map(chosen.map(({uuid, row}) => [uuid, row]));
	const table = outcomes.map(({uuid, bytes, problem}): readonly Cell[] => {
		const row = rows.get(uuid);
		return [
			uuid,
			row === undefined ? '' : titled(row),
			humanBytes(bytes),
			problem === undefined
				? {text: dryRun ? 'would go' : 'gone', colour: 'green'}
				: {text: `stays: ${problem}`, colour: 'yellow'},
		];
	});
	const gone = outcomes.filter(({problem}) => problem === undefined);
	const bytes = humanBytes(gone.reduce((sum, one) => sum + one.bytes, 0));
	return (
		painted(table, {paint: painter(io.stdout, io), right: '  r'}) +
		`${counted(gone.length, 'image')} with ${bytes} ${dryRun ? 'would go' : 'gone'}\n`
	);
}
