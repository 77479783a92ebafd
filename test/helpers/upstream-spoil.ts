/**
 * An honest answer made into the one that a `Misbehaviour` asks for, ranges included.
 *
 * Only what is said is changed here: statuses, headers, bodies. How it travels (stalls, cuts, wrong lengths) is
 * `upstream-send.ts`.
 */
import {randomUUID} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import {errorAnswer, htmlAnswer, listAnswer, type Answer, type UpstreamKind} from './upstream-answer.js';
import {bytesOf, type Misbehaviour} from './upstream-misbehaviour.js';
import type {SeenRequest} from './upstream-request.js';

export interface SpoilSettings {
	readonly kind: UpstreamKind;
	readonly ranges: boolean;
}

export function spoil(honest: Answer, how: Misbehaviour, request: SeenRequest, settings: SpoilSettings): Answer {
	const honestly = conditional(honest, request, settings.kind);
	const answer = spoilHeaders(spoilBody(instead(honestly, how, request, settings.kind), how, request), how, request);
	const ranged = answer.isFile && answer.status === 200 ? spoilRange(answer, how, request, settings) : answer;
	return how.gzip ? gzipped(ranged) : ranged;
}

/** 304 where the real servers say it: the reference for one manifest, nginx for everything. */
function conditional(answer: Answer, request: SeenRequest, kind: UpstreamKind): Answer {
	const knows = kind === 'static' || (kind === 'imgapi' && request.route === 'manifest');
	const wanted = request.headers['if-none-match'];
	const etag = answer.headers['ETag'] ?? answer.headers['Etag'];
	if (
		!knows ||
		answer.status !== 200 ||
		etag === undefined ||
		wanted?.replaceAll('"', '') !== etag.replaceAll('"', '')
	) {
		return answer;
	}
	return {status: 304, headers: {Etag: etag}, body: Buffer.alloc(0)};
}

function instead(honest: Answer, how: Misbehaviour, request: SeenRequest, kind: UpstreamKind): Answer {
	if (how.redirect !== undefined) {
		const location = typeof how.redirect === 'string' ? how.redirect : how.redirect(request);
		return {status: how.status ?? 302, headers: {Location: location}, body: Buffer.alloc(0)};
	}
	if (how.status === undefined && how.body === undefined) {
		return honest;
	}
	const status = how.status ?? 200;
	if (how.body === 'html') {
		return htmlAnswer(status);
	}
	if (how.body === 'empty') {
		return {status, headers: {}, body: Buffer.alloc(0)};
	}
	if (typeof how.body === 'object') {
		return {status, headers: {'Content-Type': 'application/json'}, body: Buffer.from(how.body.text)};
	}
	return status < 400 ? {...honest, status} : errorAnswer(status, kind === 'dsapi' ? 'dsapi' : 'imgapi');
}

function spoilBody(answer: Answer, how: Misbehaviour, request: SeenRequest): Answer {
	let {body} = answer;
	if (answer.isFile) {
		body = wrong(how.file ?? body, how.wrongBytes);
	}
	if (answer.entries !== undefined) {
		const entries = spoilPage(answer.entries, how, request);
		body = entries === answer.entries ? body : listAnswer(entries).body;
	}
	if (how.text !== undefined && !answer.isFile) {
		body = Buffer.from(typeof how.text === 'string' ? how.text : how.text(body.toString()));
	}
	return {
		...answer,
		body: how.truncateAt === undefined ? body : body.subarray(0, bytesOf(how.truncateAt, body.length)),
	};
}

function wrong(bytes: Buffer, how: Misbehaviour['wrongBytes']): Buffer {
	if (how === undefined || bytes.length === 0) {
		return bytes;
	}
	const copy = Buffer.from(bytes);
	const [from, to] =
		how === 'all'
			? [0, copy.length]
			: how === 'tail'
				? [copy.length - Math.min(1000, Math.ceil(copy.length / 2)), copy.length]
				: [Math.min(bytesOf(how.at, copy.length), copy.length - 1), undefined];
	for (let place = from; place < (to ?? from + 1); place++) {
		copy[place] = ~(copy[place] ?? 0) & 0xff;
	}
	return copy;
}

