/**
 * The description of the API for people: one page that stands alone, made of the same data as the document for programs.
 */
import {operations} from './openapi-operations.js';
import {segmentsOf} from './openapi.js';
import {groups, type Group, type Operation, type Parameter} from './openapi-types.js';

export const docsStyle = [
	':root{color-scheme:light dark;--line:#8886;--soft:#8882;--link:#0550ae}',
	'@media(prefers-color-scheme:dark){:root{--link:#79b8ff}}',
	'body{max-width:54rem;margin:0 auto;padding:1.5rem 1rem 4rem;font:1rem/1.55 system-ui,sans-serif;overflow-wrap:break-word}',
	'h1{margin:0}h2{margin:2.5rem 0 .5rem;padding-top:.5rem;border-top:1px solid var(--line)}',
	'h3{margin:1.6rem 0 .2rem;font-size:1rem}h3 code{font-weight:600}p{margin:.3rem 0}a{color:var(--link)}',
	'code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{padding:.6rem .8rem;background:var(--soft);overflow-x:auto;border-radius:4px}',
	'table{border-collapse:collapse;margin:.4rem 0;width:100%}th,td{padding:.2rem .6rem .2rem 0;text-align:left;vertical-align:top;border-top:1px solid var(--soft)}',
	'th{font-weight:600;white-space:nowrap}td:first-child{white-space:nowrap}',
	'.right{padding:0 .4rem;border:1px solid var(--line);border-radius:4px;font-size:.8em;white-space:nowrap}',
	'nav ul{columns:2;padding-left:1.2rem}nav li{break-inside:avoid}@media(max-width:40rem){nav ul{columns:1}td:first-child{white-space:normal}}',
].join('');

export function docsPage({
	version,
	base,
	hasPage,
}: {
	readonly version: string;
	/** Where this server is. */
	readonly base: string;
	readonly hasPage: boolean;
}): string {
	return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>imgmirror ${escape(version)}: the API</title>
<style>${docsStyle}</style>
</head>
<body>
<header>
<h1>imgmirror ${escape(version)}</h1>
<p>A mirror of SmartOS image servers. It speaks IMGAPI and DSAPI; on a SmartOS machine, name it as an image source:</p>
<pre>imgadm sources -a ${escape(base)}</pre>
<p>${hasPage ? 'The <a href="../ui/">web page</a> shows the images and how the mirror fares. ' : ''}For programs, all of this is
in <a href="openapi.json">openapi.json</a>.</p>
</header>
<nav aria-label="Contents">
<ul>
${groups.map(group => `<li><a href="#${idOf(group)}">${escape(group)}</a></li>`).join('\n')}
<li><a href="#answers">Answers</a></li>
<li><a href="#logins">Logins</a></li>
</ul>
</nav>
<main>
${groups.map(group => section(group, base)).join('\n')}
${answers}
</main>
</body>
</html>
`;
}

const answers = `<section aria-labelledby="answers">
<h2 id="answers">Answers</h2>
<p>Every endpoint also answers <code>HEAD</code> and <code>OPTIONS</code>. Images, lists, files and icons carry an
<code>ETag</code> and honour <code>If-None-Match</code> and <code>If-Match</code>.</p>
<p><code>x-cache</code> tells where an answer came from: <code>hit</code> (held here), <code>join</code> (just being fetched for
somebody else), <code>miss</code> (fetched for you), <code>stale</code> (held here, and its source cannot be asked just now),
<code>local</code> (of this server's own), <code>pass</code> (handed through). <code>x-source</code> names the source,
<code>x-request-id</code> is what the log calls the request.</p>
<p>Errors are JSON: <code>{"code": "ResourceNotFound", "message": "…"}</code>, some with <code>errors</code>, a list of
<code>{"field", "code"}</code>. 404 means that no source has it; 503 <code>RemoteSourceError</code> that nobody can tell.</p>
<p>What tells its progress is one line of JSON for each step; what goes wrong on the way is the last line:
<code>{"what": "error", "code": "…", "message": "…"}</code>.</p>
</section>
<section aria-labelledby="logins">
<h2 id="logins">Logins</h2>
<p>Reading is open; seeing images that are not public (<code>private</code>), publishing (<code>publish</code>) and running the
mirror (<code>operate</code>) need a network or a login that may. Whatever changes something answers 401 without one. A login
is a name and a password (HTTP Basic), a token in their place (also as Bearer), an HTTP Signature with an SSH key, or the web
page's cookie. <code>If-Match</code> on a change is honoured, too: 412 says that the image is not as you thought.</p>
</section>`;

function section(group: Group, base: string): string {
	const listed = operations.filter(operation => operation.group === group);
	return `<section aria-labelledby="${idOf(group)}">
<h2 id="${idOf(group)}">${escape(group)}</h2>
${listed.map(operation => article(operation, base)).join('\n')}
</section>`;
}

function article(operation: Operation, base: string): string {
	const {id, method, path, summary, right, text, curl} = operation;
	const needs = right === undefined ? '' : ` <span class="right">${right}</span>`;
	const rows = [
		...segmentsOf(operation),
		...Object.entries(operation.query ?? {}),
		...Object.entries(operation.headers ?? {}).map(([name, given]) => [`${name}:`, given] as const),
	];
	const parts = [
		`<h3 id="${id}"><a href="#${id}"><code>${method} ${escape(path)}</code></a>${needs}</h3>`,
		`<p>${marked(summary)}.${text === undefined ? '' : ` ${marked(text)}`}</p>`,
		rows.length === 0 ? '' : `<table>\n${rows.map(([name, given]) => row(name, given)).join('\n')}\n</table>`,
		bodyOf(operation),
		curl === undefined ? '' : `<pre>curl ${escape(curl.replaceAll('BASE', base))}</pre>`,
	];
	return `<article>\n${parts.filter(part => part !== '').join('\n')}\n</article>`;
}

function row(name: string, {text, schema, required = false}: Parameter): string {
	const values = Array.isArray(schema['enum'])
		? ` ${schema['enum'].map(value => `<code>${escape(String(value))}</code>`).join(', ')}`
		: '';
	return `<tr><td><code>${escape(name)}</code>${required ? '' : ' ?'}</td><td>${marked(text)}${values}</td></tr>`;
}

function bodyOf({body, answers: given}: Operation): string {
	const sent = body === undefined ? [] : [`Body (${body.types.map(code).join(', ')}): ${marked(body.text)}`];
	const told = Object.entries(given).map(([status, {text, content}]) => {
		const types = content === undefined ? '' : ` (${content.types.map(code).join(', ')})`;
		return `${status}: ${marked(text)}${types}`;
	});
	return [...sent, ...told].map(line => `<p>${line}</p>`).join('\n');
}

function code(text: string): string {
	return `<code>${escape(text)}</code>`;
}

/** Text with code between backticks. */
function marked(text: string): string {
	return escape(text).replaceAll(/`([^`]*)`/gu, '<code>$1</code>');
}

function idOf(group: Group): string {
	return group
		.toLowerCase()
		.replaceAll(/[^a-z]+/gu, '-')
		.replace(/-$/u, '');
}

function escape(text: string): string {
	return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
