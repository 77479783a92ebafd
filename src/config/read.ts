/**
 * The configuration of one run: built-in defaults, under the file, under the environment, under the flags.
 *
 * No file is read that nobody named: what a mirror does must not depend on the directory somebody happened to start
 * it in.
 */
import {readFileSync} from 'node:fs';
import {dirname, resolve} from 'node:path';
import {ConfigError} from '../errors.js';
import {checkDropFolder} from './drop-folder.js';
import {reasonOf} from './files.js';
import {JsonSyntaxError, readJson, type JsonText} from './json.js';
import {fileFieldsWith} from './keys.js';
import {mask} from './kinds.js';
import {overlay, type Flags} from './overrides.js';
import {Fault, Place, shown, type Environment} from './place.js';
import {checkRuleSources} from './prefetch.js';
import {isObject, section} from './section.js';
import {sharedSection, type SourceDefaults} from './source.js';
import type {Config, ProxyEnvironment} from './types.js';
import {proxyUrl} from './urls.js';

export interface ConfigRequest {
	/** `--config`; without it, IMGMIRROR_CONFIG. */
	readonly file?: string | undefined;
	readonly env: Environment;
	readonly flags?: Flags;
	/** What relative paths on the command line and in the environment are relative to. */
	readonly directory?: string;
}

export interface Reading {
	readonly config: Config;
	/** Which keys a flag or a variable has set: path to its name. */
	readonly origins: ReadonlyMap<string, string>;
}

/** Throws a ConfigError with every fault there is. */
export function read({file, env, flags = {}, directory = process.cwd()}: ConfigRequest): Reading {
	if (file === '') {
		const fault = new Fault('the path of a file', shown(file), 'without --config nothing but the defaults is read');
		throw new ConfigError('the configuration: 1 fault', [`--config: ${fault.message}`]);
	}
	const named = file ?? (env['IMGMIRROR_CONFIG'] || undefined);
	const path = named === undefined ? undefined : resolve(directory, named);
	const text: JsonText =
		path === undefined ? {value: {}, lines: new Map(), repeated: []} : readFile(path, file === undefined);

	const {value, origins, faults: mistaken} = overlay(text.value, flags, env, directory);
	const faults = new Faults(text, origins);
	const around = {directory: path === undefined ? directory : dirname(path), env};
	const place = new Place('', around, (at, message) => faults.add(at, message));

	const settings = place.attempt(at => section(fileFieldsWith(defaultsIn(value, at))).read(value, at))?.value;
	if (settings !== undefined) {
		checkPublicUrl(settings, place);
		checkListeners(settings, place);
		checkRuleSources(settings, place);
		checkDropFolder(settings, place);
	}
	const used = settings?.sources.some(source => source.proxy === 'env') ?? false;
	const environment = proxies(env, (variable, message) => {
		// What nobody uses may be as it likes.
		if (used) {
			faults.add(variable, message);
		}
	});

	const lines = [...faults.lines(), ...mistaken];
	if (lines.length > 0 || settings === undefined) {
		const what = path ?? 'the configuration';
		throw new ConfigError(`${what}: ${lines.length === 1 ? '1 fault' : `${lines.length} faults`}`, lines);
	}
	return {config: toConfig(path, settings, environment), origins};
}

/** All but `sourceDefaults`: these are spelled out at each source by now. */
function toConfig(
	file: string | undefined,
	settings: Omit<Config, 'file' | 'environment'>,
	environment: ProxyEnvironment,
): Config {
	const {data, listen, basePath, publicUrl, log, drainTimeoutMs, sources} = settings;
	const {transfers, store, scrub, prefetch, quarantine, webhooks, page, http} = settings;
	const {datasets, access, mode, channels, publish, bundles} = settings;
	return {
		file,
		data,
		listen,
		basePath,
		publicUrl,
		log,
		drainTimeoutMs,
		sources,
		transfers,
		store,
		scrub,
		prefetch,
		quarantine,
		webhooks,
		page,
		http,
		datasets,
		access,
		mode,
		channels,
		publish,
		bundles,
		environment,
	};
}

function readFile(path: string, fromVariable: boolean): JsonText {
	const origin = fromVariable ? 'IMGMIRROR_CONFIG' : '--config';
	let text;
	try {
		text = new TextDecoder('utf-8', {fatal: true}).decode(readFileSync(path));
	} catch (error) {
		const reason = error instanceof TypeError ? 'it is not UTF-8' : reasonOf(error);
		const fault = new Fault('a readable file', shown(path), reason);
		throw new ConfigError(`${path}: 1 fault`, [`${origin}: ${fault.message}`], {cause: error});
	}
	if (text.trim() === '') {
		const fault = new Fault('an object with keys', 'an empty file', 'without any, write {}');
		throw new ConfigError(`${path}: 1 fault`, [fault.message]);
	}
	try {
		return readJson(text);
	} catch (error) {
		if (!(error instanceof JsonSyntaxError)) {
			throw error;
		}
		const {line, column, message} = error;
		const excerpt = withoutSecrets(error.excerpt);
		const found = `line ${line}, column ${column}: ${message}${excerpt === '' ? '' : `; the line is: ${excerpt}`}`;
		throw new ConfigError(`${path}: 1 fault`, [found], {cause: error});
	}
}

