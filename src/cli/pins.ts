/**
 * `imgmirror pin` and `unpin`: images that stay, with the origins that they are built upon.
 */
import type {CliIo} from './io.js';
import {eachImage, type EachOptions} from './each-image.js';
import {readPinned} from './wire.js';

export function pin(options: EachOptions, io: CliIo): Promise<number> {
	return eachImage(options, io, {
		ask: (server, uuid) => server.post(`/mirror/images/${uuid}?action=pin`),
		said(answer, uuid) {
			const {chain, unchanged} = readPinned(answer);
			const [self, ...origins] = chain;
			const stays = origins.length === 0 ? '' : `, and so do its origins ${origins.map(nameOf).join(', ')}`;
			const away = chain.filter(({here}) => !here);
			const missing =
				away.length === 0
					? ''
					: `; not here yet: ${away.map(nameOf).join(', ')} ("imgmirror prefetch ${uuid}" fetches what is missing)`;
			return `${self === undefined ? uuid : nameOf(self)} ${unchanged ? 'was pinned already: it stays' : 'is pinned: it stays'}${stays}${missing}`;
		},
	});
}

export function unpin(options: EachOptions, io: CliIo): Promise<number> {
	return eachImage(options, io, {
		ask: (server, uuid) => server.post(`/mirror/images/${uuid}?action=unpin`),
		said(answer, uuid) {
			const {chain, unchanged} = readPinned(answer);
			const [self, ...origins] = chain;
			const name = self === undefined ? uuid : nameOf(self);
			if (unchanged) {
				return `${name} was not pinned`;
			}
			const may =
				origins.length === 0 ? 'it may go' : `it may go, and so may its origins ${origins.map(nameOf).join(', ')},`;
			return `${name} is pinned no more: ${may} when room is needed, unless something else keeps ${origins.length === 0 ? 'it' : 'them'}`;
		},
	});
}

function nameOf({uuid, name}: {readonly uuid: string; readonly name?: string | undefined}): string {
	return name === undefined || name === '' ? uuid : `${name} (${uuid.slice(0, 8)})`;
}
