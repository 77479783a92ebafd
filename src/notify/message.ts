/**
 * What a webhook is told, and in which form: the body, and the headers by which it knows that it is from us.
 *
 * As the Standard Webhooks have it (https://www.standardwebhooks.com): whoever can check one of those can check ours.
 */
import {createHmac} from 'node:crypto';
import {eventTypes, type EventType, type MirrorEvent} from '../host.js';

export interface Message {
	/** The same however often it is sent: by it, who has been told already knows. */
	readonly id: string;
	/** Since when it waits, in milliseconds since the epoch. */
	readonly at: number;
	readonly event: MirrorEvent;
}

/** Who tells it. */
export interface Teller {
	readonly version: string;
	/** The name of the machine. */
	readonly host: string;
}

const secretPrefix = 'whsec_';
const types: ReadonlySet<string> = new Set(eventTypes);

export function bodyOf({event}: Message, mirror: Teller): string {
	return JSON.stringify({type: event.type, timestamp: event.at, data: event, mirror});
}

/** The time is that of this very attempt: what was recorded on its way cannot be sent again much later. */
export function headersOf(id: string, body: string, nowMs: number, secret: string | undefined): Record<string, string> {
	const timestamp = String(Math.floor(nowMs / 1000));
	return {
		'content-type': 'application/json',
		'webhook-id': id,
		'webhook-timestamp': timestamp,
		...(secret === undefined ? {} : {'webhook-signature': `v1,${signature(`${id}.${timestamp}.${body}`, secret)}`}),
	};
}

function signature(signed: string, secret: string): string {
	return createHmac('sha256', keyOf(secret)).update(signed).digest('base64');
}

/** `whsec_` and base64, as the Standard Webhooks write it; anything else is the key itself, as text. */
function keyOf(secret: string): Buffer {
	return secret.startsWith(secretPrefix)
		? Buffer.from(secret.slice(secretPrefix.length), 'base64')
		: Buffer.from(secret, 'utf8');
}

/** All that waits, by hook, as a file. */
export function waitingText(waiting: ReadonlyMap<string, readonly Message[]>): string {
	return `${JSON.stringify({version: 1, hooks: Object.fromEntries(waiting)})}\n`;
}

/** What of such a file can be used, and whether that is all of it. */
export function readWaiting(text: string): {
	readonly waiting: ReadonlyMap<string, readonly Message[]>;
	readonly isWhole: boolean;
} {
	let found: unknown;
	try {
		found = JSON.parse(text);
	} catch {
		return {waiting: new Map(), isWhole: false};
	}
	const {version, hooks} = members(found);
	if (version !== 1 || typeof hooks !== 'object' || hooks === null || Array.isArray(hooks)) {
		return {waiting: new Map(), isWhole: false};
	}
	const lists = Object.entries(hooks);
	return {
		waiting: new Map(lists.map(([name, list]) => [name, items(list).filter(isMessage)])),
		isWhole: lists.every(([, list]) => Array.isArray(list) && list.every(isMessage)),
	};
}

function isMessage(value: unknown): value is Message {
	const {id, at, event} = members(value);
	return typeof id === 'string' && id !== '' && typeof at === 'number' && Number.isFinite(at) && isEvent(event);
}

function isEvent(value: unknown): value is MirrorEvent {
	const {id, type, at} = members(value);
	return typeof id === 'number' && isType(type) && typeof at === 'string';
}

function isType(value: unknown): value is EventType {
	return typeof value === 'string' && types.has(value);
}

function items(value: unknown): readonly unknown[] {
	return Array.isArray(value) ? value : [];
}

function members(value: unknown): Readonly<Record<string, unknown>> {
	return typeof value === 'object' && value !== null ? {...value} : {};
}
