/**
 * What sources are called: their own name if they have one, else the host they are on.
 *
 * Names tell sources apart in logs, metrics and on disk, so no two are alike; a name given by hand goes before one that
 * is made up.
 */
import {Fault, shown, type Place} from './place.js';
import {isObject} from './section.js';
import type {SourceConfig} from './types.js';

/** The publish area is called so. */
const reserved = ['local'];

/** `written` is what `sources` were read from: its elements' places are named in faults. */
export function nameSources(sources: readonly SourceConfig[], written: unknown, at: Place): readonly SourceConfig[] {
	reportRepeated(written, at);
	const taken = new Set([...reserved, ...sources.map(source => source.name.toLowerCase())]);
	return sources.map(source => {
		if (source.name !== '') {
			return source;
		}
		const name = freeName(source.urls[0] ?? '', taken);
		taken.add(name.toLowerCase());
		return {...source, name};
	});
}

function reportRepeated(written: unknown, at: Place): void {
	const first = new Map<string, string>(reserved.map(name => [name, 'the publish area']));
	for (const [index, source] of (Array.isArray(written) ? (written as unknown[]) : []).entries()) {
		const name = isObject(source) ? source['name'] : undefined;
		if (typeof name !== 'string') {
			continue;
		}
		const key = name.toLowerCase();
		const before = first.get(key);
		if (before !== undefined) {
			at.child(index)
				.child('name')
				.report(new Fault('a name of its own for each source', `${shown(name)}, which is the name of ${before}`));
		}
		first.set(key, before ?? at.child(index).path);
	}
}

/** The host alone if it is free; then with its port, its path, a number. */
function freeName(url: string, taken: ReadonlySet<string>): string {
	const {hostname, port, pathname} = URL.canParse(url) ? new URL(url) : {hostname: '', port: '', pathname: ''};
	const host = tidy(hostname);
	let name = host;
	for (let number = 0; taken.has(name.toLowerCase()); number++) {
		name = number === 0 ? tidy(`${hostname}-${port}`) : number === 1 ? tidy(`${name}${pathname}`) : `${host}-${number}`;
	}
	return name;
}

function tidy(name: string): string {
	return (
		name
			.replaceAll(/[^\w.]+/g, '-')
			.replaceAll(/^[^A-Za-z0-9]+|[^\w]+$/g, '')
			.slice(0, 60) || 'source'
	);
}
