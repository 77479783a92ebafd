/**
 * `npm run bench`: how fast the mirror is, beside nginx in the same run, and whether that is what it must be.
 *
 * Each workload runs against both in turns, several rounds; rows are medians, ratios those inside a round, so that a
 * noisy machine disturbs both alike. All of it happens in a network of its own where that may be had.
 */
import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import {performance} from 'node:perf_hooks';
import {fileURLToPath} from 'node:url';
import {parseArgs, promisify} from 'node:util';
import {benchCatalog} from './catalog.js';
import {benchCold, benchHerd} from './cold.js';
import {benchGrowth} from './growth.js';
import {benchHits, benchPlainHits} from './hits.js';
import {benchPauses} from './pauses.js';
import {tableText, type Machine, type Report, type Row} from './rows.js';
import {Bench} from './servers.js';
import {benchSlowReader} from './slow-reader.js';
import {benchStart} from './start.js';
import {Missing, makeTools, program, type Tools} from './tools.js';
import {benchUploads} from './uploads.js';

const run = promisify(execFile);
const mayNot = 77;

type Workload = (bench: Bench, options: {readonly short: boolean}) => Promise<readonly Row[]>;

const workloads: Readonly<Record<string, Workload>> = {
	hits: benchHits,
	'hits-plain': benchPlainHits,
	cold: benchCold,
	herd: benchHerd,
	'slow-reader': benchSlowReader,
	catalog: benchCatalog,
	pauses: benchPauses,
	growth: benchGrowth,
	start: benchStart,
	uploads: benchUploads,
};

const help = `npm run bench -- [--only NAME]... [--short] [--json FILE] [--dir FOLDER] [--main FILE]

  --only NAME   only this workload: ${Object.keys(workloads).join(', ')}
  --short       small files, one round: proves that everything runs, and measures nothing
  --json FILE   where to write all rows as JSON (build/bench.json)
  --dir FOLDER  where files are kept meanwhile, some 10 GB of them (${os.tmpdir()})
  --main FILE   the mirror's main.js, of another build than this one

Needs nginx; a C compiler as "cc", without which much is left out; and varnishd, if it is to be compared with.
`;

const {values} = parseArgs({
	options: {
		only: {type: 'string', multiple: true, default: Object.keys(workloads)},
		short: {type: 'boolean', default: false},
		json: {type: 'string', default: 'build/bench.json'},
		dir: {type: 'string', default: os.tmpdir()},
		main: {type: 'string'},
		help: {type: 'boolean', default: false},
		// Said by the outer process to the one in the network of its own.
		inside: {type: 'string'},
		network: {type: 'string', default: 'own'},
	},
});

/** Compiles what is needed, and runs this program once more in a network of its own, if there may be one. */
async function outside(): Promise<number> {
	const folder = await mkdtemp(path.join(path.resolve(values.dir), 'imgmirror-bench-'));
	try {
		const tools = await makeTools(folder);
		const again = [fileURLToPath(import.meta.url), ...process.argv.slice(2), '--inside', folder];
		if (tools.compiled) {
			const code = await passOn(program(tools, 'network'), ['run', process.execPath, ...again]);
			if (code !== mayNot) {
				return code;
			}
		}
		process.stderr.write("bench: no network of its own: this runs on the machine's loopback\n");
		return await passOn(process.execPath, [...again, '--network', "the machine's"]);
	} finally {
		await rm(folder, {recursive: true, force: true, maxRetries: 5});
	}
}

async function passOn(name: string, args: readonly string[]): Promise<number> {
	const child = spawn(name, args, {stdio: 'inherit'});
	const pass = (signal: NodeJS.Signals): void => {
		child.kill(signal);
	};
	// Ctrl-C reaches the child by itself.
	const wait = (): void => undefined;
	process.on('SIGTERM', pass).on('SIGINT', wait);
	const [code] = (await once(child, 'exit')) as [number | null];
	process.off('SIGTERM', pass).off('SIGINT', wait);
	return code ?? 1;
}

