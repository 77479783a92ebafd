/**
 * The server itself, described: how it fares, who one is, and what is for people.
 */
import {bytes, free, json, list, needed, object, ref, text, type Content, type Operation} from './openapi-types.js';

const group = 'Server';
const html: Content = {types: ['text/html'], schema: text};

export const serverOperations: readonly Operation[] = [
	{
		...{group, id: 'getRoot', method: 'GET', path: '/'},
		summary: 'The way to the web page; for programs, what there is',
		answers: {
			200: {
				text: 'For those who accept JSON by name.',
				content: json(object({endpoints: list(text), version: text, cloud_name: text})),
			},
			301: {text: 'To `docs/`.'},
			302: {text: 'To `ui/`, for browsers.'},
		},
	},
	{
		...{group, id: 'getSession', method: 'GET', path: '/session'},
		summary: 'Who one is, and what one may',
		answers: {200: {text: 'That.', content: json(ref('Session'))}},
	},
	{
		...{group, id: 'logIn', method: 'POST', path: '/session'},
		summary: 'Logs in on the page: a cookie for a name and a password, or for a token',
		text: 'Requests that change anything need `Sec-Fetch-Site: same-origin`, an `Origin` that is this server, or the header `x-imgmirror: page` beside the cookie.',
		body: {
			...json(object({'user?': text, 'password?': text})),
			...{text: 'A token stands in place of either.', required: true},
		},
		answers: {
			200: {
				text: 'Who one is now.',
				content: json(ref('Session')),
				headers: {'Set-Cookie': '`imgmirror`: HttpOnly, SameSite=Strict.'},
			},
		},
	},
	{
		...{group, id: 'logOut', method: 'DELETE', path: '/session'},
		summary: 'Logs out on the page',
		answers: {204: {text: 'The cookie is worth nothing any more.'}},
	},
	{
		...{group, id: 'getStatus', method: 'GET', path: '/status'},
		summary: 'How the mirror fares',
		right: 'read',
		answers: {200: {text: 'That.', content: json(free)}},
	},
	{
		...{group, id: 'getMetrics', method: 'GET', path: '/metrics'},
		summary: 'Numbers for Prometheus',
		right: 'read',
		answers: {200: {text: 'The numbers.', content: {types: ['text/plain'], schema: text}}},
	},
	{
		...{group, id: 'isAlive', method: 'GET', path: '/healthz'},
		summary: '200 while the process lives',
		answers: {200: {text: 'It does.', content: json(object({status: {const: 'alive'}}))}},
	},
	{
		...{group, id: 'isReady', method: 'GET', path: '/readyz'},
		summary: '200 when it can serve, 503 and the reasons when it cannot',
		answers: {
			200: {text: 'It can.', content: json(ref('Readiness'))},
			503: {text: 'It cannot.', content: json(ref('Readiness'))},
		},
	},
	{
		...{group, id: 'getDocs', method: 'GET', path: '/docs/'},
		summary: 'The API, for people',
		answers: {200: {text: 'A page.', content: html}},
	},
	{
		...{group, id: 'goToDocs', method: 'GET', path: '/docs'},
		summary: 'The way there',
		answers: {301: {text: 'To `docs/`.'}},
	},
	{
		...{group, id: 'getDescription', method: 'GET', path: '/docs/openapi.json'},
		summary: 'The API, for programs: OpenAPI 3.1',
		answers: {200: {text: 'The description.', content: json(free)}},
	},
	{
		...{group, id: 'goToPage', method: 'GET', path: '/ui'},
		summary: 'The way to the web page',
		answers: {301: {text: 'To `ui/`.'}},
	},
	{
		...{group, id: 'getPageFile', method: 'GET', path: '/ui/*'},
		summary: 'The web page',
		segments: {'*': needed('A file of the page; empty: the page itself.')},
		answers: {200: {text: 'The file.', content: {types: ['text/html', 'text/javascript', 'text/css'], schema: bytes}}},
	},
	{
		...{group, id: 'getFavicon', method: 'GET', path: '/favicon.ico'},
		summary: 'A picture for the browser’s tab',
		answers: {
			200: {text: 'The picture.', content: {types: ['image/x-icon'], schema: bytes}},
			204: {text: 'There is none.'},
		},
	},
];
