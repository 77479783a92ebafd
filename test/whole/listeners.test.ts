import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {connect, createServer, type AddressInfo} from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import test, {type ExecutionContext} from 'ava';
import {testCertificates} from '../helpers/certificates.js';
import {get} from '../helpers/http-client.js';
import {Imgadm} from '../helpers/imgadm.js';
import {makeImage} from '../helpers/make-image.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startMirror} from '../helpers/start-mirror.js';
import {startUpstream} from '../helpers/start-upstream.js';
import {tempDir} from '../helpers/temp-dir.js';

/** The first of the programs that is there. */
async function findProgram(...candidates: readonly string[]): Promise<string | undefined> {
	for (const candidate of candidates) {
		if (await stat(candidate).catch(() => undefined)) {
			return candidate;
		}
	}
	return undefined;
}

async function freePort(): Promise<number> {
	const server = createServer();
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	const {port} = server.address() as AddressInfo;
	server.close();
	await once(server, 'close');
	return port;
}

/** Starts a program and resolves when its port answers. */
async function startProgram(
	t: ExecutionContext,
	program: string,
	args: readonly string[],
	port: number,
): Promise<void> {
	const child = spawn(program, args, {stdio: ['ignore', 'ignore', 'pipe']});
	let said = '';
	child.stderr.on('data', chunk => {
		said += String(chunk);
	});
	const exit = once(child, 'exit');
	t.teardown(async () => {
		child.kill('SIGTERM');
		await exit;
	});
	for (;;) {
		if (child.exitCode !== null) {
			throw new Error(`${program} ended: ${said}`);
		}
		const socket = connect(port, '127.0.0.1');
		const open = await once(socket, 'connect').then(
			() => true,
			() => false,
		);
		socket.destroy();
		if (open) {
			return;
		}
	}
}

test('TLS, plain and a unix socket at once; TLS 1.2 as imgadm speaks it', async t => {
	const image = makeImage({size: 300_000});
	const upstream = await startUpstream(t, {images: [image]});
	const socketPath = path.join(await tempDir(t), 'imgmirror.sock');
	const {certFile, keyFile, caFile} = testCertificates;
	const mirror = await startMirror(t, {
		sources: [upstream.url],
		config: {
			listen: [
				'127.0.0.1:0',
				{address: 'localhost:0', tls: {certFile, keyFile}},
				{address: `unix:${socketPath}`, mode: '660'},
			],
		},
	});
	const [plain = '', secure = '', unix = ''] = mirror.running.addresses;
	t.is(unix, `unix:${socketPath}`);
	const ca = await readFile(caFile);
	sameBytes(t, (await get(`${plain}/images/${image.uuid}/file`)).body, image.bytes);
	sameBytes(t, (await get(`${secure}/images/${image.uuid}/file`, {ca})).body, image.bytes);
	sameBytes(t, (await get(`http://unix/images/${image.uuid}/file`, {socketPath})).body, image.bytes);
	t.is((await stat(socketPath)).mode & 0o777, 0o660);

	const {port} = new URL(secure);
	const old = tls.connect({
		port: Number(port),
		host: 'localhost',
		ca,
		maxVersion: 'TLSv1.2',
		ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
	});
	await once(old, 'secureConnect');
	t.is(old.getProtocol(), 'TLSv1.2');
	old.destroy();
	await mirror.stop();
	await t.throwsAsync(stat(socketPath), {code: 'ENOENT'});
});

test('a SIGHUP opens and closes listeners while a transfer goes on', async t => {
	const image = makeImage({size: 2_000_000});
	const upstream = await startUpstream(t, {images: [image], holdAfter: 1_000_000});
	const mirror = await startMirror(t, {sources: [{name: 'up', url: upstream.url}]});
	const reading = mirror.file(image);
	await upstream.reached(1_000_000);
	const port = await freePort();
	await mirror.reload({config: {listen: [`127.0.0.1:${port}`]}});
	t.is((await get(`http://127.0.0.1:${port}/ping`)).status, 200);
	await t.throwsAsync(mirror.get('/ping'));
	upstream.release();
	sameBytes(t, (await reading).body, image.bytes);
});

test('a base path, and a public URL in what must be absolute', async t => {
	const image = makeImage({size: 1000});
	const upstream = await startUpstream(t, {images: [image]});
	const mirror = await startMirror(t, {
		sources: [upstream.url],
		config: {basePath: '/mirror', publicUrl: 'https://images.example.com/mirror'},
	});
	t.is((await mirror.get('/mirror/ping')).status, 200);
	t.is((await mirror.get('/images')).status, 404);
	// Which paths there are is said at the start: a fleet is not cut off because somebody prepares the next one.
	for (const basePath of ['/other', '/third']) {
		const notes = await mirror.reload({config: {basePath, publicUrl: `https://images.example.com${basePath}`}});
		t.deepEqual(notes, ['"basePath" takes effect at the next start', '"publicUrl" takes effect at the next start']);
		t.is((await mirror.get('/mirror/ping')).status, 200);
		t.is((await mirror.get(`${basePath}/ping`)).status, 404);
	}
	const config = {basePath: '/mirror', publicUrl: 'https://images.example.com/mirror'};
	t.deepEqual(await mirror.reload({config}), [], 'as it was at the start');
	sameBytes(t, (await new Imgadm(`${mirror.url}/mirror`).import(image.uuid))[0]?.file, image.bytes);
	const dataset = (await mirror.get(`/datasets/${image.uuid}`)).json() as {files: {url: string}[]};
	t.true(dataset.files[0]?.url.startsWith('https://images.example.com'));
	// imgadm sends that URL as it is, to us.
	sameBytes(t, (await new Imgadm(`${mirror.url}/datasets`).import(image.uuid))[0]?.file, image.bytes);
});

