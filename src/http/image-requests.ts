/**
 * What all requests about images have in common: how an image is found, what of it its caller sees, how it is answered.
 *
 * Reads and writes of IMGAPI use all of it, DSAPI and uploads some. Which images a caller may change is the publish
 * room's to say.
 */
import {isAuthenticated} from '../access/caller.js';
import {
	InvalidParameterError,
	NotFoundError,
	PreconditionError,
	RefusedError,
	UnauthorizedError,
	ValidationError,
} from '../errors.js';
import {isUuid, manifestEtag, type Manifest, type Shown, type Uuid} from '../image/manifest.js';
import {booleanParam, scalarParam} from '../image/query.js';
import type {FoundImage, MirrorApi} from '../mirror.js';
import type {Actor, Change} from '../publish/api.js';
import {namesEtag} from './conditions.js';
import type {Exchange} from './exchange.js';
import {knowsChannels} from './negotiate.js';
import {RenderedManifests} from './rendered.js';
import type {Params} from './routes.js';

export class ImageRequests {
	readonly rendered = new RenderedManifests();
	readonly #mirror: MirrorApi;

	constructor({mirror}: {readonly mirror: MirrorApi}) {
		this.#mirror = mirror;
	}

	/**
	 * The image that a read is about, in the order of contract 6.3. Throws NotFoundError also for what this caller, this
	 * channel or this account does not see.
	 */
	async find(exchange: Exchange, params: Params): Promise<FoundImage> {
		const uuid = uuidOf(params);
		exchange.note({image: uuid});
		const channel = this.readChannel(exchange);
		const account = scalarParam(exchange.query, 'account') || undefined;
		if (account !== undefined && !isUuid(account)) {
			throw new InvalidParameterError('account is no uuid', [{field: 'account', code: 'Invalid'}]);
		}
		const found = await this.#mirror.find(uuid, exchange.ask);
		const {manifest} = found;
		const isVisible =
			maySee(exchange, manifest) && inChannel(manifest, channel) && (account === undefined || isFor(manifest, account));
		if (!isVisible) {
			throw new NotFoundError(`image ${uuid} not found`);
		}
		exchange.note({source: found.source, cache: found.cache});
		return found;
	}

	/** The same for a verb that changes images, and therefore works in one channel only. */
	async findForWrite(exchange: Exchange, params: Params): Promise<FoundImage> {
		this.checkWriteChannel(exchange);
		return this.find(exchange, params);
	}

	/** Throws also RefusedError NotImageOwner: an account sees more than it may do something with. */
	async findOwn(exchange: Exchange, params: Params): Promise<FoundImage> {
		const found = await this.findForWrite(exchange, params);
		const account = scalarParam(exchange.query, 'account') || undefined;
		if (account !== undefined && found.manifest.owner !== account) {
			throw new RefusedError('NotImageOwner', `account ${account} does not own image ${found.manifest.uuid}`);
		}
		return found;
	}

	/** Throws ValidationError for a channel that there is not, and for all of them at once. */
	checkWriteChannel(exchange: Exchange): void {
		this.readChannel(exchange);
		if (this.#mirror.publish.channels.length > 0 && this.#channelIn(exchange) === '*') {
			throw new ValidationError('a write is in one channel', [{field: 'channel', code: 'Invalid'}]);
		}
	}

	/** `undefined`: images of all channels. Throws ValidationError for one that there is not. */
	readChannel(exchange: Exchange): string | undefined {
		return this.#mirror.publish.readChannel(this.#channelIn(exchange));
	}

	/** The publish room ignores it where there are no channels: it may be anything then, and come several times. */
	#channelIn({query}: Exchange): string | undefined {
		const isIgnored = this.#mirror.publish.channels.length === 0;
		return (isIgnored ? query.get('channel')?.[0] : scalarParam(query, 'channel')) || undefined;
	}

	/** What of an image's own fields goes out. Throws UnauthorizedError where operators' fields are not for the caller. */
	shown(exchange: Exchange): Shown {
		const admin = booleanParam(exchange.query, 'inclAdminFields') === true;
		if (admin && !isAuthenticated(exchange.caller)) {
			throw new UnauthorizedError('inclAdminFields needs a login');
		}
		return {channels: this.showsChannels(exchange), admin};
	}

	showsChannels({headers}: Exchange): boolean {
		const version = headers['accept-version'];
		return this.#mirror.publish.channels.length > 0 && knowsChannels(typeof version === 'string' ? version : undefined);
	}

	/** The answer of everything that changes one image. */
	answer(exchange: Exchange, manifest: Manifest, shown: Shown): void {
		const {etag, body} = this.rendered.of(manifest, shown);
		exchange.json(200, body, {ETag: `"${etag}"`});
	}

	/** On whose behalf, and under which condition. Throws InvalidParameterError for parameters given twice. */
	change(exchange: Exchange): Change & {readonly shown: Shown} {
		const {query, headers, ask} = exchange;
		const shown = this.shown(exchange);
		const ifMatch = headers['if-match'];
		return {
			actor: actorOf(exchange),
			account: scalarParam(query, 'account') || undefined,
			channel: this.#channelIn(exchange),
			...(ifMatch === undefined ? {} : {precondition: manifest => checkMatch(ifMatch, manifest, shown)}),
			ask,
			shown,
		};
	}
}

export function actorOf({caller}: Exchange): Actor {
	return {name: caller.user, operator: caller.rights.has('operate')};
}

/** Routes have checked that it is one. */
export function uuidOf({uuid}: Params): Uuid {
	if (!isUuid(uuid)) {
		throw new NotFoundError(`${uuid ?? ''} is no uuid`);
	}
	return uuid;
}

/** Whether images that are not public are to be found out about. */
export function maySee({caller}: Exchange, manifest: Manifest): boolean {
	return manifest.public || caller.rights.has('private');
}

/** Contract 9; what is a source's is in none of our channels, and in nobody's way. */
export function inChannel({local}: Manifest, channel: string | undefined): boolean {
	return channel === undefined || local === undefined || local.channels.includes(channel);
}

/** Contract 8. */
function isFor(manifest: Manifest, account: string): boolean {
	const activated = manifest.state === 'active' || manifest.state === 'disabled';
	return manifest.owner === account || (activated && (manifest.public || manifest.acl.includes(account)));
}

/** Contract 2.6: the ETag that this very caller would get. */
function checkMatch(ifMatch: string, manifest: Manifest, shown: Shown): void {
	if (!namesEtag(ifMatch, manifestEtag(manifest, shown))) {
		throw new PreconditionError(`image ${manifest.uuid} has another ETag by now`);
	}
}
