/**
 * `imgmirror key …`: the key that a mirror signs its bundles with, and the keys whose bundles it takes.
 *
 * The keys are the server's; here they are asked for, shown, and handed over as lines of OpenSSH's.
 */
import {hostname} from 'node:os';
import {AnswerError} from './client-errors.js';
import {exitCodes} from './exit-codes.js';
import {flag, list, maybe, maybeText, shape, text, word, type Read} from './fields.js';
import type {CliIo} from './io.js';
import {withOperator, type OperatorClient} from './operator-client.js';
import {publicKeysOf} from './public-keys.js';
import type {Whereabouts} from './reach.js';
import {painted, painter, printable, type Cell} from './words.js';

interface KeyOptions {
	readonly where: Whereabouts;
	readonly json: boolean;
}

const keyFields = {line: text, fingerprint: text, comment: text};
const readKey = shape(keyFields);
const readTrusted = shape({...keyFields, from: word('file', 'own', 'config')});
const readKeys = shape({own: maybe(readKey), ownProblem: maybeText, trusted: list(readTrusted)});
const readTrust = shape({key: readTrusted, added: flag});

const origins = {own: 'its own', file: 'trusted', config: 'configuration'} as const;

export async function newKey(
	{where, comment, replace, json}: KeyOptions & {readonly comment: string | undefined; readonly replace: boolean},
	io: CliIo,
): Promise<number> {
	return withOperator(ofKeys(where), io, async server => {
		const answer = await server
			.post('/mirror/keys', {comment: comment ?? usualComment(server), replace})
			.catch((error: unknown) => {
				throw error instanceof AnswerError && error.reason === 'KeyAlreadyExists'
					? new AnswerError(
							`${error.message}\n  "imgmirror key show" prints it; --replace makes a new one all the same`,
							error,
						)
					: error;
			});
		const key = readKey(answer);
		print(json ? answer : key.line, io);
		io.stderr.write(
			printable(
				`imgmirror: bundles are signed with ${key.fingerprint} from now on; on the far side, ` +
					`"imgmirror key trust '${key.line}'" has them taken`,
			) + '\n',
		);
		return exitCodes.ok;
	});
}

export async function showKey({where, json}: KeyOptions, io: CliIo): Promise<number> {
	return withOperator(ofKeys(where), io, async server => {
		const {own, ownProblem} = await keysOf(server);
		if (own === undefined) {
			tellOf(ownProblem, io);
			if (ownProblem === undefined) {
				io.stderr.write('imgmirror: there is no key yet, so bundles go out unsigned: "imgmirror key new" makes one\n');
			}
			return exitCodes.failure;
		}
		print(json ? own : own.line, io);
		return exitCodes.ok;
	});
}

export async function listKeys({where, json}: KeyOptions, io: CliIo): Promise<number> {
	return withOperator(ofKeys(where), io, async server => {
		const {trusted, ownProblem} = await keysOf(server);
		tellOf(ownProblem, io);
		if (json) {
			print(trusted, io);
		} else if (trusted.length === 0) {
			io.stderr.write(
				'imgmirror: no key is trusted, so only unsigned bundles can be imported, with --allow-unsigned: ' +
					'"imgmirror key trust" takes the line that "imgmirror key show" prints on the near side\n',
			);
		} else {
			const heads = ['FINGERPRINT', 'COMMENT', 'FROM'].map((head): Cell => ({text: head, colour: 'bold'}));
			const rows = trusted.map(({fingerprint, comment, from}) => [fingerprint, comment || '-', origins[from]]);
			io.stdout.write(painted([heads, ...rows], {paint: painter(io.stdout, io)}));
		}
		return exitCodes.ok;
	});
}

export async function trustKeys(
	{where, keys, json}: KeyOptions & {readonly keys: readonly string[]},
	io: CliIo,
): Promise<number> {
	// Read before the server is sought: what is no key is no reason to start one.
	const lines = await publicKeysOf(keys, io);
	// It may be the first thing that is done on a far side.
	return withOperator({...ofKeys(where), mayCreate: true}, io, async server => {
		const answers: unknown[] = [];
		for (const line of lines) {
			const answer = await server.post('/mirror/keys/trusted', {key: line});
			answers.push(answer);
			if (!json) {
				const {key, added} = readTrust(answer);
				print(
					added
						? `${named(key)} is trusted: bundles that it has signed are taken`
						: `${named(key)} was trusted already`,
					io,
				);
			}
		}
		if (json) {
			print(answers, io);
		}
		return exitCodes.ok;
	});
}

export async function untrustKey(
	{where, which}: {readonly where: Whereabouts; readonly which: string},
	io: CliIo,
): Promise<number> {
	return withOperator(ofKeys(where), io, async server => {
		await server.delete(`/mirror/keys/trusted?key=${encodeURIComponent(which)}`);
		print(`${which} is trusted no more: bundles that it has signed are refused`, io);
		return exitCodes.ok;
	});
}

/** Keys have nothing to do with sources. */
function ofKeys(where: Whereabouts): Whereabouts {
	return {...where, withoutSources: true};
}

async function keysOf(server: OperatorClient): Promise<Read<typeof readKeys>> {
	return readKeys(await server.get('/mirror/keys', {right: 'operate'}));
}

/** Of the mirror's own key, which it signs with. */
function tellOf(problem: string | undefined, io: CliIo): void {
	if (problem !== undefined) {
		io.stderr.write(
			`imgmirror: ${printable(`the mirror's own key cannot be used: ${problem}`)}\n` +
				'  restore the file from a backup, or make a new key with "imgmirror key new --replace"\n',
		);
	}
}

/** Whose key it is, for whoever reads it on the far side. */
function usualComment({url}: OperatorClient): string {
	return `imgmirror@${url === undefined ? hostname() : new URL(url).hostname}`;
}

function named({fingerprint, comment}: Read<typeof readKey>): string {
	return comment === '' ? fingerprint : `${comment} (${fingerprint})`;
}

function print(value: unknown, io: CliIo): void {
	io.stdout.write(`${typeof value === 'string' ? printable(value) : JSON.stringify(value, null, 2)}\n`);
}
