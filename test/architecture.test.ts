/**
 * The house's rules, read from the sources themselves.
 *
 * The table says what each room may import; packages have one door each. Where building shows a better plan, the
 * table is what changes, and the commit says why.
 */
import {readFileSync, readdirSync} from 'node:fs';
import {isBuiltin} from 'node:module';
import {dirname, join, relative, sep} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import ts from 'typescript';

/** A room, one file of it (`sources/source`), or either for its types only. */
type Entry = string | {readonly types: string};

const types = (what: string): Entry => ({types: what});

// Bottom-up. A room is a folder, a file, or a file (`mirror`) with the folder or the files (`mirror-*`) of its name.
// Every room may import itself.
const rooms: Readonly<Record<string, readonly Entry[]>> = {
	errors: [],
	host: ['errors'],
	image: ['errors'],
	config: ['errors', types('host')],
	sources: ['image', 'errors', 'host'],
	blobs: ['image', 'errors', 'host'],
	access: ['image', 'errors', 'host'],
	catalog: ['sources/source', 'image', 'errors', 'host'],
	publish: ['sources/source', types('blobs'), 'image', 'errors', 'host'],
	mirror: ['catalog', 'blobs', 'publish', types('access'), types('sources/source'), 'image', 'errors', 'host'],
	// Numbers of the last hours; telling others what happens.
	history: ['errors', 'host'],
	notify: ['errors', 'host'],
	prefetch: ['mirror', 'image', 'errors', 'host'],
	// What goes along is chosen in the language of prefetch rules.
	airgap: ['mirror', 'prefetch', types('publish'), types('sources/source'), 'image', 'errors', 'host'],
	http: [
		...['mirror', 'access', 'prefetch', 'image', 'errors', 'host'],
		...[types('publish'), types('airgap'), types('sources/source'), types('history')],
	],
	// Runs in a browser, and is only served by the rest: it knows what goes over the wire, and no more.
	page: [types('mirror-operate-api'), types('prefetch/api'), types('history/api'), types('host-events')],
	assemble: [
		...['errors', 'host', 'image', 'config', 'sources', 'blobs', 'access'],
		...['catalog', 'publish', 'mirror', 'history', 'notify', 'prefetch', 'airgap', 'http'],
	],
	// The way to a server that runs already is had without loading a whole one.
	cli: ['assemble', 'assemble-control', 'http', 'airgap', 'access', 'config', 'image', 'errors', 'host'],
	main: ['cli', 'errors'],
};

// Rooms or files. Every package that the program needs stands here.
const doors: Readonly<Record<string, readonly string[]>> = {
	undici: ['sources/undici'],
	keyv: ['catalog/memory'],
	'@keyv/sqlite': ['catalog/memory'],
	// Also where an open-file or listing cache needs it.
	'lru-cache': ['catalog/memory', 'catalog/listing', 'blobs/store', 'http'],
	'p-queue': ['prefetch'],
	pino: ['host'],
	'prom-client': ['host-prometheus'],
	fastify: ['http'],
	semver: ['http', 'prefetch'],
	croner: ['prefetch'],
	preact: ['page'],
	htm: ['page'],
	uplot: ['page'],
	commander: ['cli'],
	// Reads SSH keys of every kind and form; passwords of older servers.
	sshpk: ['access'],
	bcryptjs: ['access'],
	'@fastify/busboy': ['http'],
	'cli-progress': ['cli'],
	// Where neither Node.js nor the system can decompress it.
	fzstd: ['airgap'],
	koffi: ['http/native-send'],
};

// Pure rooms: what they may have of Node.js.
const builtins: Readonly<Record<string, readonly string[]>> = {
	errors: [],
	image: ['node:crypto', 'node:buffer', 'node:zlib'],
};

const readsEnvironment = ['config', 'main'];
const mostLines = 420;

interface Import {
	readonly specifier: string;
	readonly typesOnly: boolean;
}

