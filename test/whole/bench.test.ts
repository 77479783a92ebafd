import {readFile, readdir} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import type {Report} from '../bench/rows.js';
import {has} from '../helpers/programs.js';
import {run} from '../helpers/run-command.js';
import {tempDir} from '../helpers/temp-dir.js';

const main = fileURLToPath(new URL('../bench/main.js', import.meta.url));

// Workloads and what their rows are called. In several runs, because each of them is as much as other tests have in all.
for (const workloads of [
	{hits: 'hits', 'hits-plain': 'hits, no helper', growth: 'growth'},
	{cold: 'cold', herd: 'herd', 'slow-reader': 'slow reader'},
	{catalog: 'catalog', pauses: 'pauses', start: 'start', uploads: 'uploads'},
]) {
	const names = Object.keys(workloads);
	test.serial(`the benchmark runs, and gives rows with numbers: ${names.join(', ')}`, async t => {
		t.timeout(300_000);
		if (!has(t, 'nginx', 'cc', 'curl')) {
			return;
		}
		const folder = await tempDir(t);
		const json = path.join(folder, 'made', 'bench.json');
		const args = ['--short', '--json', json, '--dir', folder, ...names.flatMap(name => ['--only', name])];
		// What is measured would be covered as well, and be slower.
		const {code, stdout, stderr} = await run(process.execPath, [main, ...args], {env: {NODE_V8_COVERAGE: ''}});
		t.is(code, 0, stderr);
		const report = JSON.parse(await readFile(json, 'utf8')) as Report;
		t.like(report, {short: true, skipped: {}});
		t.deepEqual([...new Set(report.rows.map(({workload}) => workload))], Object.values(workloads));
		for (const row of report.rows) {
			// JSON has no other numbers than finite ones; what was none has become null.
			for (const value of [row.ours, 'peer' in row ? row.peer : 0, 'ratio' in row ? row.ratio : 0]) {
				t.is(typeof value, 'number', JSON.stringify(row));
			}
			t.is('peerName' in row, typeof row.peer === 'number', JSON.stringify(row));
			t.true(stdout.includes(row.what), row.what);
		}
		for (const row of report.rows.filter(({unit}) => unit === 'x the file')) {
			t.is(row.ours, 1, row.what);
		}
		t.deepEqual(await readdir(folder), ['made']);
	});
}

test.serial('the benchmark tells what it can do, and what it cannot', async t => {
	const help = await run(process.execPath, [main, '--help']);
	t.is(help.code, 0);
	t.regex(help.stdout, /--only NAME .*hits, .*catalog/s);
	const unknown = await run(process.execPath, [main, '--only', 'nothing']);
	t.is(unknown.code, 2);
	t.regex(unknown.stderr, /^there is no workload nothing\n/);
});