/** Of a line that is not JSON, so what is a secret can only be guessed at. */
function withoutSecrets(line: string): string {
	return line
		.replaceAll(/(\/\/)[^/@\s"]+@/g, `$1${mask}@`)
		.replaceAll(/("?[\w-]*(?:pass|secret|token|auth|cookie)[\w-]*["']?\s*:?\s*["'])[^"'{]+/gi, `$1${mask}`);
}

/** Faults in them are reported when the section as a whole is read. */
function defaultsIn(value: unknown, at: Place): SourceDefaults {
	const written = isObject(value) ? value['sourceDefaults'] : undefined;
	if (!isObject(written)) {
		return {values: {}, typeGiven: false};
	}
	const silent = new Place('sourceDefaults', at.around, () => undefined);
	return {values: sharedSection.read(written, silent), typeGiven: Object.hasOwn(written, 'type'), place: silent};
}

/** Faults by path, made into lines that say where in the file, or which flag. */
class Faults {
	readonly #text: JsonText;
	readonly #origins: ReadonlyMap<string, string>;
	readonly #found = new Map<string, number>();

	constructor(text: JsonText, origins: ReadonlyMap<string, string>) {
		this.#text = text;
		this.#origins = origins;
		for (const {path, line, firstLine} of text.repeated) {
			const {message} = new Fault('each key once', `${path} again`, `it stands in line ${firstLine} already`);
			this.#found.set(`${path} (line ${line}): ${message}`, line);
		}
	}

	add(path: string, message: string): void {
		const origin = [...this.#origins].find(
			([key]) => path === key || path.startsWith(`${key}.`) || path.startsWith(`${key}[`),
		);
		if (origin !== undefined) {
			this.#found.set(`${origin[1]}: ${message}`, Infinity);
			return;
		}
		const line = this.#lineOf(path);
		const where = path === '' ? 'the configuration' : path;
		this.#found.set(`${where}${line === undefined ? '' : ` (line ${line})`}: ${message}`, line ?? Infinity);
	}

	/** In the order of the file. */
	lines(): readonly string[] {
		return [...this.#found].sort(([, a], [, b]) => (a === b ? 0 : a - b)).map(([line]) => line);
	}

	/** Of the value, or of what it is missing in. */
	#lineOf(path: string): number | undefined {
		for (let at = path; at !== ''; at = at.replace(/(?:^|\.)[^.[\]]*$|\[[^[\]]*\]$/, '')) {
			const line = this.#text.lines.get(at);
			if (line !== undefined) {
				return line;
			}
		}
		return undefined;
	}
}

function checkPublicUrl(settings: Pick<Config, 'publicUrl' | 'basePath'>, place: Place): void {
	const {publicUrl, basePath} = settings;
	if (publicUrl !== undefined && !publicUrl.endsWith(basePath)) {
		place
			.child('publicUrl')
			.report(
				new Fault(
					`a URL that ends in the basePath ${shown(basePath)}`,
					shown(publicUrl),
					'it is the whole of what clients use',
				),
			);
	}
}

function checkListeners({listen}: Pick<Config, 'listen'>, place: Place): void {
	const seen = new Set<string>();
	if (place.child('listen').isFaulty) {
		return;
	}
	for (const [index, {address, port}] of listen.entries()) {
		if (seen.has(address) && port !== 0) {
			place
				.child('listen')
				.child(index)
				.report(new Fault('each address once', `${shown(address)} again`));
		}
		seen.add(address);
	}
}

/** As curl reads them: lower case first, and a proxy may stand without its scheme. */
function proxies(env: Environment, report: (variable: string, message: string) => void): ProxyEnvironment {
	const variable = (name: string): string => (env[name] ? name : name.toUpperCase());
	const url = (name: string): string | undefined => {
		const found = variable(name);
		const text = env[found]?.trim();
		if (text === undefined || text === '') {
			return undefined;
		}
		try {
			return proxyUrl(/^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`, 'the URL of an HTTP proxy');
		} catch (error) {
			report(found, error instanceof Fault ? error.message : String(error));
			return undefined;
		}
	};
	return {
		httpProxy: url('http_proxy'),
		httpsProxy: url('https_proxy'),
		noProxy: env[variable('no_proxy')]?.trim() || undefined,
	};
}
