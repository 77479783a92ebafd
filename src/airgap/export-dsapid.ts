/**
 * One image as dsapid exports it: a tar of its manifest as either API shows it, and its files.
 *
 * Files are called as the dataset's manifest calls them. Their URLs there are paths: which server is to give them is up
 * to whoever puts the dataset on one.
 */
import {createHash} from 'node:crypto';
import {datasetPath, datasetText, type DatasetNames} from '../image/dataset.js';
import {prettyJson} from '../image/json-text.js';
import type {CarryBlob, CarryImage} from '../mirror-carry-api.js';
import {VirtualTar, type TarContent, type TarParts} from './export-tar.js';

/** What the header of a file in a tar has room for. */
const longestName = 100;
const unsafe = /[^\x20-\x7e]|[/\\":]/gu;

/** `files`: those of the image, in its order. */
export function dsapidTar(
	{manifest, text}: Pick<CarryImage, 'manifest' | 'text'>,
	files: readonly CarryBlob[],
	{names, ...parts}: TarParts & {readonly names: DatasetNames},
): Promise<VirtualTar> {
	const name = `${manifest.name}-${manifest.version}`;
	const dataset = prettyJson(datasetText(manifest, names)(''));
	const items = [
		textContent(safeName(name, '-dsapi.dsmanifest'), dataset),
		textContent(safeName(name, '-imgapi.dsmanifest'), text),
		...files.map(({sha1, size}, index): TarContent => {
			const path = datasetPath(manifest, index);
			const further = index === 0 ? '' : `-${index}`;
			const ending = path.slice(path.lastIndexOf(`${further}.z`));
			return {path: safeName(path.slice(0, path.length - ending.length), ending), size, content: {sha1}};
		}),
	];
	const hash = createHash('sha256').update(dataset).update(text);
	for (const {sha256} of files) {
		hash.update(sha256);
	}
	return VirtualTar.of(items, {...parts, etag: hash.digest('hex'), fileName: safeName(name, '.tar')});
}

function textContent(path: string, text: string): TarContent {
	const bytes = Buffer.from(text);
	return {path, size: bytes.length, content: {bytes: () => bytes}};
}

/** Without anything that a header, of a tar or of HTTP, could not take. */
function safeName(name: string, ending: string): string {
	return name.replace(unsafe, '-').slice(0, longestName - ending.length) + ending;
}
