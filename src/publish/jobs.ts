/**
 * Images of other servers made ours, in the background: AdminImportRemoteImage (contract 6.14).
 *
 * A job takes an image and whatever of its origins is not ours yet, base first, and takes back what it made if it
 * fails. Jobs are written down at every step, so that a restart goes on with them; what a job did can be asked for a
 * week. Jobs that have an image in common run one after the other.
 */
import {randomUUID} from 'node:crypto';
import type {Layout} from '../blobs/layout.js';
import {RefusedError, SourceUnavailableError, ValidationError, describe} from '../errors.js';
import type {Host} from '../host.js';
import {isUuid, type Manifest, type Uuid} from '../image/manifest.js';
import type {Ask, RemoteServers, Source} from '../sources/source.js';
import type {Change, JobStatus} from './api.js';
import type {LocalWrites, PublishStore} from './internal.js';
import {isOver, jobStatus, jobText, readJob, withoutSecret, type JobProgress, type JobRecord} from './job-record.js';
import {takeRemoteImage} from './remote-image.js';
import {findRemote} from './remote-import.js';
import {Turns} from './turns.js';

const keptForMs = 7 * 24 * 3_600_000;
const mostKept = 1000;
const mostWaiting = 100;
const runAtOnce = 2;
/** Nobody has chains like that: a server that makes up origins must not keep us for ever. */
const longestChain = 64;

export interface JobsOptions {
	readonly host: Host;
	readonly writes: LocalWrites;
	readonly remote: RemoteServers;
	readonly store: Pick<PublishStore, 'writeRecord' | 'removeRecord' | 'readRecord' | 'listFolder'>;
	readonly layout: Pick<Layout, 'jobs' | 'job'>;
}

export class Jobs {
	readonly #host: Host;
	readonly #writes: LocalWrites;
	readonly #remote: RemoteServers;
	readonly #store: JobsOptions['store'];
	readonly #layout: JobsOptions['layout'];
	/** In the order in which they were made. */
	readonly #jobs = new Map<Uuid, JobRecord>();
	readonly #progress = new Map<Uuid, JobProgress>();
	/** Sources as clients named them, where that holds a password. */
	readonly #secrets = new Map<Uuid, string>();
	readonly #running = new Map<Uuid, Promise<void>>();
	readonly #turns = new Turns();
	readonly #stopping = new AbortController();

	constructor(options: JobsOptions) {
		this.#host = options.host;
		this.#writes = options.writes;
		this.#remote = options.remote;
		this.#store = options.store;
		this.#layout = options.layout;
	}

	/** Reads what is there and goes on with what was not over. Our images must be known by then. */
	async load(): Promise<void> {
		const found: JobRecord[] = [];
		for (const name of await this.#store.listFolder(this.#layout.jobs)) {
			const uuid = name.replace(/\.json$/, '');
			if (!isUuid(uuid) || uuid === name) {
				continue;
			}
			try {
				const text = await this.#store.readRecord(this.#layout.job(uuid));
				if (text !== undefined) {
					found.push(readJob(text));
				}
			} catch (error) {
				this.#host.log.warn({job: uuid, problem: describe(error)}, 'a job cannot be read and is left alone');
			}
		}
		for (const job of found.sort((a, b) => a.createdAtMs - b.createdAtMs)) {
			this.#jobs.set(job.uuid, isOver(job) ? job : {...job, execution: 'queued'});
		}
		await this.sweep();
		this.#startSome();
	}

