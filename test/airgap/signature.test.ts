import {createPrivateKey, createPublicKey, generateKeyPairSync} from 'node:crypto';
import {readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import {newKey, parsePublicKey, publicKeyOf, readSignature, sign} from '../../src/airgap/signature.js';
import {IntegrityError, InvalidParameterError} from '../../src/errors.js';
import {anyCharacter} from '../helpers/any-character.js';
import {has} from '../helpers/programs.js';
import {run, type Ran} from '../helpers/run-command.js';
import {tempDir, type Scope} from '../helpers/temp-dir.js';

const index = Buffer.from('{"schemaVersion":2,"manifests":[]}');
const key = newKey('near@example.com');

function keygen(args: readonly string[], input: Buffer | string = ''): Promise<Ran> {
	return run('ssh-keygen', args, {input});
}

/** A key that ssh-keygen made, and the same one as we keep ours. */
async function foreignKey(t: Scope): Promise<{file: string; publicLine: string; pem: string}> {
	const file = path.join(await tempDir(t), 'key');
	const made = await keygen(['-q', '-t', 'ed25519', '-N', '', '-C', 'far@example.com', '-f', file]);
	if (made.code !== 0) {
		throw new Error(made.stderr);
	}
	const publicLine = (await readFile(`${file}.pub`, 'utf8')).trim();
	const raw = Buffer.from(publicLine.split(' ')[1] ?? '', 'base64').subarray(-32);
	// The private half stands in front of the last public one.
	const body = Buffer.from((await readFile(file, 'utf8')).replaceAll(/-----.*-----/gu, ''), 'base64');
	const at = body.lastIndexOf(raw);
	const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), body.subarray(at - 32, at)]);
	return {file, publicLine, pem: `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`};
}

async function fileOf(t: Scope, content: string | Buffer): Promise<string> {
	const file = path.join(await tempDir(t), 'file');
	await writeFile(file, content);
	return file;
}

/** The armour around other bytes. */
function armored(bytes: Buffer): string {
	return `-----BEGIN SSH SIGNATURE-----\n${bytes.toString('base64')}\n-----END SSH SIGNATURE-----\n`;
}

function bytesOf(signature: string): Buffer {
	return Buffer.from(signature.replaceAll(/-----.*-----/gu, ''), 'base64');
}

test('a signature fits its index and no other', t => {
	const signature = readSignature(sign(index, key.privatePem));
	t.true(signature.verify(index));
	t.false(signature.verify(Buffer.from('')));
	t.false(signature.verify(Buffer.concat([index, Buffer.from('\n')])));
	const {fingerprint} = parsePublicKey(key.publicLine);
	t.is(signature.fingerprint, fingerprint);
	t.is(signature.publicLine, key.publicLine.split(' ').slice(0, 2).join(' '));
	t.is(readSignature(Buffer.from(sign(index, key.privatePem))).fingerprint, fingerprint);
});

test('the same index and key make the same signature', t => {
	t.is(sign(index, key.privatePem), sign(Buffer.from(index), key.privatePem));
	t.not(sign(index, key.privatePem), sign(index, newKey('x').privatePem));
});

test('ssh-keygen checks what we signed', async t => {
	if (!has(t, 'ssh-keygen')) {
		return;
	}
	const signature = await fileOf(t, sign(index, key.privatePem));
	const checked = await keygen(['-Y', 'check-novalidate', '-n', 'imgmirror-bundle', '-s', signature], index);
	t.is(checked.code, 0, checked.stderr);
	t.regex(checked.stdout, /^Good "imgmirror-bundle" signature with ED25519 key SHA256:/u);
	t.true(checked.stdout.includes(parsePublicKey(key.publicLine).fingerprint));

	const changed = await keygen(['-Y', 'check-novalidate', '-n', 'imgmirror-bundle', '-s', signature], 'other bytes');
	t.not(changed.code, 0);
	const other = await keygen(['-Y', 'check-novalidate', '-n', 'file', '-s', signature], index);
	t.not(other.code, 0);
});

test('ssh-keygen verifies what we signed against the line of our key', async t => {
	if (!has(t, 'ssh-keygen')) {
		return;
	}
	const signature = await fileOf(t, sign(index, key.privatePem));
	const signers = await fileOf(t, `near@example.com ${key.publicLine}\n`);
	const args = ['-Y', 'verify', '-n', 'imgmirror-bundle', '-f', signers, '-I', 'near@example.com', '-s', signature];
	const verified = await keygen(args, index);
	t.is(verified.code, 0, verified.stderr);
	t.regex(verified.stdout, /^Good "imgmirror-bundle" signature for near@example.com with ED25519 key SHA256:/u);
	t.not((await keygen(args, Buffer.from('other bytes'))).code, 0);
});

