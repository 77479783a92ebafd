/**
 * `imgmirror bundle verify`: all of a bundle is read, and every digest in it checked, without a mirror.
 */
import type {BundleFiles} from '../airgap/bundle-files.js';
import {checkBundle, type CheckedImage} from '../airgap/check-bundle.js';
import {parsePublicKey} from '../airgap/signature.js';
import {systemClock} from '../host.js';
import {lookAtBundles, remarks, signatureLine, signatureOf, sumsLine, type SignatureState} from './bundle.js';
import {exitCodes} from './exit-codes.js';
import type {CliIo} from './io.js';
import {showProgress, type Progress} from './progress.js';
import {publicKeysOf} from './public-keys.js';
import {counted, humanBytes, painter, printable, titled} from './words.js';

export interface VerifyBundlesOptions {
	readonly bundles: readonly string[];
	/** A line, or a file: one of these keys must have signed it. */
	readonly key: string | undefined;
	readonly quiet: boolean;
	readonly json: boolean;
}

interface Verdict {
	readonly form: BundleFiles['form'];
	readonly right: boolean;
	readonly signature: SignatureState;
	/** Only where a key was given: whether it is the one. */
	readonly signedWithKey?: boolean;
	readonly images: readonly CheckedImage[];
	/** Artifacts of other kinds. */
	readonly foreign: number;
	readonly odd: readonly string[];
}

export async function verifyBundles(options: VerifyBundlesOptions, io: CliIo): Promise<number> {
	const {bundles, key, quiet, json} = options;
	const keys =
		key === undefined
			? undefined
			: new Set((await publicKeysOf([key], io)).map(line => parsePublicKey(line).fingerprint));
	const progress = showProgress({io, clock: io.clock ?? systemClock, quiet, label: 'verifying'});
	const looked = await lookAtBundles(bundles, io, async (files, signal) => {
		try {
			return await verdictOn(files, {keys, progress, signal});
		} finally {
			progress.end();
		}
	});
	if (json) {
		const all = looked.map(({name, found, problem}) => ({
			bundle: name,
			...(found ?? {right: false, ...(problem && {problem})}),
		}));
		io.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
	} else {
		for (const {name, found} of looked) {
			if (found !== undefined) {
				io.stdout.write(looked.length > 1 ? `${printable(name)}:\n` : '');
				show(found, io);
			}
		}
	}
	return looked.every(({found}) => found?.right === true) ? exitCodes.ok : exitCodes.failure;
}

async function verdictOn(
	files: BundleFiles,
	{
		keys,
		progress,
		signal,
	}: {readonly keys: ReadonlySet<string> | undefined; readonly progress: Progress; readonly signal: AbortSignal},
): Promise<Verdict> {
	const signature = await signatureOf(files);
	const images: CheckedImage[] = [];
	let foreign = 0;
	for await (const event of checkBundle(files, {deep: true, signal})) {
		switch (event.what) {
			case 'begin':
				({foreign} = event);
				progress.say(
					`${counted(event.images, 'image')}${event.bytes === undefined ? '' : ` with ${humanBytes(event.bytes)}`}`,
				);
				progress.start(event.bytes);
				break;
			case 'progress':
				progress.update(event.bytesDone);
				break;
			case 'image':
				images.push(event.image);
				break;
		}
	}
	const signedWithKey = keys === undefined ? true : signature.state === 'right' && keys.has(signature.fingerprint);
	const isRight = images.every(({outcome}) => outcome !== 'broken');
	return {
		form: files.form,
		right: isRight && signature.state !== 'wrong' && signedWithKey,
		signature,
		...(keys === undefined ? {} : {signedWithKey}),
		images,
		foreign,
		odd: files.odd,
	};
}

function show({right, signature, signedWithKey, images, foreign, odd}: Verdict, io: CliIo): void {
	const paint = painter(io.stdout, io);
	const faults = images.flatMap(image =>
		image.outcome === 'broken' ? [`${titled(image)} (${image.uuid}) is broken: ${image.problem ?? ''}`] : [],
	);
	const lines = [
		...faults.map(line => paint('red', printable(line))),
		paint(right ? 'green' : 'red', sumsLine(images)),
		signedWithKey === false
			? paint('red', signatureLine(signature, io, signature.state === 'none' ? '' : ', which is not the one of --key'))
			: signatureLine(signature, io, signedWithKey === true ? ', which is the one of --key' : ''),
		...remarks({images, foreign, odd}),
	];
	io.stdout.write(lines.map(line => `${line}\n`).join(''));
}
