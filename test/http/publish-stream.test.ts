/**
 * An image in one request: what the query may say, and that the file is not asked for before all of it is right.
 */
import {createHash, randomBytes} from 'node:crypto';
import {connect} from 'node:net';
import {Readable} from 'node:stream';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';
import {RefusedError} from '../../src/errors.js';
import {readDescribed} from '../../src/http/publish-stream-fields.js';
import {parseQueryString} from '../../src/image/query.js';
import type {FileOffer, WholeImage} from '../../src/publish/api.js';
import {anyCharacter} from '../helpers/any-character.js';
import {sameBytes} from '../helpers/same-bytes.js';
import {basicLogin, FakeAccess} from './fake-access.js';
import {curl} from './curl.js';
import {ask, open, startFront, type FrontOptions, type StartedFront} from './front.js';

const login = {authorization: basicLogin('joe')};
const uuid = '11111111-2222-4333-8444-555555555555';

function start(t: ExecutionContext, options: FrontOptions = {}): Promise<StartedFront> {
	return startFront(t, {access: new FakeAccess({joe: ['publish'], guest: ['read']}), ...options});
}

function given({mirror}: StartedFront): {readonly image: WholeImage; readonly offer: FileOffer} {
	return mirror.publish.calls.at(-1)?.given as {image: WholeImage; offer: FileOffer};
}

interface Problem {
	readonly code: string;
	readonly message: string;
	readonly errors?: readonly {readonly field: string; readonly code: string}[];
}

const described = (query: string): ReturnType<typeof readDescribed> => readDescribed(parseQueryString(query, 1000));

test('a pipe into curl becomes an image in one call', async t => {
	const started = await start(t);
	const bytes = randomBytes(300_000);
	const {status, out} = await curl(
		['-sS', '-u', 'joe:secret', '-T', '-', `${started.url}/publish?name=N&version=V&os=smartos&type=zone-dataset`],
		bytes,
	);
	t.is(status, 0);
	t.is((JSON.parse(out) as {uuid: string}).uuid, uuid);
	t.is(started.mirror.publish.bodies.length, 1);
	sameBytes(t, started.mirror.publish.bodies[0], bytes);
	const {image, offer} = given(started);
	t.deepEqual(image, {
		manifest: {name: 'N', version: 'V', type: 'zone-dataset', os: 'smartos'},
		adopt: false,
		activate: true,
	});
	t.is(offer.size, undefined, 'a pipe has no length');
	t.is(offer.compression, undefined);
	const [call] = started.mirror.publish.calls;
	t.deepEqual(call?.change.actor, {name: 'joe', operator: false});
});

test('curl --data-binary and -X POST do as well, and a script gets nothing but the uuid if it asks for text', async t => {
	const {url, mirror} = await start(t);
	const {out, headers} = await curl(
		[
			'-sS',
			'-i',
			'-u',
			'joe:secret',
			'-H',
			'Accept: text/plain',
			'--data-binary',
			'@-',
			`${url}/publish?name=a&version=1`,
		],
		Buffer.from('line\r\nline\n\0'),
	);
	t.is(out, `${uuid}\n`);
	t.is(headers['content-type'], 'text/plain; charset=utf-8');
	t.is(headers['x-image'], uuid);
	t.deepEqual(mirror.publish.bodies, [Buffer.from('line\r\nline\n\0')]);
});

test('the answer is the manifest with its ETag, and names the image in a header and the audit line', async t => {
	const {url, mirror, host} = await start(t);
	const answer = await ask(url, '/publish?name=a&version=1&activate=false', {method: 'PUT', headers: login, body: 'x'});
	t.is(answer.status, 200);
	t.is(answer.headers['content-type'], 'application/json');
	t.is(answer.headers.etag, `"${createHash('sha1').update(mirror.publish.made.text).digest('hex')}"`);
	t.is(answer.headers['x-image'], uuid);
	t.deepEqual(answer.json, JSON.parse(mirror.publish.made.text));
	const {audit} = await host.logged({msg: 'audit'});
	t.like(audit, {user: 'joe', action: 'publish', image: uuid, status: 200});
});