test('we check what ssh-keygen signed, and would have signed the same to the byte', async t => {
	if (!has(t, 'ssh-keygen')) {
		return;
	}
	const {file, publicLine, pem} = await foreignKey(t);
	const signed = await keygen(['-Y', 'sign', '-n', 'imgmirror-bundle', '-f', file], index);
	t.is(signed.code, 0, signed.stderr);
	const signature = readSignature(signed.stdout);
	t.true(signature.verify(index));
	t.false(signature.verify(Buffer.from('other bytes')));
	const read = parsePublicKey(publicLine);
	t.is(signature.fingerprint, read.fingerprint);
	t.is(read.comment, 'far@example.com');
	t.is(read.line, publicLine);
	t.is(sign(index, pem), signed.stdout);
	t.deepEqual(publicKeyOf(pem, 'far@example.com'), read);
});

test('fingerprints are those of ssh-keygen', async t => {
	if (!has(t, 'ssh-keygen')) {
		return;
	}
	const line = await fileOf(t, `${key.publicLine}\n`);
	const shown = await keygen(['-l', '-f', line]);
	t.is(shown.code, 0, shown.stderr);
	t.is(shown.stdout.trim(), `256 ${parsePublicKey(key.publicLine).fingerprint} near@example.com (ED25519)`);
});

test('signatures that ssh-keygen made for something else, or in another way, are refused in words', async t => {
	if (!has(t, 'ssh-keygen')) {
		return;
	}
	const {file} = await foreignKey(t);
	const ecdsa = path.join(await tempDir(t), 'key');
	await keygen(['-q', '-t', 'ecdsa', '-N', '', '-f', ecdsa]);
	for (const [args, message] of [
		[['-n', 'file', '-f', file], /it is made for "file" and not for imgmirror-bundle/u],
		[['-n', 'imgmirror-bundle', '-f', file, '-O', 'hashalg=sha256'], /it is over "sha256" and not over sha512/u],
		[['-n', 'imgmirror-bundle', '-f', ecdsa], /a key of the kind "ecdsa-sha2-nistp256" and not ssh-ed25519/u],
	] as const) {
		const {stdout, stderr, code} = await keygen(['-Y', 'sign', ...args], index);
		t.is(code, 0, stderr);
		t.throws(() => readSignature(stdout), {instanceOf: IntegrityError, message});
	}
});

test('a signature may have come through a system with other line ends', t => {
	const signature = sign(index, key.privatePem);
	t.true(readSignature(signature.replaceAll('\n', '\r\n')).verify(index));
	t.true(readSignature(signature.trim()).verify(index));
	t.true(readSignature(`\n${signature}\n`).verify(index));
});

const good = bytesOf(sign(index, key.privatePem));

function withAt(at: number, put: Buffer, cut = put.length): Buffer {
	return Buffer.concat([good.subarray(0, at), put, good.subarray(at + cut)]);
}

// "SSHSIG", version, key (4 + 51), namespace (4 + 16), reserved (4), hash (4 + 6), signature (4 + 4 + 11 + 4 + 64).
for (const [what, text, message] of [
	['nothing', '', /does not stand between/u],
	['no armour', good.toString('base64'), /does not stand between/u],
	['the armour of something else', armored(good).replaceAll('SSH ', 'PGP '), /does not stand between/u],
	['armour that has no end', armored(good).slice(0, -5), /does not stand between/u],
	['nothing within', armored(Buffer.alloc(0)), /not base64/u],
	['no base64', armored(good).replace('\n', '\n!'), /not base64/u],
	['blanks within', armored(good).replace('\n', '\n    '), /not base64/u],
	['100 kB', armored(Buffer.alloc(100_000)), /does not stand between/u],
	['another magic', armored(withAt(0, Buffer.from('SSHKEY'))), /no SSH signature of version 1/u],
	['another version', armored(withAt(9, Buffer.from([2]))), /no SSH signature of version 1/u],
	['another kind of key', armored(withAt(18, Buffer.from('ssh-ed25520'))), /kind "ssh-ed25520" and not/u],
	['a key that is too long', armored(withAt(10, Buffer.from([0, 0, 1, 0]))), /it goes on|ends in the middle/u],
	['another purpose', armored(withAt(69, Buffer.from('imgmirror-bumble'))), /made for "imgmirror-bumble"/u],
	['a length of 4 GB', armored(withAt(65, Buffer.from([255, 255, 255, 255]))), /ends in the middle/u],
	['something reserved', armored(withAt(85, Buffer.from([0, 0, 0, 1, 7]), 4)), /more than we understand/u],
	['another hash', armored(withAt(93, Buffer.from('sha384'))), /over "sha384"/u],
	['another kind of signature', armored(withAt(107, Buffer.from('ssh-ed25520'))), /not of the kind ssh-ed25519/u],
	['more at the end', armored(Buffer.concat([good, Buffer.from([0])])), /goes on after its end/u],
	['less at the end', armored(good.subarray(0, -1)), /ends in the middle/u],
] as const) {
	test(`a signature is refused in words: ${what}`, t => {
		t.throws(() => readSignature(text), {instanceOf: IntegrityError, message});
		t.throws(() => readSignature(Buffer.from(text)), {instanceOf: IntegrityError, message});
	});
}

