/**
 * Every operation of the API, in the order in which people read of them.
 */
import {bundleOperations} from './openapi-bundles.js';
import {datasetOperations, imageOperations} from './openapi-images.js';
import {operatingOperations} from './openapi-operating.js';
import {publishingOperations, uploadOperations} from './openapi-publishing.js';
import {serverOperations} from './openapi-server.js';
import type {Operation} from './openapi-types.js';

export const operations: readonly Operation[] = [
	...imageOperations,
	...publishingOperations,
	...uploadOperations,
	...datasetOperations,
	...operatingOperations,
	...bundleOperations,
	...serverOperations,
];
