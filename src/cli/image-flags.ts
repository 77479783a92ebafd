/**
 * The manifest that a command line describes: a file's, with what the flags say laid over it, or one made of the flags.
 *
 * `publish`, `import-image` and `manifest` share it. What may stand in a manifest is for its readers to say: here only
 * the form of the flags is checked.
 */
import {readFile} from 'node:fs/promises';
import {resolve} from 'node:path';
import {MirrorError, describe} from '../errors.js';
import {isUuid, type JsonObject} from '../image/manifest.js';
import {newManifest} from '../image/new-manifest.js';
import {manifestFromAny} from '../image/upgrade.js';
import {commandLineError} from './target.js';

export interface ImageFlags {
	readonly name?: string;
	readonly version?: string;
	readonly description?: string;
	readonly os?: string;
	readonly type?: string;
	readonly origin?: string;
	readonly public?: boolean;
	readonly uuid?: string;
	readonly owner?: string;
	readonly homepage?: string;
	/** `KEY=VALUE` each. */
	readonly requirement?: readonly string[];
	readonly tag?: readonly string[];
	/** A file to begin with. */
	readonly manifest?: string;
}

/** What a manifest says of its file, to be compared with the file. */
export interface SaidOfFile {
	readonly sha1: string | undefined;
	readonly size: number | undefined;
	readonly compression: string | undefined;
}

export interface Described {
	/** Without `files`, and without what only a server can say. */
	readonly manifest: JsonObject;
	readonly file: SaidOfFile;
	/** Nobody asked for the networks in it: they are what images commonly say. */
	readonly commonNetworks: boolean;
}

/** What the server that takes an image says itself. */
const saidByServers: ReadonlySet<string> = new Set(['files', 'state', 'activated', 'icon', 'channels', 'expires_at']);

/** Throws ConfigError for flags that cannot be used, MirrorError for a manifest that cannot. */
export async function describeImage(
	flags: ImageFlags,
	{directory, guessed = {}}: {readonly directory: string; readonly guessed?: {name?: string; version?: string}},
): Promise<Described> {
	const faults: string[] = [];
	const requirements = requirementsIn(flags.requirement ?? [], faults);
	const tags = pairsIn('--tag', flags.tag ?? [], faults);
	for (const flag of ['uuid', 'origin', 'owner'] as const) {
		const given = flags[flag];
		if (given !== undefined && !isUuid(given)) {
			faults.push(`--${flag}: expected a uuid in lower case, got ${JSON.stringify(given)}`);
		}
	}
	const base = flags.manifest === undefined ? {} : await readManifestFile(resolve(directory, flags.manifest));
	const name = flags.name ?? textIn(base, 'name') ?? guessed.name;
	const version = flags.version ?? textIn(base, 'version') ?? guessed.version;
	if (name === undefined || version === undefined) {
		const missing = [...(name === undefined ? ['--name'] : []), ...(version === undefined ? ['--version'] : [])];
		faults.push(`${missing.join(' and ')}: an image needs ${missing.length === 1 ? 'it' : 'both'}`);
		throw commandLineError(faults);
	}
	if (faults.length > 0) {
		throw commandLineError(faults);
	}
	const more = Object.fromEntries(Object.entries(base).filter(([key]) => !saidByServers.has(key)));
	const made = newManifest({
		name,
		version,
		description: flags.description ?? textIn(base, 'description'),
		os: flags.os ?? textIn(base, 'os'),
		type: flags.type ?? textIn(base, 'type'),
		public: flags.public ?? (typeof base['public'] === 'boolean' ? base['public'] : undefined),
		uuid: flags.uuid ?? textIn(base, 'uuid'),
		owner: flags.owner ?? textIn(base, 'owner'),
		more: {
			...more,
			...(flags.homepage === undefined ? {} : {homepage: flags.homepage}),
			...(flags.origin === undefined ? {} : {origin: flags.origin}),
			...merged('tags', base, tags),
		},
	});
	// Beside those that images of the type have anyway.
	const manifest = {...made, ...merged('requirements', made, requirements)};
	const commonNetworks = base['requirements'] === undefined && requirements['networks'] === undefined;
	return {manifest, file: fileIn(base), commonNetworks};
}