test('everything a manifest may have can be said in the query', t => {
	const {image, offer, account, channel} = described(
		[
			'name=a&version=1&uuid=U&owner=O&type=zvol&os=linux&description=d%26d&homepage=http://h/&eula=http://e/&origin=P',
			'public=false&disabled=true&generate_passwords=true&image_size=10240&nic_driver=virtio&disk_driver=virtio&cpu_type=host',
			'acl=A,B&acl=C&users=root,admin&billing_tags=x&inherited_directories=/opt',
			'tag.role=web&tag.a.b=c&trait.ssd=true',
			'requirements.min_ram=256&requirements.max_ram=zz&requirements.brand=lx&requirements.ssh_key=true&requirements.bootrom=uefi',
			'requirements.min_platform=20130101T000000Z&requirements.max_platform.7.1=20200101T000000Z',
			'compression=gzip&sha1=S&dataset_guid=G&storage=local&account=X&channel=dev&activate=true',
		].join('&'),
	);
	t.deepEqual(image, {
		adopt: false,
		activate: true,
		manifest: {
			...{uuid: 'U', owner: 'O', name: 'a', version: '1', type: 'zvol', os: 'linux', description: 'd&d'},
			...{homepage: 'http://h/', eula: 'http://e/', origin: 'P', public: false, disabled: true},
			...{generate_passwords: true, image_size: 10_240, nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host'},
			acl: ['A', 'B', 'C'],
			users: [{name: 'root'}, {name: 'admin'}],
			billing_tags: ['x'],
			inherited_directories: ['/opt'],
			requirements: {
				...{brand: 'lx', bootrom: 'uefi', min_ram: 256, max_ram: 'zz', ssh_key: true},
				min_platform: {'7.0': '20130101T000000Z'},
				max_platform: {'7.1': '20200101T000000Z'},
			},
			tags: {role: 'web', 'a.b': 'c'},
			traits: {ssd: 'true'},
		},
	});
	t.deepEqual(offer, {compression: 'gzip', sha1: 'S', datasetGuid: 'G', storage: 'local'});
	t.is(account, 'X');
	t.is(channel, 'dev');
});

test('what is missing is said all at once, before the body is asked for', async t => {
	const {url, mirror, port} = await start(t);
	const answer = await ask(url, '/publish?os=smartos', {method: 'PUT', headers: login, body: 'x'});
	t.is(answer.status, 422);
	const problem = answer.json as Problem;
	t.is(problem.code, 'ValidationFailed');
	t.deepEqual(
		problem.errors?.map(({field, code}) => `${field} ${code}`),
		['name MissingParameter', 'version MissingParameter'],
	);

	const socket = await open(port);
	socket.write(
		`PUT /publish HTTP/1.1\r\nHost: h\r\nAuthorization: ${login.authorization}\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n`,
	);
	const chunks: Buffer[] = [];
	for await (const chunk of socket as AsyncIterable<Buffer>) {
		chunks.push(chunk);
		if (Buffer.concat(chunks).includes('}')) {
			break;
		}
	}
	t.regex(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 422 /);
	t.deepEqual(mirror.publish.calls, []);
});

test('a client that waits is asked for the body once the publish room wants it, and never if it refuses', async t => {
	const {url, mirror} = await start(t);
	const sent = await curl(
		['-sS', '-v', '-u', 'joe:secret', '-H', 'Expect: 100-continue', '-T', '-', `${url}/publish?name=a&version=1`],
		Buffer.from('all of it'),
	);
	t.regex(sent.err, /100 Continue/);
	mirror.publish.before.publishFile = () => {
		throw new RefusedError('ImageUuidAlreadyExists', 'there is one');
	};
	const refused = await curl(
		['-sS', '-v', '-u', 'joe:secret', '-H', 'Expect: 100-continue', '-T', '-', `${url}/publish?name=a&version=1`],
		Buffer.from('all of it'),
	);
	t.notRegex(refused.err, /100 Continue/);
	t.is((JSON.parse(refused.out) as Problem).code, 'ImageUuidAlreadyExists');
});

test('a typing error is refused, and what is known is told', async t => {
	const {url, mirror} = await start(t);
	const answer = await ask(url, '/publish?name=a&version=1&descripton=x&requirements.min_rom=1&tag.=1&__proto__=1', {
		method: 'POST',
		headers: login,
		body: 'x',
	});
	t.is(answer.status, 422);
	const problem = answer.json as Problem;
	t.is(problem.code, 'InvalidParameter');
	t.deepEqual(
		problem.errors?.map(({field}) => field),
		['descripton', 'requirements.min_rom', 'tag.', '__proto__'],
	);
	t.regex(problem.message, /description/);
	t.regex(problem.message, /requirements\.min_ram/);
	t.deepEqual(mirror.publish.calls, []);
});

test('words that must be true or false, and names given twice, are refused', t => {
	for (const query of [
		'public=yes',
		'activate=1',
		'requirements.ssh_key=',
		'name=b',
		'tag.a=1&tag.a=2',
		'sha1=1&sha1=2',
	]) {
		const error = t.throws(() => described(`name=a&version=1&${query}`), undefined, query);
		t.is((error as {code?: string}).code, 'INVALID_PARAMETER', query);
	}
});

test('a login that may not publish is turned away before anything else', async t => {
	const {url, mirror} = await start(t);
	t.is((await ask(url, '/publish?zz=1', {method: 'PUT', body: 'x'})).status, 401);
	const guest = {authorization: basicLogin('guest')};
	t.is((await ask(url, '/publish?zz=1', {method: 'PUT', headers: guest, body: 'x'})).status, 403);
	t.is((await ask(url, '/publish', {method: 'GET', headers: login})).status, 405);
	t.deepEqual(mirror.publish.calls, []);
});

test('a form is refused, because its boundaries would become part of the file', async t => {
	const {url, mirror} = await start(t);
	const {out} = await curl(
		['-sS', '-u', 'joe:secret', '-X', 'PUT', '-F', 'file=@-', `${url}/publish?name=a&version=1`],
		Buffer.from('x'),
	);
	t.is((JSON.parse(out) as Problem).code, 'UnsupportedMediaTypeError');
	t.deepEqual(mirror.publish.calls, []);
});

test('a body that breaks off, with a length or in chunks, never looks like a whole one', async t => {
	for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
		const {port, mirror} = await start(t);
		const first = framing.startsWith('T') ? '4\r\npart\r\n' : 'part';
		let took: (error: unknown) => void = () => undefined;
		const outcome = new Promise<unknown>(resolve => (took = resolve));
		let began: () => void = () => undefined;
		const reading = new Promise<void>(resolve => (began = resolve));
		mirror.publish.take = async body => {
			try {
				for await (const piece of body) {
					t.is(piece.toString(), 'part');
					began();
				}
				took('whole');
			} catch (error) {
				took(error);
				throw error;
			}
		};
		const socket = connect(port, '127.0.0.1');
		socket.write(
			`PUT /publish?name=a&version=1 HTTP/1.1\r\nHost: h\r\nAuthorization: ${login.authorization}\r\n${framing}\r\n\r\n${first}`,
		);
		await reading;
		socket.destroy();
		t.is(((await outcome) as Error).name, 'AbortError', framing);
	}
});

