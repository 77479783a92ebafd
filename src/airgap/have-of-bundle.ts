/**
 * What somebody has who took in a bundle: the text that `imgmirror have` would write there, as far as the bundle goes.
 *
 * For an export that leaves out what an earlier one brought. An image counts only if all of it is in the bundle, or was
 * left out of that on purpose: to carry one twice costs less than to leave one out that never arrived.
 */
import {IntegrityError, describe} from '../errors.js';
import {readVerified, type BundleFiles} from './bundle-files.js';
import {haveText, type HaveImage} from './have.js';
import {checkConfig, maxManifestBytes, parseImage, parseIndex, type BundleEntry} from './oci.js';

/** `warn` is told of each image that does not count. Throws IntegrityError where there is no index that can be read. */
export async function haveOfBundle(files: BundleFiles, warn: (message: string) => void): Promise<string> {
	const images: HaveImage[] = [];
	for (const entry of parseIndex(await files.index())) {
		if (!entry.foreign) {
			try {
				images.push(await imageOf(files, entry));
			} catch (error) {
				if (!(error instanceof IntegrityError)) {
					throw error;
				}
				warn(`${files.name} does not have all of ${entry.name}, so it goes again: ${describe(error)}`);
			}
		}
	}
	return haveText(images);
}

async function imageOf(files: BundleFiles, {descriptor, filesElsewhere}: BundleEntry): Promise<HaveImage> {
	const image = parseImage(await small(files, descriptor));
	const config = await small(files, image.config);
	const {manifest} = checkConfig(image, config);
	if (files.form === 'stream') {
		// Nothing of a stream is looked at twice: it has to be read through for what follows anyway.
		await files.drop(image.files.map(file => file.descriptor.digest));
	} else if (!filesElsewhere) {
		for (const {descriptor: file} of image.files) {
			const blob = await files.blob(file.digest);
			if (blob?.size !== file.size) {
				throw new IntegrityError('a file of it is missing or cut');
			}
		}
	}
	return {
		uuid: manifest.uuid,
		configSha256: image.config.digest.replace('sha256:', ''),
		sha1s: image.files.flatMap(({sha1}, index) => sha1 ?? manifest.files[index]?.sha1 ?? []),
	};
}

async function small(files: BundleFiles, expected: {readonly digest: string; readonly size: number}): Promise<Buffer> {
	const blob = await files.blob(expected.digest);
	if (blob === undefined) {
		throw new IntegrityError('what says what it is is missing');
	}
	return readVerified(blob, expected, maxManifestBytes);
}