test('a signature shorter than it should be is refused', t => {
	// Both lengths around it say 63.
	const short = Buffer.from(good.subarray(0, -1));
	short.writeUInt32BE(short.readUInt32BE(99) - 1, 99);
	short.writeUInt32BE(63, 118);
	t.throws(() => readSignature(armored(short)), {instanceOf: IntegrityError, message: /63 bytes and not 64/u});
	const key31 = Buffer.concat([good.subarray(0, 64), good.subarray(65)]);
	key31.writeUInt32BE(50, 10);
	key31.writeUInt32BE(31, 29);
	t.throws(() => readSignature(armored(key31)), {instanceOf: IntegrityError, message: /its key has 31 bytes/u});
});

test('no byte of a signature can be changed without notice', t => {
	for (let at = 0; at < good.length; at++) {
		for (const bit of [1, 0x80]) {
			const changed = Buffer.from(good);
			changed[at] = (changed[at] ?? 0) ^ bit;
			let fits = false;
			try {
				fits = readSignature(armored(changed)).verify(index);
			} catch (error) {
				t.true(error instanceof IntegrityError, `byte ${at}: ${String(error)}`);
			}
			t.false(fits, `byte ${at}`);
		}
	}
});

test('whatever is given for a signature, nothing but IntegrityError comes of it', t => {
	const survives = (bytes: Uint8Array | string): boolean => {
		try {
			readSignature(Buffer.from(bytes)).verify(index);
			return true;
		} catch (error) {
			return error instanceof IntegrityError;
		}
	};
	t.notThrows(() => {
		fc.assert(fc.property(fc.uint8Array({maxLength: 300}), survives));
		fc.assert(fc.property(fc.uint8Array({maxLength: 300}), bytes => survives(armored(Buffer.from(bytes)))));
		fc.assert(
			fc.property(fc.nat(good.length), fc.nat(8), fc.uint8Array({maxLength: 8}), (at, cut, put) =>
				survives(armored(withAt(at, Buffer.from(put), cut))),
			),
			{numRuns: 500},
		);
	});
});

test('keys that are points of no use are no reason to crash', t => {
	for (const fill of [0, 1, 0xff]) {
		const odd = Buffer.from(good);
		odd.fill(fill, 33, 65);
		t.false(readSignature(armored(odd)).verify(index));
	}
});

test('a new key is one of its own, and keeps its comment', t => {
	t.is(createPrivateKey(key.privatePem).asymmetricKeyType, 'ed25519');
	t.regex(key.publicLine, /^ssh-ed25519 [A-Za-z\d+/]{68} near@example\.com$/u);
	t.not(newKey('').publicLine, newKey('').publicLine);
	t.regex(newKey('  ').publicLine, /^ssh-ed25519 [A-Za-z\d+/]{68}$/u);
	t.is(parsePublicKey(newKey('Näher dran').publicLine).comment, 'Näher dran');
	for (const comment of ['two\nlines', 'a\tb', 'x'.repeat(256), '\u001B[31m', '\u202E']) {
		t.throws(() => newKey(comment), {
			instanceOf: InvalidParameterError,
			message: /one line of at most 255 characters/u,
		});
	}
	t.is(newKey('x'.repeat(255)).publicLine.length, 80 + 1 + 255);
});

