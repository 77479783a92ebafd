/**
 * Every type of event, and a line about it for people.
 */
import type {EventType, MirrorEvent} from '../host-events.js';
import {bytesText} from './words.js';

export type Tone = 'plain' | 'good' | 'bad';

interface Kind {
	readonly says: (event: MirrorEvent) => string;
	readonly tone: Tone;
	/** Not worth a line in a log: told all the time. */
	readonly passing?: true;
}

const about = (verb: string) => (event: MirrorEvent) => `${nameOf(event)} ${verb}${byText(event)}`;
const plain = (says: Kind['says']): Kind => ({says, tone: 'plain'});
const good = (says: Kind['says']): Kind => ({says, tone: 'good'});
const bad = (says: Kind['says']): Kind => ({says: event => withProblem(says(event), event), tone: 'bad'});
const passing = (says: Kind['says']): Kind => ({says, tone: 'plain', passing: true});

const kinds: Readonly<Record<EventType, Kind>> = {
	'image.new': plain(event => `${nameOf(event)} is new${ofSource(event)}`),
	'image.changed': plain(event => `${nameOf(event)} has changed${ofSource(event)}`),
	'image.vanished': bad(event => `${nameOf(event)} is gone from the list${ofSource(event)}`),
	'image.held': plain(about('is held back')),
	'image.released': good(about('was released')),
	'image.cached': good(event => `${nameOf(event)} is here${amountOf(event)}`),
	'image.evicted': plain(event => `${nameOf(event)} was evicted${amountOf(event)}${byText(event)}`),
	'image.pinned': plain(about('was pinned')),
	'image.unpinned': plain(about('was unpinned')),
	'image.published': good(about('was published')),
	'image.updated': plain(about('was changed')),
	'image.deleted': plain(about('was deleted')),
	'transfer.begun': plain(event => `${nameOf(event)} is being fetched${ofSource(event)}${amountOf(event)}`),
	'transfer.progress': passing(event => `${nameOf(event)} is being fetched`),
	'transfer.ended': good(event => `${nameOf(event)} has arrived${ofSource(event)}${amountOf(event)}`),
	'transfer.failed': bad(event => `the transfer of ${nameOf(event)}${ofSource(event)} failed`),
	'verification.failed': bad(event => `${nameOf(event)} is not what its digest says${ofSource(event)}`),
	'source.down': bad(event => `source ${event.source ?? ''} is down`),
	'source.up': good(event => `source ${event.source ?? ''} is up again`),
	'source.refreshed': plain(event => `the list of ${event.source ?? ''} was read again`),
	'disk.low': bad(() => 'the disk is nearly full'),
	'disk.ok': good(() => 'the disk has room again'),
	'disk.error': bad(() => 'the disk refused a write'),
	'scrub.begun': plain(event => `reading files again has begun${amountOf(event)}`),
	'scrub.progress': passing(() => 'files are being read again'),
	'scrub.ended': plain(event => withProblem('reading files again has ended', event)),
	'prefetch.begun': plain(event => `fetching ahead has begun${forRule(event)}`),
	'prefetch.ended': plain(event => withProblem(`fetching ahead has ended${forRule(event)}${amountOf(event)}`, event)),
	'bundle.imported': plain(event => withProblem(`a bundle was imported${byText(event)}`, event)),
	'webhook.failed': bad(event => `a webhook was not taken${byText(event)}`),
	'catalog.changed': passing(() => 'the list of images has changed'),
};

export const eventTypes: readonly EventType[] = Object.keys(kinds).filter(isEventType);

export function eventText(event: MirrorEvent): string {
	return kinds[event.type].says(event);
}

export function eventTone({type, problem}: MirrorEvent): Tone {
	const {tone} = kinds[type];
	return tone === 'plain' && problem !== undefined ? 'bad' : tone;
}

export function isPassing({type}: MirrorEvent): boolean {
	return kinds[type].passing === true;
}

function isEventType(type: string): type is EventType {
	return type in kinds;
}

function nameOf({image, sha1}: MirrorEvent): string {
	if (image !== undefined) {
		return `${image.name} ${image.version}`;
	}
	return sha1 === undefined ? 'a file' : `file ${sha1.slice(0, 12)}`;
}

function ofSource({source}: MirrorEvent): string {
	return source === undefined ? '' : ` from ${source}`;
}

function amountOf({bytes}: MirrorEvent): string {
	return bytes === undefined ? '' : `, ${bytesText(bytes)}`;
}

function byText({by}: MirrorEvent): string {
	return by === undefined ? '' : ` by ${by}`;
}

function forRule({by}: MirrorEvent): string {
	return by === undefined ? '' : ` for ${by}`;
}

function withProblem(text: string, {problem}: MirrorEvent): string {
	return problem === undefined ? text : `${text}: ${problem}`;
}
