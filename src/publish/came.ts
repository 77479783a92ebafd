/**
 * An image that came by hand, as it came: the very text that its hosts know, for as long as nobody changes it here.
 *
 * The record keeps the text beside the fields that were read from it. Whoever changes the fields need not know: what
 * they were when the text came is remembered by a digest, and text that no longer tells what the fields are is not used.
 */
import {createHash} from 'node:crypto';
import {manifestOf, readManifest, type Manifest, type Sha1} from '../image/manifest.js';
import type {ImageFields} from '../image/rules.js';
import type {LocalImage} from './internal.js';

export interface Came {
	/** The manifest as compact JSON, without channels. */
	readonly text: string;
	/** What the fields were when it came. */
	readonly of: string;
	readonly channels: readonly string[];
	/** Of the icon. */
	readonly icon?: Sha1 | undefined;
}

export function cameAs(text: string, {fields, channels, icon}: Pick<LocalImage, 'fields' | 'channels' | 'icon'>): Came {
	return {text: readManifest(text).text, of: digestOf(fields), channels, icon: icon?.sha1};
}

/** Nobody has changed anything of it here: the next bundle may. */
export function isUntouched({came, fields, channels, icon}: Omit<LocalImage, 'by' | 'born'>): boolean {
	return came?.of === digestOf(fields) && came.icon === icon?.sha1 && isSameSet(came.channels, channels);
}

export function isSameSet(one: readonly string[], other: readonly string[]): boolean {
	return one.length === other.length && one.every(name => other.includes(name));
}

/** The manifest as it came. `undefined`: it was made here, or changed here since. */
export function asItCame({came, fields}: Pick<LocalImage, 'came' | 'fields'>): Manifest | undefined {
	if (came?.of !== digestOf(fields)) {
		return undefined;
	}
	const manifest = manifestOf(readManifest(came.text));
	// The text of a very old image does not say which files they are; the record does.
	const files = manifest.files.map((file, index) => ({...file, sha1: file.sha1 ?? fields.files[index]?.sha1}));
	return {...manifest, files};
}

/** It said nothing of channels when it came, and nobody has put it into any: like the images of sources it is in all. */
export function isInAllChannels({came, channels}: Pick<LocalImage, 'came' | 'channels'>): boolean {
	return came !== undefined && channels.length === 0;
}

/** Files are told by their digests; when they were stored is nobody's business but the store's. */
function digestOf(fields: ImageFields): string {
	const files = fields.files.map(({sha1, size, compression}) => ({sha1, size, compression}));
	const rest = Object.entries({...fields, files})
		.filter(([, value]) => value !== undefined)
		.sort(([a], [b]) => (a < b ? -1 : 1));
	return createHash('sha1').update(JSON.stringify(rest)).digest('hex');
}