interface Source {
	/** Below src, without `.ts`: `blobs/store`. */
	readonly name: string;
	readonly room: string;
	readonly text: string;
	readonly tree: ts.SourceFile;
	readonly imports: readonly Import[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const sources = readSources();

function readSources(): readonly Source[] {
	const directory = join(root, 'src');
	const files = readdirSync(directory, {recursive: true, encoding: 'utf8'}).filter(file => file.endsWith('.ts'));
	return files.sort().map(file => {
		const text = readFileSync(join(directory, file), 'utf8');
		const name = file.slice(0, -3).split(sep).join('/');
		const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
		return {name, room: roomOf(name), text, tree, imports: importsOf(tree)};
	});
}

function roomOf(name: string): string {
	const [first = ''] = name.split('/');
	const [stem = ''] = first.split('-');
	return first === name && stem in rooms ? stem : first;
}

/** Every way one module can name another. */
function importsOf(tree: ts.SourceFile): readonly Import[] {
	const found: Import[] = [];
	const add = (specifier: ts.Node | undefined, typesOnly: boolean): void => {
		if (specifier !== undefined && ts.isStringLiteralLike(specifier)) {
			found.push({specifier: specifier.text, typesOnly});
		}
	};
	const visit = (node: ts.Node): void => {
		if (ts.isImportDeclaration(node)) {
			add(node.moduleSpecifier, isTypesOnly(node.importClause));
		} else if (ts.isExportDeclaration(node)) {
			add(node.moduleSpecifier, isTypesOnly(node));
		} else if (ts.isImportTypeNode(node)) {
			add(ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, true);
		} else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
			add(node.arguments[0], false);
		} else if (ts.isNewExpression(node) && node.arguments?.[1]?.getText() === 'import.meta.url') {
			// new URL('./worker.js', import.meta.url)
			const [file] = node.arguments;
			add(file?.getText().endsWith(".js'") ? file : undefined, false);
		}
		ts.forEachChild(node, visit);
	};
	visit(tree);
	return found;
}

function isTypesOnly(clause: ts.ImportClause | ts.ExportDeclaration | undefined): boolean {
	if (clause === undefined) {
		return false;
	}
	if (ts.isExportDeclaration(clause)) {
		const {exportClause} = clause;
		const named = exportClause !== undefined && ts.isNamedExports(exportClause) ? exportClause.elements : [];
		return clause.isTypeOnly || (named.length > 0 && named.every(element => element.isTypeOnly));
	}
	const {namedBindings} = clause;
	const named = namedBindings !== undefined && ts.isNamedImports(namedBindings) ? namedBindings.elements : [];
	const isType = clause.phaseModifier === ts.SyntaxKind.TypeKeyword;
	return isType || (clause.name === undefined && named.length > 0 && named.every(element => element.isTypeOnly));
}

/** What a relative specifier names, as sources are named; `undefined` outside of src. */
function resolved(from: Source, specifier: string): string | undefined {
	const path = relative('.', join(dirname(from.name), specifier))
		.split(sep)
		.join('/');
	return path.startsWith('..') ? undefined : path.replace(/\.js$/, '');
}

// `mirror` is also the files `mirror-*`.
const covers = (entry: string, name: string): boolean =>
	name === entry || name.startsWith(`${entry}/`) || (entry in rooms && roomOf(name) === entry);

function mayImport(room: string, name: string, typesOnly: boolean): boolean {
	return (
		roomOf(name) === room ||
		(rooms[room] ?? []).some(entry =>
			typeof entry === 'string' ? covers(entry, name) : typesOnly && covers(entry.types, name),
		)
	);
}

/** All that `check` finds wrong with the files, each with the name of its file. */
function faults(check: (source: Source) => Iterable<string>): readonly string[] {
	return sources.flatMap(source => [...check(source)].map(fault => `src/${source.name}.ts: ${fault}`));
}

function isRelative({specifier}: Import): boolean {
	return specifier.startsWith('.');
}

test('every file is in a room that the table knows', t => {
	t.true(sources.length > 0);
	t.deepEqual(
		faults(({room}) => (room in rooms ? [] : [`no room ${room}`])),
		[],
	);
});

test('rooms stand bottom-up, so no circle can form', t => {
	const order = Object.keys(rooms);
	for (const [room, entries] of Object.entries(rooms)) {
		for (const entry of entries) {
			const other = roomOf(typeof entry === 'string' ? entry : entry.types);
			t.true(order.includes(other) && order.indexOf(other) < order.indexOf(room), `${room} imports ${other}`);
		}
	}
});

test('a room imports only what its row in the table names', t => {
	t.deepEqual(
		faults(source =>
			source.imports.filter(isRelative).flatMap(({specifier, typesOnly}) => {
				const name = resolved(source, specifier);
				return name !== undefined && mayImport(source.room, name, typesOnly)
					? []
					: [`may not import ${typesOnly ? 'types of ' : ''}${specifier}`];
			}),
		),
		[],
	);
});

test('packages have one door each', t => {
	t.deepEqual(
		faults(source =>
			source.imports
				.filter(one => !isRelative(one) && !isBuiltin(one.specifier))
				.map(({specifier}) => /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier)
				.filter(name => !(doors[name] ?? []).some(door => covers(door, source.name)))
				.map(name => `is no door of ${name}`),
		),
		[],
	);
	const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, object | undefined>;
	const needed = Object.keys({...manifest['dependencies'], ...manifest['optionalDependencies']});
	t.deepEqual(needed.sort(), Object.keys(doors).sort());
});

test("Node's own modules are named as such, and pure rooms do without", t => {
	t.deepEqual(
		faults(({imports, room}) =>
			imports
				.filter(({specifier}) => isBuiltin(specifier))
				.filter(({specifier}) => !specifier.startsWith('node:') || builtins[room]?.includes(specifier) === false)
				.map(({specifier}) => `may not import ${specifier}`),
		),
		[],
	);
});

test('imports end in .js', t => {
	t.deepEqual(
		faults(({imports}) =>
			imports.filter(isRelative).flatMap(({specifier}) => (specifier.endsWith('.js') ? [] : [specifier])),
		),
		[],
	);
});

test('only the configuration reads the environment', t => {
	t.deepEqual(
		faults(function* ({room, tree}) {
			for (const node of descendants(tree)) {
				const isEnv =
					(ts.isPropertyAccessExpression(node) && /^(globalThis\.)?process\.env$/.test(node.getText())) ||
					(ts.isImportDeclaration(node) && /['":]process['"]$/.test(node.moduleSpecifier.getText()));
				if (isEnv && !readsEnvironment.includes(room)) {
					yield `reads the environment: ${node.getText()}`;
				}
			}
		}),
		[],
	);
});

test('nothing is exported by default, nor everything at once', t => {
	t.deepEqual(
		faults(function* ({tree}) {
			for (const node of descendants(tree)) {
				const isDefault =
					ts.isExportAssignment(node) ||
					node.kind === ts.SyntaxKind.DefaultKeyword ||
					(ts.isExportSpecifier(node) && node.name.text === 'default');
				if (isDefault && !(node.parent as ts.Node | undefined)?.getText().startsWith('default:')) {
					yield `exports by default: ${node.getText()}`;
				}
				if (ts.isExportDeclaration(node) && node.exportClause === undefined) {
					yield `exports all of another: ${node.getText()}`;
				}
			}
		}),
		[],
	);
});

test('no module keeps state that changes', t => {
	t.deepEqual(
		faults(({name, tree}) =>
			tree.statements
				// A worker's module is run once, by a thread that is all its own.
				.filter(() => !name.endsWith('-worker'))
				.filter(ts.isVariableStatement)
				.filter(({declarationList}) => (declarationList.flags & ts.NodeFlags.Const) === 0)
				.map(statement => `has a variable of its own: ${statement.getText()}`),
		),
		[],
	);
});

test('a file says at its top what it is, and is short', t => {
	t.deepEqual(
		faults(function* ({text}) {
			if (!/^(#!.*\n)?\/\*\*\n \* \S/.test(text)) {
				yield 'has no doc comment at its top';
			}
			const lines = text.split('\n').length - 1;
			if (lines > mostLines) {
				yield `has ${lines} lines: look for the second noun`;
			}
		}),
		[],
	);
});

test('no file imports itself in a circle', t => {
	const circles = new Set<string>();
	const values = new Map(
		sources.map(source => [
			source.name,
			source.imports.filter(one => isRelative(one) && !one.typesOnly).map(one => resolved(source, one.specifier) ?? ''),
		]),
	);
	const done = new Set<string>();
	const walk = (name: string, way: readonly string[]): void => {
		if (way.includes(name)) {
			circles.add([...way.slice(way.indexOf(name)), name].join(' -> '));
		} else if (!done.has(name)) {
			for (const next of values.get(name) ?? []) {
				walk(next, [...way, name]);
			}
			done.add(name);
		}
	};
	for (const name of values.keys()) {
		walk(name, []);
	}
	t.deepEqual([...circles], []);
});

test('the reader of imports sees every kind', t => {
	const kinds = `
		import a, {b} from './value.js';
		import type {C} from './types.js';
		import {type D, type E} from './inline-types.js';
		import {type F, g} from './mixed.js';
		import './effect.js';
		export {h} from './export.js';
		export type {I} from './export-types.js';
		type J = import('./import-type.js').J;
		const k = await import('./dynamic.js');
		const l = new Worker(new URL('./worker.js', import.meta.url));
		const m = new URL('../data/', import.meta.url);
	`;
	const tree = ts.createSourceFile('kinds.ts', kinds, ts.ScriptTarget.Latest, true);
	t.deepEqual(
		importsOf(tree).map(({specifier, typesOnly}) => `${specifier}${typesOnly ? ' (types)' : ''}`),
		[
			'./value.js',
			'./types.js (types)',
			'./inline-types.js (types)',
			'./mixed.js',
			'./effect.js',
			'./export.js',
			'./export-types.js (types)',
			'./import-type.js (types)',
			'./dynamic.js',
			'./worker.js',
		],
	);
	t.true(mayImport('config', 'host', true));
	t.false(mayImport('config', 'host', false));
	t.true(mayImport('catalog', 'sources/source', false));
	t.false(mayImport('catalog', 'sources/transport', true));
	t.false(mayImport('blobs', 'sources/source', true));
});

/** Without tokens: `getChildren` would make a node of every comma. */
function descendants(node: ts.Node): readonly ts.Node[] {
	const found: ts.Node[] = [];
	const visit = (child: ts.Node): void => {
		found.push(child);
		ts.forEachChild(child, visit);
	};
	ts.forEachChild(node, visit);
	return found;
}