async function inside(folder: string): Promise<number> {
	const tools: Tools = {folder, compiled: values.network === 'own' || (await isThere(path.join(folder, 'client')))};
	const main = values.main === undefined ? undefined : path.resolve(values.main);
	const {short} = values;
	let bench: Bench | undefined;
	const stop = (code: number): void => {
		void (bench?.close() ?? Promise.resolve()).finally(() => process.exit(code));
	};
	for (const signal of ['SIGTERM', 'SIGINT']) {
		process.on(signal, () => stop(130));
	}
	// Servers must not be left behind, whatever happens.
	process.on('uncaughtException', error => {
		console.error(error);
		stop(1);
	});
	const rows: Row[] = [];
	const skipped: Record<string, string> = {};
	const begun = performance.now();
	let failed = false;
	for (const name of Object.keys(workloads).filter(one => values.only.includes(one))) {
		const from = performance.now();
		const own = path.join(folder, name);
		await mkdir(own);
		bench = new Bench(tools, {folder: own, main, short});
		try {
			const found = (await workloads[name]?.(bench, {short})) ?? [];
			rows.push(...found);
			process.stderr.write(`${tableText(found)}\nbench: ${name} took ${seconds(from)} s\n`);
		} catch (error) {
			const why = error instanceof Error ? error.message : String(error);
			skipped[name] = why;
			// What is left out for want of a program is no failure; the others are measured all the same.
			failed ||= !(error instanceof Missing);
			process.stderr.write(`bench: ${name}: ${why}\n`);
		} finally {
			await bench.close();
			await rm(own, {recursive: true, force: true, maxRetries: 5});
		}
	}
	const report: Report = {
		machine: await machineOf(tools),
		...{seconds: Number(seconds(begun)), short, rows, skipped},
	};
	console.log(textOf(report));
	await mkdir(path.dirname(path.resolve(values.json)), {recursive: true});
	await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
	return failed ? 1 : 0;
}

function seconds(since: number): string {
	return ((performance.now() - since) / 1000).toFixed(1);
}

async function isThere(file: string): Promise<boolean> {
	return readFile(file).then(
		() => true,
		() => false,
	);
}

function textOf({machine, rows, skipped, short, seconds: took}: Report): string {
	const misses = rows.filter(({holds}) => holds === false).length;
	const judged = rows.filter(({holds}) => holds !== undefined).length;
	return [
		Object.entries(machine)
			.map(([key, value]) => `${key}: ${value}`)
			.join('; '),
		'',
		tableText(rows),
		'',
		...Object.entries(skipped).map(([name, why]) => `${name} was left out: ${why}`),
		`${took} s; of ${judged} targets ${judged - misses} held${short ? ', which a short run says nothing about' : ''}`,
	].join('\n');
}

async function machineOf(tools: Tools): Promise<Machine> {
	const network = tools.compiled
		? (JSON.parse((await run(program(tools, 'network'), ['show'])).stdout) as Record<string, string | number>)
		: {};
	const version = async (name: string, flag: string): Promise<string> => {
		const {stdout, stderr} = await run(name, [flag], {
			env: {...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`},
		}).catch(() => ({stdout: '', stderr: ''}));
		return /\d+(?:\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'none';
	};
	return {
		processor: os.cpus()[0]?.model ?? 'unknown',
		cores: os.cpus().length,
		'memory GiB': Math.round(os.totalmem() / 2 ** 30),
		kernel: os.release(),
		node: process.versions.node,
		nginx: await version('nginx', '-v'),
		varnish: await version('varnishd', '-V'),
		network: values.network,
		...network,
		'load at the end': (os.loadavg()[0] ?? 0).toFixed(1),
	};
}

const unknown = values.only.filter(name => !(name in workloads));
if (values.help || unknown.length > 0) {
	(unknown.length > 0 ? process.stderr : process.stdout).write(
		unknown.length > 0 ? `there is no workload ${unknown.join(', ')}\n\n${help}` : help,
	);
	process.exitCode = unknown.length > 0 ? 2 : 0;
} else {
	process.exitCode = await (values.inside === undefined ? outside() : inside(values.inside));
}