/** Of any generation, as one of today. Throws MirrorError. */
async function readManifestFile(path: string): Promise<JsonObject> {
	const text = await readFile(path, 'utf8').catch((error: unknown) => {
		throw new MirrorError(`the manifest ${path} cannot be read: ${describe(error)}`, {cause: error});
	});
	const fields = objectIn(text, path);
	// From the times of DSAPI.
	return 'creator_uuid' in fields && !('v' in fields) ? objectIn(manifestFromAny(text).text, path) : fields;
}

function objectIn(text: string, path: string): JsonObject {
	try {
		const value = JSON.parse(text) as unknown;
		if (isObject(value)) {
			return value;
		}
	} catch (error) {
		throw new MirrorError(`${path} is no manifest: ${describe(error)}`, {cause: error});
	}
	throw new MirrorError(`${path} is no manifest: it is not a JSON object`);
}

function isObject(value: unknown): value is JsonObject {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textIn(fields: JsonObject, key: string): string | undefined {
	const value = Object.hasOwn(fields, key) ? fields[key] : undefined;
	return typeof value === 'string' ? value : undefined;
}

function fileIn(fields: JsonObject): SaidOfFile {
	const files = fields['files'];
	const file: unknown = Array.isArray(files) ? files[0] : undefined;
	if (!isObject(file)) {
		return {sha1: undefined, size: undefined, compression: undefined};
	}
	const size = file['size'];
	return {
		sha1: textIn(file, 'sha1')?.toLowerCase(),
		size: typeof size === 'number' ? size : undefined,
		compression: textIn(file, 'compression'),
	};
}

function merged(key: string, base: JsonObject, added: JsonObject): JsonObject {
	const before = base[key];
	return Object.keys(added).length === 0 ? {} : {[key]: {...(isObject(before) ? before : {}), ...added}};
}

/** `KEY=VALUE` as data, whatever the key is called. */
function pairsIn(flag: string, given: readonly string[], faults: string[]): Readonly<Record<string, string>> {
	const pairs: [string, string][] = [];
	for (const text of given) {
		const mark = text.indexOf('=');
		if (mark > 0) {
			pairs.push([text.slice(0, mark), text.slice(mark + 1)]);
		} else {
			faults.push(`${flag}: expected KEY=VALUE, got ${JSON.stringify(text)}`);
		}
	}
	return Object.fromEntries(pairs);
}

const platforms: readonly string[] = ['min_platform', 'max_platform'];

/** `min_ram=512`, `brand=lx`, `ssh_key=true`, `min_platform=20210826T002459Z`, `networks=[{"name":…}]`. */
function requirementsIn(given: readonly string[], faults: string[]): JsonObject {
	const pairs = Object.entries(pairsIn('--requirement', given, faults));
	const read: [string, unknown][] = [];
	for (const [key, text] of pairs) {
		const [platform = '', ...sdc] = key.split('.');
		if (platforms.includes(platform)) {
			const before = read.find(([name]) => name === platform)?.[1];
			// There has never been another version that this is said for.
			const entry = {[sdc.length === 0 ? '7.0' : sdc.join('.')]: text as unknown};
			read.push([platform, {...(isObject(before) ? before : {}), ...entry}]);
		} else if (/^[[{]/.test(text)) {
			try {
				read.push([key, JSON.parse(text) as unknown]);
			} catch (error) {
				faults.push(`--requirement: ${key} is no JSON: ${describe(error)}`);
			}
		} else if (/^\d{1,15}$/.test(text)) {
			read.push([key, Number(text)]);
		} else {
			read.push([key, text === 'true' || (text === 'false' ? false : text)]);
		}
	}
	return Object.fromEntries(read);
}
