/**
 * What is for people: the documentation of the API as this server speaks it, and the way there.
 *
 * The page stands alone: no script, no font, no picture from anywhere, and a policy that says so.
 */
import {createHash} from 'node:crypto';
import type {Exchange} from './exchange.js';
import {namesJson} from './negotiate.js';
import {open, type Route} from './routes.js';

export interface PageSettings {
	readonly version: string;
	/** As DSAPI tells it. */
	readonly cloudName: () => string;
}

/** Caches keep a 301 for long: they must not give it to whoever asks for JSON. */
const byAccept = {Vary: 'Accept'};

export function pageRoutes({version, cloudName}: PageSettings): readonly Route[] {
	const page = Buffer.from(documentation(version));
	const styleHash = createHash('sha256').update(style).digest('base64');

	/** Joyent's DSAPI told programs what it had, and people where to read about it. */
	function root(exchange: Exchange): void {
		if (namesJson(exchange.headers.accept)) {
			const told = {endpoints: endpoints.map(([name]) => name), version, cloud_name: cloudName()};
			exchange.json(200, told, byAccept);
			return;
		}
		toDocs(exchange, byAccept);
	}

	function toDocs(exchange: Exchange, headers: Readonly<Record<string, string>> = {}): void {
		// Relative to the last segment asked for, so that it is right below any path that a proxy puts before ours.
		const last = exchange.target.asked.split('/').at(-1) ?? '';
		exchange.empty(301, {Location: last === '' || last === 'docs' ? 'docs/' : `${last}/docs/`, ...headers});
	}

	function docs(exchange: Exchange): void {
		exchange.body(200, page, {
			'Content-Type': 'text/html; charset=utf-8',
			'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
			'X-Content-Type-Options': 'nosniff',
			'Referrer-Policy': 'no-referrer',
		});
	}

	function favicon(exchange: Exchange): void {
		exchange.empty(204, {'Cache-Control': 'max-age=86400'});
	}

	return [
		{speaks: 'plain', path: '/', methods: {GET: open(root, 'none')}},
		{speaks: 'plain', path: '/docs', methods: {GET: open(exchange => toDocs(exchange), 'none')}},
		{speaks: 'plain', path: '/docs/', methods: {GET: open(docs, 'none')}},
		{speaks: 'plain', path: '/favicon.ico', quiet: true, methods: {GET: open(favicon, 'none')}},
	];
}

