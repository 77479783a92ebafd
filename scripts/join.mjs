// Joins the modules that a mirror starts with into one file: Node takes half a millisecond for each file that it looks
// up, and there are some four hundred.
//
//     node scripts/join.mjs dist
//
// Behind what tsc has built, DIR/joined has the same modules once more: those of a start are a few lines that name what
// is in DIR/joined/all.js, the others are copies. DIR/main.js becomes a choice: `serve` goes there, every other command,
// which needs a few modules only, and all workers stay with the files as they are.
import {mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {dirname, join, posix, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';
import ts from 'typescript';

const usualRoot = fileURLToPath(new URL('../dist', import.meta.url));
const root = resolve(process.argv[2] ?? usualRoot);
const to = join(root, 'joined');
const main = 'main.js';
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

write('all.js', allInOne());
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
				module.calls.push({node, specifier, from: own(specifier.text)});
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
		joined.set(name, `$${joined.size}`);
	}
}

function allInOne() {
	const packages = new Map();
	const bodies = [];
	for (const [name, id] of joined) {
		const module = modules.get(name);
		const bindings = module.imports.flatMap(({specifier, from, binding}) => {
			if (from === undefined && !packages.has(specifier)) {
				packages.set(specifier, `$p${packages.size}`);
			}
			return binding === undefined ? [] : [`const ${binding} = ${joined.get(from) ?? packages.get(specifier)};\n`];
		});
		const own = [...module.exports].map(([as, {from, local}]) => {
			return from === undefined ? (as === local ? as : `${as}: ${local}`) : `${as}: ${joined.get(from)}.${local}`;
		});
		const removed = [
			...module.imports.flatMap(({node}) => (node === undefined ? [] : [{node, text: ''}])),
			...module.statements.map(({node, keyword}) => ({node: keyword ?? node, text: ''})),
		];
		const text = changed(module, [...edits(name, module, 'all.js'), ...removed]);
		bodies.push(
			`// ${name}\nconst ${id} = (() => {\n${bindings.join('')}${text}\nreturn {${own.join(', ')}};\n})();\n`,
		);
	}
	const imports = [...packages].map(([specifier, id]) => `import * as ${id} from '${specifier}';\n`);
	return `${imports.join('')}\n${bodies.join('\n')}\nexport {${[...joined.values()].join(', ')}};\n`;
}

/** What stands for a module that is in the one file. */
function stub(name, {exports}) {
	const id = joined.get(name);
	const all = relative(name, 'all.js');
	const constants = exports.size === 0 ? '' : `export const {${[...exports.keys()].join(', ')}} = ${id};\n`;
	return `import {${id}} from '${all}';\n${constants}`;
}

/** Paths stay those of the files as tsc has built them: that is where the page and the workers are. `at`: the new place. */
function edits(name, {urls, calls}, at) {
	return [
		...urls.map(node => ({node, text: `new URL('${relative(`joined/${at}`, name)}', import.meta.url).href`})),
		...calls.map(({node, specifier, from}) => {
			if (at === 'all.js' && joined.has(from)) {
				return {node, text: `Promise.resolve(${joined.get(from)})`};
			}
			return {node: specifier, text: `'${relative(at, from)}'`};
		}),
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
// Made by scripts/join.mjs: the modules that \`serve\` starts with are in one file, other commands load the few they need.
await import(process.argv[2] === 'serve' ? './joined/main.js' : './command-line.js');
`,
	);
}
