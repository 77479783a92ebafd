import test from 'ava';
import {loadNativeSend} from '../../src/http/native-send.js';

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
