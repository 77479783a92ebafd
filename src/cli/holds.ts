/**
 * `imgmirror hold`, `release` and `held`: images that are offered to nobody, and those let through.
 */
import {systemClock} from '../host.js';
import {eachImage, type EachOptions} from './each-image.js';
import {exitCodes} from './exit-codes.js';
import {list} from './fields.js';
import {heldInWords} from './images-show.js';
import type {CliIo} from './io.js';
import {withOperator} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {readHeld, readReleased} from './wire.js';
import {counted, painted, painter, titled, type Cell} from './words.js';

export function hold(options: EachOptions & {readonly note: string | undefined}, io: CliIo): Promise<number> {
	const {note} = options;
	return eachImage(options, io, {
		ask: (server, uuid) => server.post(`/mirror/images/${uuid}?action=hold`, note === undefined ? {} : {note}),
		said: (answer, uuid) => `${titled({...readHeld(answer), uuid})} is held: offered to nobody until it is released`,
	});
}

export function release(options: EachOptions, io: CliIo): Promise<number> {
	return eachImage(options, io, {
		ask: (server, uuid) => server.post(`/mirror/images/${uuid}?action=release`),
		said(answer, uuid) {
			const {released} = readReleased(answer);
			const origins = released.filter(one => one !== uuid);
			const along = origins.length === 0 ? '' : `, with ${counted(origins.length, 'origin')}: ${origins.join(', ')}`;
			return released.length === 0 ? `${uuid} was not held` : `${uuid} is offered from now on${along}`;
		},
	});
}

export async function listHeld(
	{where, json}: {readonly where: Whereabouts; readonly json: boolean},
	io: CliIo,
): Promise<number> {
	const answer = await withOperator({...where, about: true}, io, server => server.get('/mirror/held'));
	if (json) {
		io.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
		return exitCodes.ok;
	}
	const now = (io.clock ?? systemClock).now();
	const heads = ['UUID', 'NAME', 'VERSION', 'PUBLISHED', 'SEEN', 'WHY'];
	const rows = list(readHeld)(answer).map((held): readonly Cell[] => [
		held.uuid,
		held.name,
		held.version,
		held.publishedAt?.slice(0, 10) ?? '-',
		held.firstSeenAt?.slice(0, 10) ?? '-',
		held.reasons.map(reason => heldInWords(reason, now)).join('; '),
	]);
	io.stdout.write(
		rows.length === 0
			? 'nothing is held\n'
			: painted([heads.map((text): Cell => ({text, colour: 'bold'})), ...rows], {paint: painter(io.stdout, io)}),
	);
	return exitCodes.ok;
}