test('bodies pass in pieces, at their reader’s pace', async t => {
	const {url, mirror} = await start(t);
	const size = 64 * 1024 * 1024;
	let bytes = 0;
	let largest = 0;
	mirror.publish.take = async body => {
		for await (const piece of body) {
			bytes += piece.length;
			largest = Math.max(largest, piece.length);
		}
	};
	const piece = Buffer.alloc(256 * 1024);
	const stream = Readable.from(
		(function* () {
			for (let sent = 0; sent < size; sent += piece.length) {
				yield piece;
			}
		})(),
	);
	const {out} = await curl(['-sS', '-u', 'joe:secret', '-T', '-', `${url}/publish?name=a&version=1`], stream);
	t.is((JSON.parse(out) as {uuid: string}).uuid, uuid);
	t.is(bytes, size);
	t.true(largest <= 1024 * 1024);
});

test('any text comes through as it is, in every field', t => {
	const texts = fc.string({unit: anyCharacter, maxLength: 30});
	fc.assert(
		fc.property(
			texts,
			texts,
			texts,
			fc.string({unit: anyCharacter, minLength: 1, maxLength: 10}),
			(name, version, value, tag) => {
				const query = Object.entries({name, version, description: value, [`tag.${tag}`]: value})
					.map(pair => pair.map(encodeURIComponent).join('='))
					.join('&');
				const {manifest} = described(query).image;
				t.is(manifest['name'], name);
				t.is(manifest['version'], version);
				t.is(manifest['description'], value);
				t.deepEqual(Object.entries(manifest['tags'] as object), [[tag, value]]);
			},
		),
	);
	t.is(Object.getPrototypeOf(described('name=a&version=1&tag.__proto__=x').image.manifest['tags']), Object.prototype);
});
