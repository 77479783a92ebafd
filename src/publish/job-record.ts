/**
 * One import-remote job as it lies on the disk, and as clients see it.
 *
 * `jobs.ts` runs jobs and writes the record at every step; after a restart it goes on from what is here. Passwords
 * are in neither.
 */
import {IntegrityError} from '../errors.js';
import {isUuid, type JsonObject, type Uuid} from '../image/manifest.js';
import type {Actor, JobStatus} from './api.js';

export interface JobStep {
	readonly name: string;
	readonly result: string;
	readonly error: string;
}

export interface JobRecord {
	readonly uuid: Uuid;
	readonly image: Uuid;
	/** Without credentials. */
	readonly source: string;
	/** It came with credentials, which only the process that was told them knows. */
	readonly hadSecret: boolean;
	readonly actor: Actor;
	readonly channels: readonly string[];
	/** Base first, the image itself last. */
	readonly chain: readonly Uuid[];
	readonly execution: JobStatus['execution'];
	readonly createdAtMs: number;
	readonly finishedAtMs?: number | undefined;
	readonly steps: readonly JobStep[];
	/** What it has made, or was about to make: how to tell its images from others of the same uuid. */
	readonly made: readonly {readonly image: Uuid; readonly born: string}[];
}

/** How far a running job's transfer has come. */
export interface JobProgress {
	readonly image: Uuid;
	readonly bytes: number;
	readonly size: number;
}

export function isOver({execution}: JobRecord): boolean {
	return execution === 'succeeded' || execution === 'failed';
}

export function jobText(job: JobRecord): string {
	return `${JSON.stringify(job, undefined, 2)}\n`;
}

/** Throws IntegrityError. */
export function readJob(text: string): JobRecord {
	let job: unknown;
	try {
		job = JSON.parse(text);
	} catch (error) {
		throw new IntegrityError('it is not JSON', {cause: error});
	}
	if (!isPlain(job) || !isJob(job)) {
		throw new IntegrityError('it is no job');
	}
	return job;
}

/** As IMGAPI's clients poll it, with a few members more. */
export function jobStatus(job: JobRecord, progress: JobProgress | undefined): JobStatus {
	return {
		uuid: job.uuid,
		name: 'import-remote-image',
		execution: job.execution,
		image_uuid: job.image,
		params: {image_uuid: job.image, source: job.source},
		created_at: new Date(job.createdAtMs).toISOString(),
		...(job.finishedAtMs === undefined ? {} : {finished_at: new Date(job.finishedAtMs).toISOString()}),
		chain: job.chain,
		...(progress === undefined ? {} : {progress}),
		chain_results: job.steps,
	};
}

/** A client's `source` as it may be shown and kept. */
export function withoutSecret(source: string): {readonly source: string; readonly hadSecret: boolean} {
	const url = URL.canParse(source) ? new URL(source) : undefined;
	if (url === undefined || (url.username === '' && url.password === '')) {
		return {source, hadSecret: false};
	}
	url.username = '';
	url.password = '';
	return {source: url.href, hadSecret: true};
}

function isJob(job: JsonObject): job is JsonObject & JobRecord {
	const {actor, chain, steps, made, channels} = job;
	return (
		isUuid(job['uuid']) &&
		isUuid(job['image']) &&
		typeof job['source'] === 'string' &&
		typeof job['hadSecret'] === 'boolean' &&
		isPlain(actor) &&
		(actor['name'] === undefined || typeof actor['name'] === 'string') &&
		typeof actor['operator'] === 'boolean' &&
		isArrayOf(channels, item => typeof item === 'string') &&
		isArrayOf(chain, isUuid) &&
		['queued', 'running', 'succeeded', 'failed'].includes(String(job['execution'])) &&
		typeof job['createdAtMs'] === 'number' &&
		(job['finishedAtMs'] === undefined || typeof job['finishedAtMs'] === 'number') &&
		isArrayOf(
			steps,
			item => isPlain(item) && ['name', 'result', 'error'].every(key => typeof item[key] === 'string'),
		) &&
		isArrayOf(made, item => isPlain(item) && isUuid(item['image']) && typeof item['born'] === 'string')
	);
}

function isArrayOf(value: unknown, fits: (item: unknown) => boolean): boolean {
	return Array.isArray(value) && value.every(fits);
}

function isPlain(value: unknown): value is JsonObject {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}