test('how long headers may be is said at the start, and a SIGHUP says so', async t => {
	const mirror = await startMirror(t, {sources: []});
	const port = await freePort();
	const listen = ['127.0.0.1:0', `127.0.0.1:${port}`];
	for (const maxHeaderSize of ['64 KiB', '32 KiB']) {
		const notes = await mirror.reload({config: {listen, http: {maxHeaderSize}}});
		t.deepEqual(notes, ['"http.maxHeaderSize" takes effect at the next start']);
	}
	const headers = {'x-long': 'a'.repeat(20_000)};
	t.is((await get(`http://127.0.0.1:${port}/ping`, {headers})).status, 431);
	t.deepEqual(await mirror.reload({config: {listen, http: {maxHeaderSize: '16 KiB'}}}), []);
});

test('a socket that no permissions are named for any more keeps them, and a SIGHUP says so', async t => {
	const address = `unix:${path.join(await tempDir(t), 'm.sock')}`;
	const listen = (mode?: string): object => ({config: {listen: ['127.0.0.1:0', {address, mode: mode ?? null}]}});
	const mirror = await startMirror(t, {sources: [], ...listen('0660')});
	t.deepEqual(await mirror.reload(listen('0600')), []);
	t.deepEqual(await mirror.reload(listen()), ['"listen[1].mode" takes effect at the next start']);
});

test('behind nginx, with a name of its own', async t => {
	const nginx = await findProgram('/usr/sbin/nginx', '/usr/bin/nginx');
	if (nginx === undefined) {
		t.log('nginx is not installed here');
		t.pass();
		return;
	}
	const image = makeImage({size: 3_000_000});
	const upstream = await startUpstream(t, {images: [image]});
	const folder = await tempDir(t);
	const socketPath = path.join(folder, 'm.sock');
	await startMirror(t, {
		sources: [upstream.url],
		config: {listen: ['127.0.0.1:0', `unix:${socketPath}`]},
	});
	const port = await freePort();
	await mkdir(path.join(folder, 'tmp'));
	const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
		name => `${name}_temp_path ${folder}/tmp/${name};`,
	);
	await writeFile(
		path.join(folder, 'nginx.conf'),
		`daemon off; ${process.getuid?.() === 0 ? 'user root;' : ''} pid ${folder}/pid; error_log stderr warn; events {}
		http { access_log off; ${temporary.join(' ')}
			server { listen 127.0.0.1:${port}; location / {
				proxy_pass http://unix:${socketPath}:; proxy_http_version 1.1; proxy_set_header Host $http_host;
				proxy_set_header Connection ""; proxy_buffering off;
			} }
		}`,
	);
	await startProgram(t, nginx, ['-p', folder, '-c', path.join(folder, 'nginx.conf'), '-e', 'stderr'], port);
	const url = `http://127.0.0.1:${port}`;
	for (const base of [url, `${url}/datasets`]) {
		const imgadm = new Imgadm(base);
		await imgadm.addSource();
		t.is((await imgadm.avail()).length, 1);
		sameBytes(t, (await imgadm.import(image.uuid))[0]?.file, image.bytes);
	}
	const dataset = (await get(`${url}/datasets/${image.uuid}`)).json() as {files: {url: string}[]};
	t.true(dataset.files[0]?.url.startsWith(`${url}/datasets/`));
	const part = await get(`${url}/images/${image.uuid}/file`, {headers: {range: 'bytes=1000000-1000009'}});
	t.is(part.status, 206);
	t.true(part.body.equals(image.bytes.subarray(1_000_000, 1_000_010)));
	const {etag = ''} = (await get(`${url}/images/${image.uuid}`)).headers;
	t.is((await get(`${url}/images/${image.uuid}`, {headers: {'if-none-match': etag}})).status, 304);
	t.is(upstream.fileRequests.length, 1);
});

test('Squid between the mirror and its upstream', async t => {
	const squid = await findProgram('/usr/sbin/squid');
	if (squid === undefined) {
		t.log('squid is not installed here');
		t.pass();
		return;
	}
	const image = makeImage({size: 1_000_000});
	const upstream = await startUpstream(t, {images: [image]});
	const folder = await tempDir(t);
	const port = await freePort();
	const configuration = path.join(folder, 'squid.conf');
	await writeFile(
		configuration,
		`http_port 127.0.0.1:${port}
		acl Safe_ports port 1-65535
		acl CONNECT method CONNECT
		http_access deny CONNECT
		http_access allow all
		cache deny all
		pid_filename none
		access_log none
		cache_log /dev/null
		cache_store_log none
		coredump_dir ${folder}
		visible_hostname squid.test
		shutdown_lifetime 0 seconds`,
	);
	// A name of its own keeps its shared memory apart from that of any other Squid on the machine.
	await startProgram(t, squid, ['-N', '-n', `imgmirror${process.pid}`, '-f', configuration], port);
	const mirror = await startMirror(t, {
		sources: [{name: 'up', url: upstream.url, proxy: `http://127.0.0.1:${port}`}],
	});
	t.is((await mirror.get('/images')).status, 200);
	t.true((await mirror.file(image)).body.equals(image.bytes));
	t.true(upstream.of('file').every(({headers}) => String(headers['via']).includes('squid')));
});