const endpoints: readonly (readonly [name: string, text: string])[] = [
	['GET /ping', 'Whether a server is there, and which.'],
	[
		'GET /images',
		'All images, oldest first. Filters: <code>name</code> and <code>version</code> (with a leading <code>~</code>: contains), <code>os</code>, <code>owner</code>, <code>type</code> (with a leading <code>!</code>: not), <code>public</code>, <code>state</code>, <code>account</code>, <code>tag.KEY</code>, <code>billing_tag</code>. Order and pages: <code>sort=published_at.asc</code> or <code>.desc</code>, <code>limit</code>, <code>marker</code> (a uuid or a date; the marker itself comes first).',
	],
	['GET /images/:uuid', 'The manifest of one image, in any state.'],
	[
		'GET /images/:uuid/file',
		'Its file, whole or by <code>Range</code>. <code>index</code> chooses another than the first.',
	],
	['GET /images/:uuid/icon', 'Its icon.'],
	[
		'GET /images/:uuid/jobs',
		'What is being done about an image: <code>import-remote</code>. <code>task</code> and <code>execution</code> choose.',
	],
	['GET /jobs/:uuid', 'How far such a job is.'],
	['GET /channels', 'The channels that images are in, if this server has any.'],
	[
		'POST /images',
		'A new image, of a manifest without <code>uuid</code>. It is seen once it has a file and is activated.',
	],
	[
		'POST /images/:uuid',
		'<code>action</code>: <code>import</code> (a new image that keeps its uuid and date; <code>source</code>: from another server), <code>import-remote</code> (with its file and its origins, as a job), <code>activate</code>, <code>update</code>, <code>enable</code>, <code>disable</code>, <code>channel-add</code>, <code>change-stor</code>.',
	],
	['DELETE /images/:uuid', 'Removes an image, or takes it out of a <code>channel</code>.'],
	[
		'PUT /images/:uuid/file',
		'The file, as the body or from a <code>source</code>. <code>compression</code> must be given, <code>sha1</code> should be.',
	],
	['POST /images/:uuid/file/from-url', 'The file from the <code>file_url</code> in the body.'],
	['PUT /images/:uuid/icon', 'An icon: JPEG, PNG or GIF. <code>DELETE</code> removes it.'],
	['POST /images/:uuid/acl', 'Accounts that see an image; <code>action=remove</code> takes them away.'],
	[
		'GET /datasets',
		'Images as DSAPI lists them, newest first. Filters: <code>name</code>, <code>version</code>, <code>type</code>, <code>os</code>, <code>creator_uuid</code>, <code>restricted_to_uuid</code>.',
	],
	[
		'GET /datasets/:id',
		'One of them, by uuid or URN: <code>cloud:creator:name:version</code>, or <code>name:version</code>, <code>cloud:creator:name</code>, <code>name</code>.',
	],
	['GET /datasets/:id/:path', 'Its file, by the path that the dataset gives it.'],
	['GET /assets/:path', 'A file by its path alone.'],
	[
		'PUT /datasets/:uuid',
		'A dataset as a form: its <code>manifest</code>, and a part for each file, named by its path.',
	],
	['DELETE /datasets/:uuid', 'Removes a dataset.'],
	[
		'PUT /publish',
		'An image in one go: the file is the body, the query describes it (<code>name</code>, <code>version</code>, <code>os</code>, <code>type</code>, …).',
	],
	['POST /uploads', 'Begins an upload that can be resumed, by the tus protocol.'],
	['GET /status', 'How the mirror fares, as JSON.'],
	['GET /metrics', 'Numbers for Prometheus.'],
	['GET /healthz', '200 while the process lives.'],
	['GET /readyz', '200 when it can serve, 503 and the reasons when it cannot.'],
];

const style = [
	'body{max-width:46rem;margin:2rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}',
	'dt{font-family:ui-monospace,monospace;font-weight:600;margin-top:.8rem}',
	'dd{margin-left:1.5rem}pre{padding:.6rem;border:1px solid;overflow:auto}',
	'@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}',
].join('');

function documentation(version: string): string {
	const list = endpoints.map(([name, text]) => `<dt>${name}</dt>\n<dd>${text}</dd>`).join('\n');
	return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>imgmirror ${version}</title>
<style>${style}</style>
</head>
<body>
<h1>imgmirror ${version}</h1>
<p>A mirror of SmartOS image servers. It speaks IMGAPI and DSAPI; on a SmartOS machine, name it as an image source:</p>
<pre>imgadm sources -a http://this-server</pre>
<h2>Endpoints</h2>
<dl>
${list}
</dl>
<h2>Answers</h2>
<p>Every endpoint also answers <code>HEAD</code> and <code>OPTIONS</code>. Images, lists, files and icons carry an
<code>ETag</code> and honour <code>If-None-Match</code> and <code>If-Match</code>.</p>
<p><code>x-cache</code> tells where an answer came from: <code>hit</code> (held here), <code>join</code> (just being fetched for
somebody else), <code>miss</code> (fetched for you), <code>stale</code> (held here, and its source cannot be asked just now),
<code>local</code> (of this server's own), <code>pass</code> (handed through). <code>x-source</code> names the source,
<code>x-request-id</code> is what the log calls the request.</p>
<p>Errors are JSON: <code>{"code": "ResourceNotFound", "message": "…"}</code>, some with <code>errors</code>, a list of
<code>{"field", "code"}</code>. 404 means that no source has it; 503 <code>RemoteSourceError</code> that nobody can tell.</p>
<p>Whatever changes something needs a login that may publish; without one it answers 401. A login is a name and a password
(HTTP Basic), a token in their place, or an HTTP Signature with an SSH key. <code>If-Match</code> on a change is honoured,
too: 412 says that the image is not as you thought.</p>
</body>
</html>
`;
}
