/**
 * Logging in on the page: who one is and what one may, a cookie for a name and a password, and its end.
 *
 * The cookie is for this server's own page alone: no script reads it and no other site's page sends it. What it stands
 * for is the access room's to know.
 */
import {sessionCookie} from '../access/sessions.js';
import {rights, type Caller} from '../access/caller.js';
import {UnauthorizedError} from '../errors.js';
import type {JsonObject} from '../image/manifest.js';
import {invalid} from '../image/params.js';
import type {ServerMode} from '../image/rules.js';
import type {MirrorApi} from '../mirror.js';
import type {BaseUrlSettings} from './base-url.js';
import {jsonBody} from './bodies.js';
import type {Gate} from './callers.js';
import type {Exchange} from './exchange.js';
import {fieldsIn, refuseOthers} from './fields.js';
import {open, type Route} from './routes.js';

export interface SessionSettings extends BaseUrlSettings {
	readonly mode: ServerMode;
}

const maxLoginBytes = 16 * 1024;
const longestLogin = 1024;

export function sessionRoutes(options: {
	readonly mirror: MirrorApi;
	readonly access: Gate;
	readonly version: string;
	readonly settings: () => SessionSettings;
}): readonly Route[] {
	const {mirror, access, version, settings} = options;

	async function tell(
		exchange: Exchange,
		caller: Caller,
		headers: Readonly<Record<string, string>> = {},
	): Promise<void> {
		const {mode, publicUrl} = settings();
		exchange.json(
			200,
			{
				...(caller.user === undefined ? {} : {user: caller.user}),
				rights: rights.filter(right => caller.rights.has(right)),
				credential: caller.credential,
				hasUsers: await access.hasUsers(),
				mode,
				channels: caller.rights.has('read') ? mirror.publish.channels : [],
				version,
				...(publicUrl === undefined ? {} : {publicUrl}),
			},
			{'Cache-Control': 'no-store', ...headers},
		);
	}

	function show(exchange: Exchange): Promise<void> {
		refuseOthers(exchange.query, []);
		return tell(exchange, exchange.caller);
	}

	async function logIn(exchange: Exchange): Promise<void> {
		exchange.audit('log in');
		refuseOthers(exchange.query, []);
		const fields = fieldsIn(await jsonBody(exchange, maxLoginBytes), ['user', 'password']);
		const [user, password] = [loginText(fields, 'user'), loginText(fields, 'password')];
		if (user === '' && password === '') {
			throw new UnauthorizedError('a login needs a user and a password, or a token');
		}
		// A token needs no name: it is told in the place of one.
		const login = user === '' ? {user: password, password: ''} : {user, password};
		const {caller, word} = await access.logIn(exchange.asked, login);
		access.logOut(exchange.asked);
		exchange.caller = caller;
		await tell(exchange, caller, {'Set-Cookie': cookie(exchange, word)});
	}

	function logOut(exchange: Exchange): void {
		exchange.audit('log out');
		refuseOthers(exchange.query, []);
		access.logOut(exchange.asked);
		exchange.empty(204, {'Cache-Control': 'no-store', 'Set-Cookie': `${cookie(exchange, '')}; Max-Age=0`});
	}

	function cookie(exchange: Exchange, word: string): string {
		return [
			`${sessionCookie}=${word}`,
			`Path=${cookiePath(settings())}`,
			'HttpOnly',
			'SameSite=Strict',
			...(isSecure(exchange, settings()) ? ['Secure'] : []),
		].join('; ');
	}

	return [
		{
			...{speaks: 'plain', json: true, path: '/session'},
			methods: {
				GET: {handler: show, auth: 'passive'},
				POST: open(logIn, 'none'),
				DELETE: {handler: logOut, auth: 'passive'},
			},
		},
	];
}

/** Empty where it is not given. */
function loginText(fields: JsonObject, name: string): string {
	const value = fields[name] ?? '';
	if (typeof value !== 'string' || value.length > longestLogin) {
		throw invalid(name, `must be a text of at most ${longestLogin} characters`);
	}
	return value;
}

/** A proxy may have another path for ours: then any path has to do. */
function cookiePath({basePath, publicUrl}: BaseUrlSettings): string {
	const isTheSame = publicUrl === undefined || new URL(publicUrl).pathname.replace(/\/$/u, '') === basePath;
	return isTheSame && basePath !== '' ? basePath : '/';
}

/** Where the browser says what it came by, that holds; it would not take a secure cookie by plain HTTP. */
function isSecure(exchange: Exchange, {publicUrl}: BaseUrlSettings): boolean {
	const {origin} = exchange.headers;
	return exchange.origin.startsWith('https:') || (origin ?? publicUrl ?? '').startsWith('https:');
}
