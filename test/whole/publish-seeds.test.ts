/**
 * The command lines that the older servers' documents promise, typed as they stand there.
 *
 * Host names in them lead to the mirror by curl's own configuration; `digest`, `zfs` and `ssh` are stand-ins.
 */
import {createHash} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import test, {type ExecutionContext} from 'ava';
import {testCertificates} from '../helpers/certificates.js';
import {Imgadm, type Json} from '../helpers/imgadm.js';
import {pseudoRandom} from '../helpers/make-image.js';
import {addUser, mainFile, run, startShell, type Shell} from '../helpers/run-command.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {startMirror, type TestMirror} from '../helpers/start-mirror.js';

const hasCurl = await run('curl', ['--version']).then(
	({code}) => code === 0,
	() => false,
);

async function curlMissing(t: ExecutionContext): Promise<boolean> {
	if (!hasCurl) {
		t.log('curl is not installed here: what is tested with it is not tested');
		t.pass();
	}
	return !hasCurl;
}

function portOf(mirror: TestMirror): string {
	return `127.0.0.1:${new URL(mirror.url).port}`;
}

/** The shell of a machine that knows the mirror as norbye.ddns.net. */
async function norbye(t: ExecutionContext, mirror: TestMirror): Promise<Shell> {
	const shell = await startShell(t, {hosts: {'norbye.ddns.net:80': portOf(mirror)}});
	// As on SmartOS: digest -a sha1 FILE
	await shell.program('digest', `sha1sum "$3" | cut -d' ' -f1`);
	return shell;
}

test("the whole curl sequence of trondn/imgapi's README ends in an image that imgadm lists and imports", async t => {
	if (await curlMissing(t)) {
		return;
	}
	const mirror = await startMirror(t, {sources: []});
	await addUser(mirror.data, 'admin', 'secret');
	const shell = await norbye(t, mirror);
	const file = gzipSync(pseudoRandom(300_000, 4));
	// The document spells the name in two ways.
	await shell.file('couchbase-watson-4.5.mg.gz', file);
	await shell.file('couchbase-watson-4.5.img.gz', file);

	const ping = await shell.run('curl -i http://norbye.ddns.net/ping');
	t.regex(ping.stdout, /^HTTP\/1\.1 200 OK/);
	t.regex(ping.stdout, /"imgapi": true/);

	const created = await shell.run(`curl -X POST -u admin:secret --data-binary '
        {
           "name": "couchbase-server",
           "version": "4.5.0-snapshot",
           "description": "Snapshot of Couchbase Server 4.5.0 Community Edition",
           "type": "zone-dataset",
           "os": "smartos",
           "requirements": {
             "networks": [
               {
                 "name": "net0",
                 "description": "public"
               }
             ]
           }
        }' http://norbye.ddns.net/images`);
	const manifest = JSON.parse(created.stdout) as Json;
	const uuid = String(manifest['uuid']);
	t.like(manifest, {
		v: 2,
		name: 'couchbase-server',
		version: '4.5.0-snapshot',
		state: 'unactivated',
		public: false,
		disabled: false,
		requirements: {networks: [{name: 'net0', description: 'public'}]},
	});
	t.deepEqual(await new Imgadm(mirror.url).avail(), []);

	const uploaded = await shell.run(`curl --upload-file couchbase-watson-4.5.mg.gz \\
                         -u admin:secret \\
			 "http://norbye.ddns.net/images/${uuid}/file?sha1=\`digest -a sha1 couchbase-watson-4.5.img.gz\`;compression=gzip"`);
	const sha1 = createHash('sha1').update(file).digest('hex');
	t.deepEqual((JSON.parse(uploaded.stdout) as Json)['files'], [{sha1, size: file.length, compression: 'gzip'}]);

	const activated = await shell.run(
		`curl -X POST -u admin:secret "http://norbye.ddns.net/images/${uuid}?action=activate"`,
	);
	t.is((JSON.parse(activated.stdout) as Json)['state'], 'active');

	// On the LAN, without credentials, though the image is not public.
	const imgadm = new Imgadm(`${mirror.url}/`);
	await imgadm.addSource();
	t.deepEqual(
		(await imgadm.avail()).map(({uuid, name, os}) => [uuid, name, os]),
		[[uuid, 'couchbase-server', 'smartos']],
	);
	sameBytes(t, (await imgadm.import(uuid))[0]?.file, file);
	// With the login in the source's URL as well.
	const withLogin = new Imgadm(mirror.url.replace('//', '//admin:secret@'));
	await withLogin.addSource();
	sameBytes(t, (await withLogin.import(uuid))[0]?.file, file);
});

test('a wrong password, and none, are refused, and leave nothing behind', async t => {
	if (await curlMissing(t)) {
		return;
	}
	const mirror = await startMirror(t, {sources: []});
	await addUser(mirror.data, 'admin', 'secret');
	const shell = await norbye(t, mirror);
	const create = `-X POST --data-binary '{"name":"a","version":"1","type":"zone-dataset","os":"smartos"}' http://norbye.ddns.net/images`;
	for (const login of ['', '-u admin:wrong', '-u nobody:secret', '-u admin:']) {
		const {stdout} = await shell.run(`curl -i ${login} ${create}`);
		t.regex(stdout, /^HTTP\/1\.1 401 /, login);
		t.regex(stdout, /^WWW-Authenticate: Basic realm="IMGAPI"\r$/im);
		t.regex(stdout, /"code": "UnauthorizedError"/);
	}
	const {stdout} = await shell.run(`curl -u admin:secret 'http://norbye.ddns.net/images?state=all'`);
	t.deepEqual(JSON.parse(stdout), []);
});

