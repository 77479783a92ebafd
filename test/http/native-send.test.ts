import {once} from 'node:events';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import test from 'ava';
import {loadNativeSend} from '../../src/http/native-send.js';

const {native: system} = await loadNativeSend();
/** Where the system or the package is not there, nothing is sent like this. */
const nativeTest = system === undefined ? test.skip : test;

test('other systems than Linux have files read and written, and say so', async t => {
	for (const platform of ['sunos', 'darwin', 'win32', 'freebsd']) {
		const {native, why} = await loadNativeSend(platform);
		t.is(native, undefined);
		t.is(why, `there is no sendfile for ${platform} here`);
	}
});

test('without the package files are read and written, and the reason is said', async t => {
	const {native, why} = await loadNativeSend('linux', () => Promise.reject(new Error('Cannot find package')));
	t.is(native, undefined);
	t.regex(why ?? '', /koffi cannot be used: .*Cannot find package/);
});

test('a system without the call is one without it', async t => {
	const koffi = {
		load: () => ({
			func: () => {
				throw new Error('no such symbol');
			},
		}),
	};
	const {native, why} = await loadNativeSend('linux', () => Promise.resolve({default: koffi} as never));
	t.is(native, undefined);
	t.regex(why ?? '', /no such symbol/);
});

nativeTest(
	'bytes and text go to a connection as far as it takes them, and of what is wrong nothing is said',
	async t => {
		if (system === undefined) {
			return;
		}
		const server = createServer().listen(0, '127.0.0.1');
		await once(server, 'listening');
		const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
		const [socket] = (await once(server, 'connection')) as [Socket];
		t.teardown(() => {
			client.destroy();
			socket.destroy();
			server.close();
		});
		const {fd} = (socket as unknown as {_handle: {fd: number}})._handle;
		t.is(system.writeText(fd, 'h\u00e9ad\r\n', true), 6);
		t.is(system.write(fd, Buffer.from('body'), false), 4);
		t.is(system.write(fd, Buffer.alloc(0), false), 0);
		let got = '';
		while (got.length < 10) {
			got += ((await once(client, 'data')) as [Buffer])[0].toString('latin1');
		}
		t.is(got, 'h\u00e9ad\r\nbody');
		client.pause();
		t.is(system.writeText(fd, 'x'.repeat(100_000), false), 65_536, 'of a long text a part');
		let taken = 0;
		const much = Buffer.alloc(1_000_000);
		for (let more = system.write(fd, much, false); more > 0; more = system.write(fd, much, false)) {
			taken += more;
		}
		t.true(taken > 0);
		t.is(system.write(-1, much, false), 0);
		t.is(system.writeText(-1, 'text', false), 0);
	},
);
