/**
 * The Authorization header: what kind of login it is, and what it says.
 *
 * Pure reading of a text that a stranger sent. Nothing here knows any user.
 */

export type Proof =
	| {readonly kind: 'password'; readonly user: string; readonly password: string}
	| {readonly kind: 'token'; readonly token: string}
	| {
			readonly kind: 'signature';
			readonly user: string;
			/** In lower case. */
			readonly algorithm: string;
			/** In lower case; `undefined`: the header does not say what is signed. */
			readonly headers: readonly string[] | undefined;
			readonly signature: Buffer;
	  };

/** `undefined`: nothing that we understand. */
export function readAuthorization(header: string): Proof | undefined {
	// The one scheme whose letter case counts, and that has exactly one blank.
	if (header.startsWith('Signature ')) {
		return readSignature(header.slice('Signature '.length));
	}
	const [, scheme = '', value = ''] = /^([A-Za-z]+) +(\S+) *$/.exec(header) ?? [];
	switch (scheme.toLowerCase()) {
		case 'basic':
			return readBasic(value);
		case 'bearer':
			return /^[\w.~+/-]+=*$/.test(value) ? {kind: 'token', token: value} : undefined;
		default:
			return undefined;
	}
}

function readBasic(value: string): Proof | undefined {
	const bytes = readBase64(value);
	if (bytes === undefined) {
		return undefined;
	}
	const text = decode(bytes);
	// Old clients leave the colon out where there is no password.
	const colon = text.includes(':') ? text.indexOf(':') : text.length;
	return {kind: 'password', user: text.slice(0, colon), password: text.slice(colon + 1)};
}

/** Before UTF-8 it was Latin-1, which every sequence of bytes is. */
function decode(bytes: Buffer): string {
	try {
		return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytes);
	} catch {
		return bytes.toString('latin1');
	}
}

/** Buffer.from would take anything. */
function readBase64(text: string): Buffer | undefined {
	return text !== '' && /^[\w+/-]*={0,2}$/.test(text) && !text.includes('_') && !text.includes('-')
		? Buffer.from(text, 'base64')
		: undefined;
}

/** `name="value"` with commas between and no blanks, as the reference reads them. */
function readSignature(text: string): Proof | undefined {
	const parameters = new Map<string, string>();
	const parameter = /([A-Za-z]+)="([^"]*)"(,|$)/y;
	while (parameter.lastIndex < text.length) {
		const [, name = '', value = '', end] = parameter.exec(text) ?? [];
		// After the last one nothing follows, not even a comma.
		if (end === undefined || parameters.has(name) || (end === ',' && parameter.lastIndex === text.length)) {
			return undefined;
		}
		parameters.set(name, value);
	}
	const user = readKeyId(parameters.get('keyId') ?? '');
	const signature = readBase64(parameters.get('signature') ?? '');
	const headers = parameters.get('headers');
	const names = headers?.toLowerCase().split(' ');
	if (user === undefined || signature === undefined || names?.includes('') === true) {
		return undefined;
	}
	const algorithm = (parameters.get('algorithm') ?? '').toLowerCase();
	return {kind: 'signature', user, algorithm, headers: names, signature};
}

/** `user`, or `/user/keys/fingerprint` as CloudAPI's clients write it. */
function readKeyId(keyId: string): string | undefined {
	if (!keyId.startsWith('/')) {
		return keyId === '' ? undefined : keyId;
	}
	return /^\/([^/]+)\/keys\/[^/]+$/.exec(keyId)?.[1];
}