test("the DSAPI upload of sdc-imgapi's notes makes an image for both protocols", async t => {
	if (await curlMissing(t)) {
		return;
	}
	const {certFile, keyFile, caFile} = testCertificates;
	const mirror = await startMirror(t, {
		sources: [],
		config: {listen: ['127.0.0.1:0', {address: '127.0.0.1:0', tls: {certFile, keyFile}}]},
	});
	await addUser(mirror.data, 'joe', 'password', 'publish');
	const secure = mirror.running.addresses.find(address => address.startsWith('https:')) ?? '';
	const shell = await startShell(t, {
		hosts: {'datasets.joyent.com:443': `127.0.0.1:${new URL(secure).port}`},
		ca: caFile,
	});
	const file = pseudoRandom(200_000, 9);
	file.write('BZh9');
	const manifest = {
		uuid: 'cc707720-359e-4d84-89a7-e50959ecba43',
		name: 'nodejs',
		version: '1.0.0',
		description: 'a node.js machine',
		type: 'zone-dataset',
		os: 'smartos',
		creator_uuid: '352971aa-31ba-496c-9ade-a379feaecd52',
		published_at: '2011-03-15T13:33Z',
		files: [
			{
				path: 'nodejs-1.0.0.zfs.bz2',
				sha1: createHash('sha1').update(file).digest('hex'),
				size: file.length,
			},
		],
	};
	await shell.file('nodejs-1.0.0.dsmanifest', JSON.stringify(manifest));
	await shell.file('nodejs-1.0.0.zfs.bz2', file);
	const put = `curl https://datasets.joyent.com/datasets/cc707720-359e-4d84-89a7-e50959ecba43 \\
        -X PUT \\
        -u joe:password \\
        -F manifest=@nodejs-1.0.0.dsmanifest \\
        -F nodejs-1.0.0.zfs.bz2=@nodejs-1.0.0.zfs.bz2`;
	const {stdout} = await shell.run(put);
	t.is((JSON.parse(stdout) as Json)['uuid'], manifest.uuid, stdout);

	for (const protocol of ['', '/datasets']) {
		const imgadm = new Imgadm(mirror.url + protocol);
		sameBytes(t, (await imgadm.import(manifest.uuid))[0]?.file, file);
		t.deepEqual(
			(await imgadm.avail()).map(image => image['uuid']),
			[manifest.uuid],
		);
	}
	const removed = await shell.run(
		`curl -i -X DELETE -u joe:password https://datasets.joyent.com/datasets/${manifest.uuid}`,
	);
	t.regex(removed.stdout, /^HTTP\/1\.1 204 /);
	t.is((await mirror.get(`/datasets/${manifest.uuid}`)).status, 404);
	t.is((await mirror.get(`/images/${manifest.uuid}/file`)).status, 404);
});

test("smartos-image-server's pipe over ssh, and its mkimg, go on working", async t => {
	const mirror = await startMirror(t, {sources: []});
	const shell = await startShell(t);
	const stream = pseudoRandom(150_000, 2);
	await shell.file('stream', stream);
	await shell.program(
		'zfs',
		`case "$1" in send) cat '${shell.folder}/stream';; *) echo "$@" >> '${shell.folder}/zfs.log';; esac`,
	);
	await shell.program('imgmirror', `exec '${process.execPath}' '${mainFile}' "$@" --data '${mirror.data}'`);
	// ssh HOST COMMAND: a shell over there.
	await shell.program('ssh', 'shift; exec /bin/sh -c "$*"');
	const {stdout, stderr, code} = await shell.run(
		`zfs send zones/a48b615e-76fb-11e2-9502-6b130bf7f4ff@image | gzip | ssh datasets.yourdomain.local 'imgmirror import-image orgbase 1.0.0 "Base image for our organization"'`,
	);
	t.is(code, 0, stderr);
	t.regex(stdout, /^[0-9a-f-]{36}\n$/);
	const uuid = stdout.trim();
	for (const protocol of ['', '/datasets']) {
		const imgadm = new Imgadm(mirror.url + protocol);
		const [imported] = await imgadm.import(uuid);
		t.like(imported?.manifest, {name: 'orgbase', version: '1.0.0', description: 'Base image for our organization'});
		t.is((imported?.file ?? Buffer.alloc(0)).subarray(0, 2).toString('hex'), '1f8b');
	}
});

test('an image in one call with curl alone: a pipe, or a file', async t => {
	if (await curlMissing(t)) {
		return;
	}
	const mirror = await startMirror(t, {sources: []});
	await addUser(mirror.data, 'admin', 'secret', 'publish');
	const shell = await startShell(t, {hosts: {'mirror:80': portOf(mirror)}});
	const file = gzipSync(pseudoRandom(500_000, 7));
	await shell.file('x.zfs.gz', file);
	const {stdout} = await shell.run(
		`cat x.zfs.gz | curl -u admin:secret -T - 'http://mirror/publish?name=N&version=V&os=smartos&type=zone-dataset'`,
	);
	const manifest = JSON.parse(stdout) as Json;
	t.like(manifest, {name: 'N', version: 'V', state: 'active', files: [{compression: 'gzip', size: file.length}]});
	const uuid = await shell.run(
		`curl -u admin:secret -H 'Accept: text/plain' -T x.zfs.gz 'http://mirror/publish?name=N&version=W&os=smartos&type=zone-dataset'`,
	);
	t.regex(uuid.stdout, /^[0-9a-f-]{36}\n$/);
	const imgadm = new Imgadm(mirror.url);
	for (const one of [String(manifest['uuid']), uuid.stdout.trim()]) {
		sameBytes(t, (await imgadm.import(one))[0]?.file, file);
	}
});
