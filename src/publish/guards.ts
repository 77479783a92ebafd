/**
 * Whose image is it, and may whoever asks change it: the checks that every write on an image begins with (contract 8).
 *
 * They look at one image as it is now and throw; finding the image, and its turn, are the lifecycle's.
 */
import {InvalidParameterError, NotFoundError, RefusedError} from '../errors.js';
import {isUuid, type Uuid} from '../image/manifest.js';
import type {Actor, Change} from './api.js';
import type {LocalImage} from './internal.js';

/** The query's `account`. Throws InvalidParameterError where it is no uuid. */
export function readAccount(account: string | undefined): Uuid | undefined {
	if (account === undefined || account === '') {
		return undefined;
	}
	if (!isUuid(account)) {
		throw new InvalidParameterError('account is not a UUID', [{field: 'account', code: 'Invalid'}]);
	}
	return account;
}

/** What is done to the whole server is no single account's to do. */
export function checkOperator({account}: Pick<Change, 'account'>): void {
	if (account !== undefined && account !== '') {
		throw new RefusedError('OperatorOnly', 'this is an operator’s to do: it takes no account');
	}
}

/** An image that the account cannot see is not there; one that it sees and does not own stays as it is. */
export function checkAccount({fields}: LocalImage, account: Uuid | undefined): void {
	if (account === undefined || fields.owner === account) {
		return;
	}
	const isVisible = fields.activated && (fields.public || (fields.acl ?? []).includes(account));
	if (!isVisible) {
		throw noSuchImage(fields.uuid);
	}
	throw new RefusedError('NotImageOwner', `account ${account} does not own image ${fields.uuid}`);
}

/** What somebody without a login has made is every publisher's to change. */
export function checkPublisher({fields, by}: LocalImage, actor: Actor): void {
	if (!actor.operator && by !== undefined && by !== actor.name) {
		throw new RefusedError(
			'NotImageOwner',
			`image ${fields.uuid} is ${JSON.stringify(by)}'s: nobody else but an operator may change it`,
		);
	}
}

export function noSuchImage(uuid: Uuid): NotFoundError {
	return new NotFoundError(`image ${uuid} is not one of ours`);
}
