// Runs npm scripts of this package at the same time, and fails if one of them does.
//
//     node scripts/side-by-side.mjs lint:code lint:format build:test
//
// What each has to say is shown when it ends, in one piece, with how long it took.
import {spawn} from 'node:child_process';

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

function run(name) {
	return new Promise(resolve => {
		const startedAt = performance.now();
		const child = spawn(npm, ['run', '--silent', name], {
			stdio: ['ignore', 'pipe', 'pipe'],
			shell: process.platform === 'win32',
		});
		const said = [];
		child.stdout.on('data', chunk => said.push(chunk));
		child.stderr.on('data', chunk => said.push(chunk));
		child.on('error', error => said.push(Buffer.from(`${error.message}\n`)));
		child.on('close', code => {
			const seconds = Math.round((performance.now() - startedAt) / 1000);
			process.stdout.write(Buffer.concat(said));
			console.log(`${name}: ${code === 0 ? 'done' : 'failed'} in ${seconds} s`);
			resolve(code === 0);
		});
	});
}

const went = await Promise.all(process.argv.slice(2).map(run));
process.exitCode = went.every(Boolean) ? 0 : 1;
