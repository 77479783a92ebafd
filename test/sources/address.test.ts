import test from 'ava';
import {parseAddress, showUrl} from '../../src/sources/address.js';

test('an address is taken apart', t => {
	t.deepEqual(parseAddress('http://us%40er:p%3Aw@Host.example.com:8080/base/path/?channel=dev#x'), {
		base: 'http://host.example.com:8080/base/path',
		origin: 'http://host.example.com:8080',
		hostname: 'host.example.com',
		authorization: `Basic ${Buffer.from('us@er:p:w').toString('base64')}`,
		channel: 'dev',
	});
	t.deepEqual(parseAddress('https://host:443'), {
		base: 'https://host',
		origin: 'https://host',
		hostname: 'host',
		authorization: undefined,
		channel: undefined,
	});
});

test('credentials that are no percent-encoding are taken as they stand', t => {
	t.is(parseAddress('http://50%:x@host').authorization, `Basic ${Buffer.from('50%:x').toString('base64')}`);
});

test('what is neither http nor https is refused, without showing its password', t => {
	const error = t.throws(() => parseAddress('ftp://user:secret@host/x'), {instanceOf: TypeError});
	t.is(error.message, 'not an http or https URL: ftp://***@host/x');
	t.is(showUrl(new URL('http://host/x?y')), 'http://host/x?y');
});
