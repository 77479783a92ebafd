/**
 * What `--help` says of the commands that show how the mirror fares, beyond their flags.
 */

/** Which server it is, for whoever only looks. */
const whichServer = `
The server is the one of --url (or IMGMIRROR_URL), else the one of the data directory
of this machine.`;

export const serverHelp = `${whichServer} If none runs there, one is started for as long as the command runs.`;

/** How operators' commands end. */
export const exits = `
Exit codes:
  0    done
  1    it could not be done; stderr says why
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

export const prefixHelp = `
Of a uuid, the first digits will do, from 4 on, as long as only one image has them.`;

const privateHelp = `
With --url it takes a login with the right "private".`;

export const statusHelp = `${whichServer} If none runs there, one is started for as long as the command runs,
except with --check.
${privateHelp.trimStart()}

With --check there is one line for each thing that somebody should look at: the mirror
is not ready, a source is down, the disk is low, a published file is damaged. No server
is started for that: that none runs is such a thing.

Examples:
  imgmirror status
  imgmirror status --url http://alice:PASSWORD@mirror --json
  imgmirror status --check --quiet || mail -s "mirror" ops@example.com < /dev/null

Exit codes:
  0    done; with --check: all is well
  1    it could not be done; with --check: something is not well
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

export const imagesHelp = `
Examples:
  imgmirror images
  imgmirror images name=~base here=here
  imgmirror images show 01b2c898
  imgmirror images help list
${exits}`;

export const imagesListHelp = (columns: readonly string[], filters: readonly string[]): string => `
Filters are IMGAPI's: NAME=VALUE; name=~PART and version=~PART for what contains it;
type=!VALUE for any other type. All of them must be true of an image:
${wrapped(filters)}

Columns, for -o and -s; a "-" before one of -s turns the order round:
${wrapped(columns)}

What nobody is offered (held back, disabled, not activated, gone from its source) is
left out, also where its file is here and here=here is asked for, unless --all or a
filter by state, held or vanished asks for it.
${serverHelp}
${privateHelp.trimStart()}

Examples:
  imgmirror images list name=~base os=smartos
  imgmirror images list --name '~base' -s -size -o uuid,name,version,size,here,used
  imgmirror images list here=here pinned=false -H -p -o uuid
  imgmirror images list --all held=true -o uuid,name,held
  imgmirror images list --json | jq -r '.[].name' | sort -u
${exits}`;

export const imagesShowHelp = `
Where it comes from, whether its file is here and why it stays, the images that it is
built upon and those built upon it, and the line that imports it.
${prefixHelp.trimStart()}
${serverHelp}
${privateHelp.trimStart()}

Examples:
  imgmirror images show 01b2c898-945f-11e1-a523-af1afbe22822
  imgmirror images show 01b2c898 --json | jq .manifest
${exits}`;

export const transfersHelp = `
On a terminal, --watch draws the table anew each second until Ctrl-C. Elsewhere each
transfer has a line when it begins, every ten seconds, and when it ends; with --json
there is a line of JSON each second. What is "not kept" goes past the disk, which has
no room for it, to clients only; such a file has a line for each place that clients are at.
${serverHelp}
${privateHelp.trimStart()}

Examples:
  imgmirror transfers
  imgmirror transfers --watch
  imgmirror transfers --json
${exits}`;

export const sourcesHelp = `${serverHelp}
${privateHelp.trimStart()}

Examples:
  imgmirror sources
  imgmirror sources --json
${exits}`;

export const refreshHelp = `
Asks sources for their lists now, whether or not the ones at hand are fresh.
${serverHelp}
With --url it takes a login with the right "operate".

Examples:
  imgmirror refresh
  imgmirror refresh joyent lab

Exit codes:
  0    all of them answered
  1    one did not, or it could not be asked
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

export const logHelp = `
Lines look as they do where the server logs as text; --json prints them as they are,
one object a line. The server keeps some thousands of them.
${whichServer} None is started for this: it would have nothing to tell.
With --url it takes a login with the right "operate".

Examples:
  imgmirror log -n 50
  imgmirror log --follow --level warn
  imgmirror log --follow --json | jq -r 'select(.source) | .msg'
${exits}`;

/** Words with commas between, in lines that fit. */
function wrapped(words: readonly string[]): string {
	const lines: string[] = [];
	for (const [at, word] of words.entries()) {
		const piece = at === words.length - 1 ? word : `${word},`;
		const line = lines.at(-1);
		if (line === undefined || line.length + piece.length > 84) {
			lines.push(`  ${piece}`);
		} else {
			lines[lines.length - 1] = `${line} ${piece}`;
		}
	}
	return lines.join('\n');
}
