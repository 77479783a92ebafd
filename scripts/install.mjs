// Installs what package-lock.json names, unless it is there already, so that `npm start` and `npm test` each work as
// the first command after a clone. Production runs `node dist/main.js serve` and never comes here.
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';

const read = file => {
	try {
		return JSON.parse(readFileSync(new URL(`../${file}`, import.meta.url), 'utf8'));
	} catch {
		return undefined;
	}
};

const wanted = read('package-lock.json')?.packages ?? {};
const installed = read('node_modules/.package-lock.json')?.packages ?? {};
const missing = Object.entries(wanted).filter(
	([name, {version, optional, devOptional}]) =>
		name !== '' && !optional && !devOptional && installed[name]?.version !== version,
);
// Optional packages may have failed to build on this platform: npm then leaves them out of node_modules, and asking
// again at every start would cost minutes. They count as missing only where nothing is installed at all.
if (missing.length > 0) {
	console.error(`imgmirror: installing ${missing.length} packages (the first time takes a minute or two)`);
	const {status} = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
		cwd: new URL('..', import.meta.url),
		stdio: ['ignore', 2, 2],
		shell: process.platform === 'win32',
	});
	process.exitCode = status ?? 1;
}