function spoilPage(honest: readonly string[], how: Misbehaviour, request: SeenRequest): readonly string[] {
	let entries = honest;
	if (how.paging === 'exclusive' && request.query.has('marker')) {
		const marker = request.query.get('marker') ?? '';
		entries = entries.filter(entry => !entry.includes(`"uuid": "${marker}"`) && !entry.includes(`"uuid":"${marker}"`));
	}
	if (how.paging === 'endless') {
		// Each page is full of images never seen before, all alike but for the uuid.
		const [pattern = '{}'] = entries;
		const count = Number(request.query.get('limit') ?? 1000);
		entries = Array.from({length: count}, () => pattern.replace(/"uuid":\s*"[^"]*"/, `"uuid": "${randomUUID()}"`));
	}
	if (how.insert !== undefined) {
		const before = how.insert.filter((_, place) => place % 2 === 0);
		const after = how.insert.filter((_, place) => place % 2 === 1);
		entries = [...before, ...entries, ...after];
	}
	return entries;
}

function spoilHeaders(answer: Answer, how: Misbehaviour, request: SeenRequest): Answer {
	const headers: Record<string, string | undefined> = {...answer.headers};
	if ('etag' in how) {
		delete headers['ETag'];
		headers['Etag'] = how.etag === 'changing' ? `"${request.number}"` : how.etag;
	}
	if (how.retryAfter !== undefined) {
		headers['Retry-After'] = how.retryAfter;
	}
	Object.assign(headers, how.headers);
	const said = Object.entries(headers).filter((header): header is [string, string] => header[1] !== undefined);
	return {...answer, headers: Object.fromEntries(said)};
}

function spoilRange(answer: Answer, how: Misbehaviour, request: SeenRequest, settings: SpoilSettings): Answer {
	const {body} = answer;
	const kind = how.range ?? (settings.ranges ? 'honoured' : 'ignored');
	const asked = rangeOf(request, body.length);
	if (kind === 'ignored' || asked === undefined || !ifRangeHolds(request, answer)) {
		return answer;
	}
	if (kind === 'refused' || asked.start >= body.length) {
		const refusal = errorAnswer(416, settings.kind);
		return {...refusal, headers: {...refusal.headers, 'Content-Range': `bytes */${body.length}`}};
	}
	const {start, end} = asked;
	const part = (from: number, to: number, label: string | undefined): Answer => ({
		...answer,
		status: 206,
		headers: {...answer.headers, ...(label === undefined ? {} : {'Content-Range': label})},
		body: body.subarray(from, to),
	});
	const label = (from: number, to: number, total = body.length): string => `bytes ${from}-${to - 1}/${total}`;
	switch (kind) {
		case 'honoured':
			return part(start, end, label(start, end));
		case 'shifted': {
			const earlier = Math.floor(start / 2);
			return part(earlier, end, label(earlier, end));
		}
		case 'lying':
			return part(0, end - start, label(start, end));
		case 'mislabelled':
			return part(start, end, label(start + 1, end + 1, body.length + 1));
		case 'unlabelled':
			return part(start, end, undefined);
		case 'other-total':
			return part(start, end, label(start, end, body.length + 7));
		case 'short': {
			const half = start + Math.ceil((end - start) / 2);
			return part(start, half, label(start, half));
		}
	}
}

function rangeOf(request: SeenRequest, length: number): {readonly start: number; readonly end: number} | undefined {
	const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(request.range ?? '') ?? [];
	if (from === '' && to === '') {
		return undefined;
	}
	if (from === '') {
		return {start: Math.max(0, length - Number(to)), end: length};
	}
	return {start: Number(from), end: to === '' ? length : Math.min(length, Number(to) + 1)};
}

/** RFC 9110 13.1.5, for entity tags; the reference's has no quotes. */
function ifRangeHolds(request: SeenRequest, answer: Answer): boolean {
	const wanted = request.headers['if-range'] as string | undefined;
	const etag = answer.headers['ETag'] ?? answer.headers['Etag'];
	const bare = (tag: string | undefined): string | undefined => tag?.replace(/^"(.*)"$/, '$1');
	return wanted === undefined || wanted === answer.headers['Last-Modified'] || bare(wanted) === bare(etag);
}

function gzipped(answer: Answer): Answer {
	return {...answer, headers: {...answer.headers, 'Content-Encoding': 'gzip'}, body: gzipSync(answer.body)};
}
