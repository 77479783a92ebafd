/**
 * Manifests for the tests of this room: small, with the fields that a test is about.
 */
import {parseManifest, type Manifest} from '../../src/image/manifest.js';

export const sha1 = '0123456789abcdef0123456789abcdef01234567';

/** The uuid that ends in `number`. */
export function uuid(number: number): string {
	return `00000000-0000-4000-8000-${number.toString(16).padStart(12, '0')}`;
}

export function fields(number = 1, more: object = {}): Record<string, unknown> {
	return {
		v: 2,
		uuid: uuid(number),
		owner: uuid(0xaaaa),
		name: `image-${number}`,
		version: '1.0.0',
		state: 'active',
		disabled: false,
		public: true,
		published_at: `2020-01-01T00:00:${String(number % 60).padStart(2, '0')}Z`,
		type: 'zone-dataset',
		os: 'smartos',
		files: [{sha1, size: 1000 + number, compression: 'gzip'}],
		...more,
	};
}

export function image(number = 1, more: object = {}): Manifest {
	return parseManifest(JSON.stringify(fields(number, more)));
}