	job(uuid: Uuid): JobStatus | undefined {
		const job = this.#jobs.get(uuid);
		return job === undefined ? undefined : jobStatus(job, this.#progress.get(uuid));
	}

	/** Newest first. */
	jobsOf(image: Uuid): readonly JobStatus[] {
		return [...this.#jobs.values()]
			.filter(job => job.image === image)
			.reverse()
			.map(job => jobStatus(job, this.#progress.get(job.uuid)));
	}

	async importRemote(uuid: Uuid, source: string | undefined, change: Change): Promise<JobStatus> {
		this.#writes.checkOperator(change);
		const channels = this.#writes.channelsFor(change.channel);
		if (source === undefined || source === '') {
			throw new ValidationError('source is missing', [{field: 'source', code: 'MissingParameter'}]);
		}
		return this.#turns.take([uuid], async () => {
			const already = [...this.#jobs.values()].find(job => job.image === uuid && !isOver(job));
			if (already !== undefined) {
				return jobStatus(already, this.#progress.get(already.uuid));
			}
			if (this.#writes.isTaken(uuid)) {
				throw new RefusedError('ImageUuidAlreadyExists', `image ${uuid} is ours already`);
			}
			if ([...this.#jobs.values()].filter(job => !isOver(job)).length >= mostWaiting) {
				throw new RefusedError('NotAvailable', `${mostWaiting} imports are waiting already: ask again later`);
			}
			const chain = await this.#chainOf(uuid, source, change);
			const job: JobRecord = {
				uuid: randomUUID() as Uuid,
				image: uuid,
				...withoutSecret(source),
				actor: change.actor,
				channels,
				chain,
				execution: 'queued',
				createdAtMs: this.#host.clock.now(),
				steps: [],
				made: [],
			};
			// Not before it is on the disk: of what cannot be written down, the client hears that it is none.
			await this.#store.writeRecord(this.#layout.job(job.uuid), jobText(job));
			this.#jobs.set(job.uuid, job);
			if (job.hadSecret) {
				this.#secrets.set(job.uuid, source);
			}
			void this.sweep().catch((error: unknown) => {
				this.#host.log.warn({err: error}, 'old jobs could not be removed');
			});
			this.#startSome();
			return jobStatus(job, undefined);
		});
	}

	/** Forgets jobs that were over long ago. */
	async sweep(): Promise<void> {
		const over = [...this.#jobs.values()].filter(isOver);
		const limitMs = this.#host.clock.now() - keptForMs;
		const surplus = new Set(over.slice(0, Math.max(0, over.length - mostKept)));
		for (const job of over) {
			if ((job.finishedAtMs ?? job.createdAtMs) < limitMs || surplus.has(job)) {
				this.#jobs.delete(job.uuid);
				await this.#store.removeRecord(this.#layout.job(job.uuid));
			}
		}
	}

	/** Breaks off what runs; the next start goes on with it. */
	async stop(): Promise<void> {
		this.#stopping.abort(new Error('the server is being stopped'));
		await Promise.all(this.#running.values());
	}

	/** What is to be had, base first: the image last, before it those of its origins that are not ours. */
	async #chainOf(image: Uuid, source: string, {actor: {operator}, ask}: Change): Promise<readonly Uuid[]> {
		const server = this.#remote.open(source);
		try {
			const chain: Uuid[] = [];
			const manifest = await findRemote(server, image, ask);
			if (manifest.files.length === 0) {
				throw new SourceUnavailableError(server.name, `image ${image} has no file there`);
			}
			for (let next: Manifest | undefined = manifest; next !== undefined;) {
				await this.#writes.checkAlike(next, {operator, ask});
				chain.unshift(next.uuid);
				const {origin}: Manifest = next;
				if (origin !== undefined && (chain.includes(origin) || chain.length >= longestChain)) {
					throw new SourceUnavailableError(server.name, `the origins of image ${image} never end`);
				}
				next = origin === undefined ? undefined : await this.#missing(origin, server, ask);
			}
			return chain;
		} finally {
			this.#close(server);
		}
	}

	/** An origin that is not ours yet; `undefined`: it is. Throws RefusedError where it is not active. */
	async #missing(origin: Uuid, server: Source, ask: Ask): Promise<Manifest | undefined> {
		const ours = this.#writes.get(origin);
		const theirs = ours === undefined ? await findRemote(server, origin, ask) : undefined;
		const isActive =
			theirs === undefined
				? ours !== undefined && ours.fields.activated && !ours.fields.disabled
				: theirs.state === 'active' && !theirs.disabled;
		if (!isActive) {
			throw new RefusedError('OriginIsNotActive', `image ${origin}, an origin of this one, is not active`);
		}
		return theirs;
	}

	#startSome(): void {
		for (const job of this.#jobs.values()) {
			if (this.#running.size >= runAtOnce || this.#stopping.signal.aborted) {
				return;
			}
			if (job.execution === 'queued' && !this.#running.has(job.uuid) && !this.#isCrossing(job)) {
				const run = this.#run(job)
					.catch((error: unknown) => {
						this.#host.log.error({err: error, job: job.uuid}, 'a job ended badly');
					})
					.finally(() => {
						this.#running.delete(job.uuid);
						this.#progress.delete(job.uuid);
						this.#startSome();
					});
				this.#running.set(job.uuid, run);
			}
		}
	}

	/** What one job takes back must not be what another one counts on. */
	#isCrossing({chain}: JobRecord): boolean {
		return [...this.#running.keys()].some(uuid => this.#jobs.get(uuid)?.chain.some(image => chain.includes(image)));
	}

	async #run(job: JobRecord): Promise<void> {
		const {uuid, image, source, chain} = job;
		const ask: Ask = {signal: this.#stopping.signal, requestId: uuid};
		try {
			await this.#change(uuid, {execution: 'running'});
			const secret = this.#secrets.get(uuid);
			if (job.hadSecret && secret === undefined) {
				throw new RefusedError('NotAvailable', 'the server was restarted and keeps no passwords: ask for it again');
			}
			const server = this.#remote.open(secret ?? source);
			try {
				for (const next of chain) {
					await this.#take(uuid, next, server, ask);
				}
			} finally {
				this.#close(server);
			}
			await this.#change(uuid, {execution: 'succeeded', finishedAtMs: this.#host.clock.now()});
			this.#host.log.info({job: uuid, image, source, images: chain.length}, 'an image of another server is ours now');
		} catch (error) {
			if (ask.signal.aborted) {
				return;
			}
			await this.#fail(uuid, error);
		}
		this.#secrets.delete(uuid);
	}

	/** One image of the chain, unless it is here. */
	async #take(uuid: Uuid, image: Uuid, server: Source, ask: Ask): Promise<void> {
		const {made, actor, channels, ...job} = this.#record(uuid);
		const ours = this.#writes.get(image);
		const isOrigin = image !== job.image;
		if (ours !== undefined && made.some(one => one.image === image && one.born === ours.born)) {
			return;
		}
		if (ours !== undefined && isOrigin) {
			await this.#step(uuid, 'origin_import_image', `image ${image} is ours already`);
			return;
		}
		if (ours !== undefined || this.#writes.isTaken(image)) {
			throw new RefusedError('ImageUuidAlreadyExists', `image ${image} is ours already`);
		}
		const born = randomUUID();
		await takeRemoteImage({
			...{host: this.#host, writes: this.#writes, source: server, uuid: image, by: actor, channels, born, ask},
			onProgress: (bytes, size) => this.#progress.set(uuid, {image, bytes, size}),
			// Written down before the image is: nothing of ours is left over, whenever we are killed.
			beforeSave: () => this.#change(uuid, {made: [...this.#record(uuid).made, {image, born}]}),
		});
		this.#progress.delete(uuid);
		await this.#step(uuid, isOrigin ? 'origin_import_image' : 'import_image', `image ${image} is ours now`);
	}

	async #fail(uuid: Uuid, error: unknown): Promise<void> {
		const {image, source, made, steps} = this.#record(uuid);
		const problem = describe(error);
		for (const one of [...made].reverse()) {
			await this.#writes.undo(one.image, one.born).catch((undoError: unknown) => {
				this.#host.log.error({err: undoError, job: uuid, image: one.image}, 'a failed import left an image behind');
			});
		}
		await this.#change(uuid, {
			execution: 'failed',
			finishedAtMs: this.#host.clock.now(),
			steps: [...steps, {name: 'import_image', result: '', error: problem === '' ? 'it failed' : problem}],
		});
		this.#host.log.warn({job: uuid, image, source, problem}, 'an import from another server failed');
	}

	#step(uuid: Uuid, name: string, result: string): Promise<void> {
		return this.#change(uuid, {steps: [...this.#record(uuid).steps, {name, result, error: ''}]});
	}

	#change(uuid: Uuid, changes: Partial<JobRecord>): Promise<void> {
		return this.#keep({...this.#record(uuid), ...changes});
	}

	async #keep(job: JobRecord): Promise<void> {
		this.#jobs.set(job.uuid, job);
		await this.#store.writeRecord(this.#layout.job(job.uuid), jobText(job));
	}

	#record(uuid: Uuid): JobRecord {
		const job = this.#jobs.get(uuid);
		if (job === undefined) {
			throw new Error(`there is no job ${uuid}`);
		}
		return job;
	}

	#close(server: Source): void {
		void server.close().catch((error: unknown) => {
			this.#host.log.debug({err: error, source: server.name}, 'a source could not be closed');
		});
	}
}
