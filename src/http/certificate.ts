/**
 * The certificate of a listener: told of before it runs out, and read again when its files have changed.
 *
 * Whoever renews certificates may not think of the mirror, and one that has run out costs every client its imports at
 * once. Connections that are there stay as they are.
 */
import {X509Certificate, createHash} from 'node:crypto';
import {readFile} from 'node:fs/promises';
import {createSecureContext, type SecureContextOptions} from 'node:tls';
import {describe, UsageError} from '../errors.js';
import type {Host, Timer} from '../host.js';

export interface TlsFiles {
	readonly certFile: string;
	readonly keyFile: string;
	readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
}

export interface Certificate {
	readonly secure: SecureContextOptions;
	/** Of both files. */
	readonly digest: string;
	/** Of the first certificate in the file, which is the listener's own. */
	readonly fromMs: number;
	readonly untilMs: number;
}

const everyMs = 60_000;
const dayMs = 86_400_000;
/** How long before its end one is told of; of one that lives for days only, a quarter of its life. */
const soonMs = 14 * dayMs;

/** The latest that a date can be. */
const farMs = 8.64e15;

/** Throws UsageError for what cannot be used. */
export async function readCertificate(address: string, tls: TlsFiles): Promise<Certificate> {
	try {
		const [cert, key] = await Promise.all([readFile(tls.certFile), readFile(tls.keyFile)]);
		// TLS 1.2 stays possible: imgadm knows no newer.
		const secure: SecureContextOptions = {cert, key, minVersion: tls.minVersion};
		createSecureContext(secure);
		const {validFrom, validTo} = new X509Certificate(cert);
		const digest = createHash('sha256').update(cert).update(key).digest('hex');
		return {secure, digest, fromMs: dateOf(validFrom, -farMs), untilMs: dateOf(validTo, farMs)};
	} catch (error) {
		throw new UsageError(`cannot use the certificate of ${address}`, {cause: error});
	}
}

/** One that cannot be read says nothing. */
function dateOf(text: string, otherwise: number): number {
	const ms = Date.parse(text);
	return Number.isNaN(ms) ? otherwise : ms;
}

type State = 'good' | 'early' | 'soon' | 'over';

export interface CertificateWatchOptions {
	readonly host: Host;
	/** The listener's. */
	readonly address: string;
	/** It is to be shown from now on. */
	readonly take: (secure: SecureContextOptions) => void;
}

export class CertificateWatch {
	readonly #options: CertificateWatchOptions;
	#files: TlsFiles;
	#shown: Certificate;
	#state: State = 'good';
	/** In a row. */
	#failures = 0;
	#timer: Timer | undefined;
	#stopped = false;

	/** `shown`: what the listener shows already, from these files. */
	constructor(shown: Certificate, files: TlsFiles, options: CertificateWatchOptions) {
		this.#shown = shown;
		this.#files = files;
		this.#options = options;
		this.#tell();
		this.#wait();
	}

	/** From these files, now. Throws UsageError for what cannot be used: then all stays as it was. */
	async renew(files: TlsFiles): Promise<void> {
		const found = await readCertificate(this.#options.address, files);
		this.#files = files;
		this.#take(found);
	}

	stop(): void {
		this.#stopped = true;
		this.#timer?.cancel();
		const {host, address} = this.#options;
		host.troubles.set(`certificate of ${address}`, undefined);
		host.metrics.certificateEnd.remove({address});
	}

	#wait(): void {
		this.#timer = this.#options.host.clock.after(everyMs, () => {
			void this.#look().finally(() => {
				if (!this.#stopped) {
					this.#wait();
				}
			});
		});
	}

	async #look(): Promise<void> {
		const {host, address} = this.#options;
		const files = this.#files;
		try {
			const found = await readCertificate(address, files);
			if (this.#stopped || files !== this.#files) {
				return;
			}
			this.#take(found);
		} catch (error) {
			this.#failures++;
			// Between a new certificate and the key to it there may be a moment.
			if (this.#failures === 2) {
				host.log.warn({address, problem: describe(error)}, 'a certificate cannot be read again: the old one stays');
			}
			this.#tell();
		}
	}

	#take(found: Certificate): void {
		const {host, address, take} = this.#options;
		if (found.digest !== this.#shown.digest || found.secure.minVersion !== this.#shown.secure.minVersion) {
			take(found.secure);
		}
		if (found.digest !== this.#shown.digest) {
			const until = new Date(found.untilMs).toISOString();
			host.log.info({address, until}, 'the certificate has changed: new connections see the new one');
		}
		this.#shown = found;
		this.#failures = 0;
		this.#tell();
	}

	/** Says how it is with what is shown, in the log where that is new. */
	#tell(): void {
		const {host, address} = this.#options;
		const {fromMs, untilMs} = this.#shown;
		const [state, words] = stateOf(this.#shown, host.clock.now());
		const trouble = words === undefined ? undefined : `the certificate of ${address} ${words}`;
		if (!this.#stopped) {
			host.troubles.set(`certificate of ${address}`, trouble);
			host.metrics.certificateEnd.set({address}, untilMs / 1000);
		}
		if (state !== this.#state && trouble !== undefined) {
			const about = {address, from: new Date(fromMs).toISOString(), until: new Date(untilMs).toISOString()};
			if (state === 'soon') {
				host.log.warn(about, trouble);
			} else {
				host.log.error(about, trouble);
			}
		}
		this.#state = state;
	}
}

function stateOf({fromMs, untilMs}: Certificate, nowMs: number): readonly [State, string | undefined] {
	const until = new Date(untilMs).toISOString();
	if (nowMs > untilMs) {
		return ['over', `has run out (${until}): clients refuse it`];
	}
	if (nowMs < fromMs) {
		return ['early', `holds from ${new Date(fromMs).toISOString()} on only: clients refuse it until then`];
	}
	const leftMs = untilMs - nowMs;
	return leftMs < Math.min(soonMs, (untilMs - fromMs) / 4)
		? ['soon', `runs out in ${inDays(leftMs)} (${until}): put a new one in its place, it is taken by itself`]
		: ['good', undefined];
}

function inDays(ms: number): string {
	const [count, unit] = ms >= 2 * dayMs ? [ms / dayMs, 'days'] : [ms / 3_600_000, 'hours'];
	return `${Math.floor(count)} ${unit}`;
}
