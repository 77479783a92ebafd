/**
 * Which channels a request speaks of (contract 9).
 *
 * A server without channels ignores the parameter altogether. What `undefined` means differs: a read is then of all
 * channels, a write never is.
 */
import {NotFoundError, ValidationError} from '../errors.js';
import type {ChannelInfo} from './api.js';
import {isInAllChannels} from './came.js';
import type {LocalImage} from './internal.js';

/** The one channel that a read is restricted to. `undefined`: all of them, or the server has none. */
export function readChannel(channels: readonly ChannelInfo[], given: string | undefined): string | undefined {
	return given === '*' ? undefined : knownChannel(channels, given);
}

/** The channel that a write works in. `undefined`: the server has none. */
export function writeChannel(channels: readonly ChannelInfo[], given: string | undefined): string | undefined {
	return knownChannel(channels, given);
}

/** The channel of ChannelAddImage's body. */
export function channelToAdd(channels: readonly ChannelInfo[], body: unknown): string {
	const name = typeof body === 'object' && body !== null && 'channel' in body ? body.channel : undefined;
	if (name === undefined || name === null || name === '') {
		throw new ValidationError('the channel to add is missing', [{field: 'channel', code: 'MissingParameter'}]);
	}
	if (typeof name !== 'string' || !isKnown(channels, name)) {
		throw unknownChannel(name);
	}
	return name;
}

/** The channels that UpdateImage is given: on this server, one at least, each once. */
export function channelsToSet(channels: readonly ChannelInfo[], names: readonly string[]): readonly string[] {
	if (names.length === 0 || !names.every(name => isKnown(channels, name))) {
		throw new ValidationError('an image is in one channel of this server at least', [
			{field: 'channels', code: 'Invalid'},
		]);
	}
	return [...new Set(names)];
}

/** Throws NotFoundError where the image is not in the channel that is asked for. */
export function checkMembership(image: LocalImage, channel: string | undefined): void {
	if (channel !== undefined && !image.channels.includes(channel) && !isInAllChannels(image)) {
		throw new NotFoundError(`image ${image.fields.uuid} is not in channel ${channel}`);
	}
}

/**
 * An image in none of the channels that are configured now (they were made, or renamed, after it) is in the default one,
 * or the first: else nobody could ever find or change it.
 */
export function inKnownChannels(channels: readonly ChannelInfo[], image: LocalImage): LocalImage {
	if (channels.length === 0 || isInAllChannels(image)) {
		return image;
	}
	const known = image.channels.filter(name => isKnown(channels, name));
	if (known.length === image.channels.length && known.length > 0) {
		return image;
	}
	const usual = channels.find(channel => channel.default === true) ?? channels[0];
	return {...image, channels: known.length > 0 || usual === undefined ? known : [usual.name]};
}

function knownChannel(channels: readonly ChannelInfo[], given: string | undefined): string | undefined {
	if (channels.length === 0) {
		return undefined;
	}
	if (given === undefined || given === '') {
		const usual = channels.find(channel => channel.default === true);
		if (usual === undefined) {
			throw new ValidationError('no channel is given, and this server has no default channel', [
				{field: 'channel', code: 'MissingParameter'},
			]);
		}
		return usual.name;
	}
	if (!isKnown(channels, given)) {
		throw unknownChannel(given);
	}
	return given;
}

function isKnown(channels: readonly ChannelInfo[], name: string): boolean {
	return channels.some(channel => channel.name === name);
}

function unknownChannel(name: unknown): ValidationError {
	return new ValidationError(`no such channel: ${JSON.stringify(name).slice(0, 100)}`, [
		{field: 'channel', code: 'Invalid'},
	]);
}
