// Joins the modules that a mirror starts with into a few files: Node takes half a millisecond for each file that it looks
// up, and there are some four hundred.
//
//     node scripts/join.mjs dist
//
// Behind what tsc has built, DIR/joined has the same modules once more: those of a start are a few lines that name what
// is in DIR/joined/part-0.js and so on, the others are copies. DIR/main.js becomes a choice: `serve` goes there, every
// other command, which needs a few modules only, and all workers stay with the files as they are.
import {mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join, posix, resolve} from 'node:path';
import ts from 'typescript';

const root = resolve(process.argv[2] ?? 'dist');
const to = join(root, 'joined');
const main = 'main.js';
/** Of a part, at least. */
const partBytes = 100_000;
const foreign = /[^\0-\x7f]/g;
// What is loaded before the first client can be served, with all that each of them imports.
const starts = ['cli/run.js', 'cli/exit-codes.js', 'main-heap.js', 'cli/serve.js', 'assemble.js'];

rmSync(to, {recursive: true, force: true});
const names = readdirSync(root, {recursive: true, encoding: 'utf8'})
	.map(name => name.replaceAll('\\', '/'))
	.filter(name => name.endsWith('.js') && !name.startsWith('page/') && name !== 'command-line.js');
const modules = new Map(names.map(name => [name, read(name)]));

// In the order in which they are evaluated: what is imported comes before who imports it.
const joined = new Map();
for (const start of starts) {
	add(start);
}

writeParts();
for (const [name, module] of modules) {
	write(name, joined.has(name) ? stub(name, module) : changed(module, edits(name, module, name)));
}
choose();

/** What of a module matters here. */
function read(name) {
	// Maps are of the files as they were.
	const text = readFileSync(join(root, name), 'utf8').replace(/^\/\/# sourceMappingURL=.*\n?$/mu, '');
	const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS);
	const fail = (node, what) => {
		const {line} = source.getLineAndCharacterOfPosition(node.getStart());
		throw new Error(`${name}:${line + 1}: ${what} cannot be joined`);
	};
	const module = {text, source, imports: [], exports: new Map(), statements: [], calls: [], urls: []};
	const own = specifier => posix.join(posix.dirname(name), specifier);
	for (const statement of source.statements) {
		if (ts.isImportDeclaration(statement)) {
			const specifier = statement.moduleSpecifier.text;
			const from = specifier.startsWith('.') ? own(specifier) : undefined;
			module.imports.push({node: statement, specifier, from, binding: bindingOf(statement.importClause, fail)});
		} else if (ts.isExportDeclaration(statement)) {
			if (!statement.exportClause || !ts.isNamedExports(statement.exportClause)) {
				fail(statement, 'everything at once');
			}
			const specifier = statement.moduleSpecifier?.text;
			if (specifier !== undefined && !specifier.startsWith('.')) {
				fail(statement, 'what a package has');
			}
			const from = specifier === undefined ? undefined : own(specifier);
			for (const {name: as, propertyName = as} of statement.exportClause.elements) {
				module.exports.set(as.text, {from, local: propertyName.text});
			}
			module.statements.push({node: statement, keyword: undefined});
			if (from !== undefined) {
				module.imports.push({node: undefined, specifier, from, binding: undefined});
			}
		} else if (ts.isExportAssignment(statement)) {
			fail(statement, 'a default');
		} else {
			const keyword = ts.canHaveModifiers(statement)
				? ts.getModifiers(statement)?.find(({kind}) => kind === ts.SyntaxKind.ExportKeyword)
				: undefined;
			if (keyword !== undefined) {
				for (const local of declared(statement, fail)) {
					module.exports.set(local, {from: undefined, local});
				}
				module.statements.push({node: statement, keyword});
			}
		}
	}
	const visit = node => {
		if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
			const [specifier] = node.arguments;
			if (specifier !== undefined && ts.isStringLiteral(specifier) && specifier.text.startsWith('.')) {
				module.calls.push({specifier, from: own(specifier.text)});
			}
		}
		if (ts.isMetaProperty(node) && node.keywordToken === ts.SyntaxKind.ImportKeyword) {
			const {parent} = node;
			if (!ts.isPropertyAccessExpression(parent) || parent.name.text !== 'url') {
				fail(node, 'this of import.meta');
			}
			module.urls.push(parent);
		}
		ts.forEachChild(node, visit);
	};
	visit(source);
	return module;
}

/** An object pattern for what is imported. */
function bindingOf(clause, fail) {
	if (clause === undefined) {
		return undefined;
	}
	const {name, namedBindings} = clause;
	if (namedBindings !== undefined && ts.isNamespaceImport(namedBindings)) {
		return name === undefined ? namedBindings.name.text : fail(clause, 'a default beside everything');
	}
	const named = namedBindings?.elements.map(({name: as, propertyName}) =>
		propertyName === undefined ? as.text : `${propertyName.text}: ${as.text}`,
	);
	return `{${[...(name === undefined ? [] : [`default: ${name.text}`]), ...(named ?? [])].join(', ')}}`;
}

function declared(statement, fail) {
	if (ts.isVariableStatement(statement)) {
		if ((statement.declarationList.flags & ts.NodeFlags.Const) === 0) {
			fail(statement, 'a variable that changes');
		}
		return statement.declarationList.declarations.flatMap(({name}) => namesIn(name));
	}
	return [statement.name?.text ?? fail(statement, 'a default')];
}

function namesIn(name) {
	return ts.isIdentifier(name)
		? [name.text]
		: name.elements.flatMap(element => (ts.isOmittedExpression(element) ? [] : namesIn(element.name)));
}