test('a line of a key is read with the blanks that editors leave', t => {
	const {publicLine} = newKey('somebody at home');
	for (const line of [publicLine, `  ${publicLine}\r\n`, publicLine.replaceAll(' ', '  ').replace('  at  ', ' at ')]) {
		const read = parsePublicKey(line);
		t.true(read.line.startsWith(publicLine.slice(0, 80)));
		t.regex(read.comment, /^somebody {1,2}at {1,2}home$/u);
	}
	t.is(parsePublicKey(publicLine.slice(0, 80)).comment, '');
});

const blob = key.publicLine.split(' ')[1] ?? '';

for (const [what, line, message] of [
	['nothing', '', /no public key/u],
	['a word', 'ssh-ed25519', /no public key/u],
	['a private key', key.privatePem, /that is a private key, which nobody else should have/u],
	['a key of another kind', 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQ==', /of the kind "ssh-rsa"/u],
	['a key in a token', `sk-ssh-ed25519@openssh.com ${blob}`, /of the kind "sk-ssh-ed25519@openssh\.com"/u],
	['another kind within', `ssh-ed25519 ${Buffer.from('x').toString('base64')}`, /a part of it is missing/u],
	['a part of a key', `ssh-ed25519 ${blob.slice(0, 40)}`, /a part of it is missing/u],
	['more than a key', `ssh-ed25519 ${blob}AAAA`, /a part of it is missing, or it has been changed/u],
	['another spelling', `ssh-ed25519 ${blob.slice(0, -1)}${blob.slice(-1)}====`, /no public key/u],
	['options in front', `restrict ssh-ed25519 ${blob}`, /no public key|of the kind/u],
	['two lines', `${key.publicLine}\n${key.publicLine}`, /no public key|one line/u],
	['an escape in the comment', `ssh-ed25519 ${blob} \u001B[31mred`, /one line of at most 255/u],
	['a line without an end', `ssh-ed25519 ${blob} ${'x'.repeat(70_000)}`, /no public key/u],
] as const) {
	test(`a line that is no key is refused, and not shown: ${what}`, t => {
		const error = t.throws(() => parsePublicKey(line), {instanceOf: InvalidParameterError, message});
		t.is(error.errors[0]?.field, 'key');
		t.false(error.message.includes(blob.slice(20, 50)));
		t.false(error.message.includes('MC4CAQ'));
	});
}

test('one key has one spelling', t => {
	for (const data of [`${blob}A`, `${blob}=`, `${blob}A=`, `${blob}AA`]) {
		t.is(Buffer.from(data, 'base64').toString('hex').slice(0, 102), Buffer.from(blob, 'base64').toString('hex'));
		t.throws(() => parsePublicKey(`ssh-ed25519 ${data}`), {
			instanceOf: InvalidParameterError,
			message: /has been changed/u,
		});
	}
});

test('whatever is given for a key, nothing but InvalidParameterError comes of it', t => {
	const survives = (line: string): boolean => {
		try {
			return parsePublicKey(line).line.startsWith('ssh-ed25519 ');
		} catch (error) {
			return error instanceof InvalidParameterError;
		}
	};
	t.notThrows(() => {
		fc.assert(fc.property(fc.string({unit: anyCharacter}), survives));
		fc.assert(fc.property(fc.base64String(), data => survives(`ssh-ed25519 ${data}`)));
		fc.assert(
			fc.property(fc.nat(key.publicLine.length), fc.string(), (at, put) =>
				survives(key.publicLine.slice(0, at) + put + key.publicLine.slice(at + put.length)),
			),
		);
	});
});

test('private keys of other kinds and other things are refused', async t => {
	if (!has(t, 'ssh-keygen')) {
		return;
	}
	const rsa = generateKeyPairSync('rsa', {modulusLength: 1024}).privateKey.export({type: 'pkcs8', format: 'pem'});
	t.throws(() => sign(index, String(rsa)), {instanceOf: IntegrityError, message: /kind rsa, and not ed25519/u});
	t.throws(() => publicKeyOf('x'), {instanceOf: IntegrityError, message: /no private key in PEM/u});
	const publicPem = createPublicKey(key.privatePem).export({type: 'spki', format: 'pem'});
	t.throws(() => publicKeyOf(String(publicPem)), {instanceOf: IntegrityError});
	const locked = createPrivateKey(key.privatePem).export({
		...{type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret'},
	} as const);
	t.throws(() => publicKeyOf(String(locked)), {instanceOf: IntegrityError});
	// What ssh-keygen keeps its own in is not PEM as we read it.
	const {file} = await foreignKey(t);
	const openssh = await readFile(file, 'utf8');
	t.throws(() => publicKeyOf(openssh), {instanceOf: IntegrityError});
});
