// Writes man/imgmirror.8 from the commands of the built program (npm run build) and the chapters beside them.
import {mkdirSync, writeFileSync} from 'node:fs';

const built = process.argv[2] ?? 'dist';
const load = name => import(new URL(`../${built}/cli/${name}.js`, import.meta.url));
const [{createProgram}, {treeOf}, {manPage}] = await Promise.all(['program', 'command-tree', 'man-page'].map(load));

// Nothing is run: there is nobody to do anything, and nothing to write to.
const program = createProgram({}, {version: '', env: {}, directory: '.'}, () => undefined);
const file = new URL('../man/imgmirror.8', import.meta.url);
mkdirSync(new URL('.', file), {recursive: true});
writeFileSync(file, manPage(treeOf(program)));