function add(name, path = []) {
	const module = modules.get(name);
	if (module === undefined || path.includes(name)) {
		throw new Error(`${name}, which ${path.at(-1)} imports, ${module ? 'imports that' : 'is not there'}`);
	}
	if (!joined.has(name)) {
		for (const {from} of module.imports) {
			if (from !== undefined) {
				add(from, [...path, name]);
			}
		}
		joined.set(name, {id: `$${joined.size}`, part: undefined});
	}
}

/** What one module becomes, with what it needs of others. */
function bodyOf(name) {
	const module = modules.get(name);
	const needs = new Set(module.imports.flatMap(({from}) => (from === undefined ? [] : [from])));
	const packages = new Set(module.imports.flatMap(({from, specifier}) => (from === undefined ? [specifier] : [])));
	const bindings = module.imports.flatMap(({specifier, from, binding}) =>
		binding === undefined ? [] : [`const ${binding} = ${joined.get(from)?.id ?? packageId(specifier)};\n`],
	);
	const own = [...module.exports].map(([as, {from, local}]) => {
		const value = from === undefined ? local : `${joined.get(from).id}.${local}`;
		return as === value ? as : `${as}: ${value}`;
	});
	const removed = [
		...module.imports.flatMap(({node}) => (node === undefined ? [] : [{node, text: ''}])),
		...module.statements.map(({node, keyword}) => ({node: keyword ?? node, text: ''})),
	];
	const text = changed(module, [...edits(name, module, 'part.js'), ...removed]);
	const value = `(() => {\n${bindings.join('')}${text}\nreturn {${own.join(', ')}};\n})()`;
	return {needs, packages, text: `const ${joined.get(name).id} = ${value};\n`};
}

/** Parts of a few modules each: V8 would take, and keep, ten times as much memory to read all in one piece. */
function writeParts() {
	let [number, names, bodies, bytes] = [0, [], [], 0];
	const end = () => {
		const part = partOf(number);
		const needs = new Map();
		for (const need of new Set(bodies.flatMap(body => [...body.needs]))) {
			const {id, part: from} = joined.get(need);
			if (from !== part) {
				needs.set(from, [...(needs.get(from) ?? []), id]);
			}
		}
		const packages = new Set(bodies.flatMap(body => [...body.packages]));
		const imports = [
			...[...packages].map(specifier => `import * as ${packageId(specifier)} from '${specifier}';\n`),
			...[...needs].map(([from, ids]) => `import {${ids.join(', ')}} from './${from}';\n`),
		];
		const exports = `export {${names.map(name => joined.get(name).id).join(', ')}};\n`;
		write(part, small([...imports, ...bodies.map(({text}) => text), exports].join('')));
		[number, names, bodies, bytes] = [number + 1, [], [], 0];
	};
	for (const [name, its] of joined) {
		its.part = partOf(number);
		const body = bodyOf(name);
		names.push(name);
		bodies.push(body);
		bytes += body.text.length;
		if (bytes >= partBytes) {
			end();
		}
	}
	if (names.length > 0) {
		end();
	}
}

function partOf(number) {
	return `part-${number}.js`;
}

function packageId(specifier) {
	return `$${specifier.replaceAll(/[^a-z0-9]/giu, '_')}`;
}

/** Without comments, and in ASCII: Node keeps the text, and twice as much of it for one character that is none. */
function small(text) {
	const options = {removeComments: true, target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext};
	const {outputText} = ts.transpileModule(text, {compilerOptions: options});
	const source = ts.createSourceFile('part.js', outputText, ts.ScriptTarget.Latest, false, ts.ScriptKind.JS);
	const visit = node => {
		// Escapes are what they are in such a text.
		if (ts.isTaggedTemplateExpression(node) && node.getText(source).search(foreign) >= 0) {
			throw new Error(`cannot be written in ASCII: ${node.getText(source)}`);
		}
		ts.forEachChild(node, visit);
	};
	visit(source);
	return outputText.replaceAll(foreign, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What stands for a module that is in one of the parts. */
function stub(name, {exports}) {
	const {id, part} = joined.get(name);
	const constants = exports.size === 0 ? '' : `export const {${[...exports.keys()].join(', ')}} = ${id};\n`;
	return `import {${id}} from '${relative(name, part)}';\n${constants}`;
}

/** Paths stay those of the files as tsc has built them: that is where the page and the workers are. `at`: the new place. */
function edits(name, {urls, calls}, at) {
	return [
		...urls.map(node => ({node, text: `new URL('${relative(`joined/${at}`, name)}', import.meta.url).href`})),
		...calls.map(({specifier, from}) => ({node: specifier, text: `'${relative(at, from)}'`})),
	];
}

function changed({text, source}, changes) {
	let result = text;
	for (const {node, text: by} of changes.sort((one, other) => other.node.getStart() - one.node.getStart())) {
		result = result.slice(0, node.getStart(source)) + by + result.slice(node.getEnd());
	}
	return result;
}

function relative(from, target) {
	const path = posix.relative(posix.dirname(from), target);
	return path.startsWith('.') ? path : `./${path}`;
}

function write(name, text) {
	const file = join(to, name);
	mkdirSync(dirname(file), {recursive: true});
	writeFileSync(file, text);
}

function choose() {
	renameSync(join(root, main), join(root, 'command-line.js'));
	writeFileSync(
		join(root, main),
		`#!/usr/bin/env node
// Made by scripts/join.mjs: the modules that \`serve\` starts with are in a few files, other commands load the few they need.
await import(process.argv[2] === 'serve' ? './joined/main.js' : './command-line.js');
`,
	);
}
