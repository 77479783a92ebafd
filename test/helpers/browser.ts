/**
 * The page in a real browser: Debian's Chromium, one for each test file, a context of its own for each test.
 *
 * `openPage` opens a URL, whosever server it is, and keeps what must not be there: errors in the console, breaches of
 * the page's policy, requests to other hosts. Where there is no Chromium, tests say so and pass. A file that opens pages
 * ends with `test.after.always(closeBrowser)`.
 */
import {writeFile} from 'node:fs/promises';
import {accessSync, constants} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {fileURLToPath, pathToFileURL} from 'node:url';
import type {ExecutionContext} from 'ava';
import {chromium, type Browser, type BrowserContext, type Page} from 'playwright-core';

export interface OpenOptions {
	readonly width?: number;
	readonly height?: number;
	readonly colours?: 'light' | 'dark';
	/** For tools that have to be put into the page; without it, its policy holds as in any browser. */
	readonly ignorePolicy?: boolean;
	/** The page's timers wait for `page.clock` to be moved. */
	readonly hasOwnClock?: boolean;
	/** Texts that may be in the console, because the test makes them happen. */
	readonly expected?: RegExp;
	/** The folder that modules below /ui/ were served from; for coverage. */
	readonly builtPage?: string;
}

export interface OpenPage {
	readonly page: Page;
	readonly context: BrowserContext;
	/** Everything that must not be there, so far. */
	readonly problems: readonly string[];
	/** Tasks that kept the page from drawing for longer than 500 ms, since it was last asked; their lengths. */
	readonly longTasks: () => Promise<readonly number[]>;
}

const folders = ['/usr/bin', '/usr/local/bin', '/opt/local/bin', ...(process.env['PATH'] ?? '').split(path.delimiter)];
const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** A name that means this machine to the browser, though it does not know that: as of a mirror on another one. */
export const elsewhere = 'mirror.test';

const launchArguments = [
	...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-dev-shm-usage'],
	`--host-resolver-rules=MAP ${elsewhere} 127.0.0.1`,
	...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

let browser: Promise<Browser> | undefined;
let opened = 0;

/** `undefined`: there is no Chromium here, and the test is over. */
export async function openPage(
	t: ExecutionContext,
	url: string,
	options: OpenOptions = {},
): Promise<OpenPage | undefined> {
	const executablePath = findChromium();
	if (executablePath === undefined) {
		t.log('skipped: this machine has no chromium');
		t.pass();
		return undefined;
	}
	browser ??= chromium.launch({executablePath, args: launchArguments});
	const context = await (
		await browser
	).newContext({
		viewport: {width: options.width ?? 1280, height: options.height ?? 800},
		colorScheme: options.colours ?? 'light',
		bypassCSP: options.ignorePolicy ?? false,
		serviceWorkers: 'block',
	});
	const page = await context.newPage();
	page.setDefaultTimeout(30_000);
	const problems = watch(page, new URL(url).host, options.expected);
	await page.addInitScript(collectLongTasks);
	const coverage = process.env['NODE_V8_COVERAGE'];
	if (coverage !== undefined) {
		await page.coverage.startJSCoverage({resetOnNavigation: false});
	}
	t.teardown(async () => {
		if (coverage !== undefined) {
			await saveCoverage(page, coverage, options.builtPage ?? builtPage);
		}
		await context.close();
	});
	if (options.hasOwnClock === true) {
		await page.clock.install();
	}
	await page.goto(url);
	return {page, context, problems, longTasks: () => page.evaluate(takeLongTasks)};
}

export async function closeBrowser(): Promise<void> {
	await (await browser)?.close();
	browser = undefined;
}

/** The page as it is built beside the tests. */
export const builtPage = fileURLToPath(new URL('../../src/page/', import.meta.url));

export interface Finding {
	readonly rule: string;
	readonly impact: string;
	readonly help: string;
	readonly nodes: readonly string[];
}

/** What axe-core calls serious or critical. The page must have been opened with `ignorePolicy`. */
export async function accessibilityFindings({page}: OpenPage): Promise<readonly Finding[]> {
	if (!(await page.evaluate(() => 'axe' in globalThis))) {
		await page.addScriptTag({path: createRequire(import.meta.url).resolve('axe-core/axe.min.js')});
	}
	return page.evaluate(async () => {
		interface Violation {
			readonly id: string;
			readonly impact: string | null;
			readonly help: string;
			readonly nodes: readonly {readonly html: string; readonly failureSummary?: string}[];
		}
		const {axe} = globalThis as unknown as {
			readonly axe: {run(options: object): Promise<{readonly violations: readonly Violation[]}>};
		};
		const {violations} = await axe.run({resultTypes: ['violations']});
		return violations
			.filter(({impact}) => impact === 'serious' || impact === 'critical')
			.map(({id, impact, help, nodes}) => ({
				...{rule: id, impact: impact ?? '', help},
				nodes: nodes.slice(0, 5).map(({html, failureSummary}) => `${html.slice(0, 200)}: ${failureSummary ?? ''}`),
			}));
	});
}

function findChromium(): string | undefined {
	return folders
		.flatMap(folder => names.map(name => path.join(folder, name)))
		.find(file => {
			try {
				accessSync(file, constants.X_OK);
				return true;
			} catch {
				return false;
			}
		});
}

function watch(page: Page, host: string, expected: RegExp | undefined): readonly string[] {
	const problems: string[] = [];
	const note = (problem: string): void => {
		if (expected?.test(problem) !== true) {
			problems.push(problem);
		}
	};
	page.on('console', message => {
		if (message.type() === 'error' || message.type() === 'warning') {
			note(`${message.type()}: ${message.text()} (${message.location().url})`);
		}
	});
	page.on('pageerror', error => note(`uncaught: ${error.stack ?? error.message}`));
	page.on('request', request => {
		const asked = new URL(request.url());
		if (asked.host !== host && !['data:', 'blob:', 'about:'].includes(asked.protocol)) {
			note(`asked another host: ${request.url()}`);
		}
	});
	return problems;
}

/** Runs in the page, before anything else. */
function collectLongTasks(): void {
	const found: number[] = [];
	Object.assign(globalThis, {longTasks: found});
	new PerformanceObserver(list => found.push(...list.getEntries().map(({duration}) => duration))).observe({
		// Node.js knows no such type, browsers do.
		type: 'longtask' as 'measure',
	});
}

function takeLongTasks(): readonly number[] {
	const {longTasks} = globalThis as unknown as {readonly longTasks: number[]};
	return longTasks.splice(0).filter(duration => duration > 500);
}

/** In the form in which Node.js writes its own, under the names of the files that were served. */
async function saveCoverage(page: Page, directory: string, folder: string): Promise<void> {
	const entries = await page.coverage.stopJSCoverage().catch(() => []);
	const result = entries.flatMap(({url, scriptId, functions}) => {
		const [, name] = /\/ui\/([^?#]+\.js)$/.exec(url) ?? [];
		return name === undefined || name.startsWith('vendor/')
			? []
			: [{scriptId, url: pathToFileURL(path.join(folder, name)).href, functions}];
	});
	const file = path.join(directory, `coverage-${process.pid}-${Date.now()}-page${++opened}.json`);
	await writeFile(file, JSON.stringify({result}));
}
