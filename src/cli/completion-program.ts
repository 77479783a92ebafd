/**
 * `imgmirror completion`: what a shell needs to know to complete our command lines.
 */
import {Argument, type Command} from 'commander';
import type {CliIo} from './io.js';
import {exitCodes} from './exit-codes.js';
import type {Done} from './see-program.js';

export function addCompletionCommand(program: Command, io: CliIo, done: Done): void {
	program
		.command('completion')
		.description('Print a script that has a shell complete command lines.')
		.addArgument(new Argument('<shell>', 'bash or zsh').choices(['bash', 'zsh']))
		.addHelpText('after', completionHelp)
		.action(async (shell: 'bash' | 'zsh') => {
			const {treeOf} = await import('./command-tree.js');
			const tree = treeOf(program);
			if (shell === 'bash') {
				const {bashCompletion} = await import('./completion-bash.js');
				io.stdout.write(bashCompletion(tree));
			} else {
				const {zshCompletion} = await import('./completion-zsh.js');
				io.stdout.write(zshCompletion(tree));
			}
			done(exitCodes.ok);
		});
}

const completionHelp = `
Examples:
  imgmirror completion bash > /etc/bash_completion.d/imgmirror
  imgmirror completion zsh > /usr/share/zsh/site-functions/_imgmirror
  source <(imgmirror completion bash)

Exit codes:
  0  printed
  2  the command line is wrong`;
