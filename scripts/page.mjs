// Builds the web page: compiles src/page for browsers and puts its static files and the packages it needs beside it.
//
//     node scripts/page.mjs dist/page
//
// There is no bundler. Browsers load the modules as they are, so that `from 'preact'` must become the relative path of
// a copy: an import map would have to stand inline, which the page's policy does not allow. Paths stay relative
// throughout, because the page is served below whatever base path there is.
import {cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {basename, dirname, join, relative, resolve, sep} from 'node:path';
import {fileURLToPath} from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const from = join(root, 'src', 'page');
const to = resolve(process.argv[2] ?? join(root, 'dist', 'page'));
const nodeModules = dirname(dirname(createRequire(import.meta.url).resolve('preact/package.json')));

// What modules ask for, where a package has it, what it is called here.
const vendors = {
	preact: ['preact/dist/preact.mjs', 'vendor/preact.js'],
	'preact/hooks': ['preact/hooks/dist/hooks.mjs', 'vendor/preact-hooks.js'],
	htm: ['htm/dist/htm.mjs', 'vendor/htm.js'],
	'htm/preact': ['htm/preact/index.mjs', 'vendor/htm-preact.js'],
	uplot: ['uplot/dist/uPlot.esm.js', 'vendor/uplot.js'],
};
const copies = {
	'uplot/dist/uPlot.min.css': 'vendor/uplot.css',
	'preact/LICENSE': 'vendor/preact.LICENSE.txt',
	'htm/LICENSE': 'vendor/htm.LICENSE.txt',
	'uplot/LICENSE': 'vendor/uplot.LICENSE.txt',
};

if (basename(to) !== 'page') {
	throw new Error(`the page is built into a folder called page, not into ${to}: what is there is deleted`);
}
// A module that went away in the sources must not be served for ever.
rmSync(to, {recursive: true, force: true});
mkdirSync(join(to, 'vendor'), {recursive: true});
if (!compile()) {
	process.exit(1);
}
for (const [source, target] of Object.entries(copies)) {
	cpSync(join(nodeModules, source), join(to, target));
}
for (const [source, target] of Object.values(vendors)) {
	const text = readFileSync(join(nodeModules, source), 'utf8').replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '\n');
	writeFileSync(join(to, target), withRelativeImports(text, target));
}
for (const file of readdirSync(from).filter(name => /\.(?:css|svg)$/.test(name))) {
	cpSync(join(from, file), join(to, file));
}
writeFileSync(join(to, 'index.html'), withPreloads(readFileSync(join(from, 'index.html'), 'utf8')));

/** Types are checked as those of a browser; only what lies in src/page is complained about and written. */
function compile() {
	const {config, error} = ts.readConfigFile(join(from, 'tsconfig.json'), ts.sys.readFile);
	const {options, fileNames, errors} = ts.parseJsonConfigFileContent(config, ts.sys, from, {
		outDir: dirname(to),
	});
	const program = ts.createProgram(fileNames, options);
	const isOurs = ({fileName}) => resolve(fileName).startsWith(from + sep);
	const ours = program.getSourceFiles().filter(file => !file.isDeclarationFile && isOurs(file));
	const found = [
		...[error, ...errors].filter(Boolean),
		...ours.flatMap(file => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]),
	];
	if (found.length > 0) {
		process.stderr.write(
			ts.formatDiagnosticsWithColorAndContext(found, {
				getCanonicalFileName: name => name,
				getCurrentDirectory: () => root,
				getNewLine: () => '\n',
			}),
		);
	}
	for (const file of ours) {
		program.emit(file, (name, text) => {
			mkdirSync(dirname(name), {recursive: true});
			writeFileSync(name, name.endsWith('.js') ? withRelativeImports(text, relative(to, name)) : text);
		});
	}
	return found.length === 0;
}

function withRelativeImports(text, target) {
	return text.replace(/\b(from|import)(\s*)(["'])([^"'\n]+)\3/g, (whole, word, gap, quote, specifier) => {
		const vendor = Object.hasOwn(vendors, specifier) ? vendors[specifier][1] : undefined;
		if (vendor === undefined) {
			return whole;
		}
		const path = relative(dirname(target), vendor).split(sep).join('/');
		return `${word}${gap}${quote}${path.startsWith('.') ? path : `./${path}`}${quote}`;
	});
}

/** All modules are asked for at once, instead of one generation of imports after the other. */
function withPreloads(html) {
	const modules = readdirSync(to, {recursive: true, encoding: 'utf8'})
		.map(name => name.split(sep).join('/'))
		.filter(name => name.endsWith('.js'))
		.sort();
	const links = modules.map(name => `\t\t<link rel="modulepreload" href="${name}" />\n`).join('');
	return html.replace(/[ \t]*<!-- modules -->\n/, links);
}
