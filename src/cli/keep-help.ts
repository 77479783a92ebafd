/**
 * What `--help` says of the commands about what stays on the disk and what is offered, beyond their flags.
 */
import {exits, prefixHelp, serverHelp} from './see-help.js';

const operateHelp = `
With --url it takes a login with the right "operate".`;

const common = `${prefixHelp}
${serverHelp}
${operateHelp.trimStart()}`;

const someFail = `
Exit codes:
  0    done, for all of them
  1    it could not be done, or not for all of them; stderr says why
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

export const evictHelp = `
Their files go from the disk; the images stay in the catalog, and are fetched again when
somebody asks for them. What was published or imported here or is pinned never goes, nor
what is in use; what a rule wants, another image here is built upon, or no source offers
any more goes only with --force.

"imgmirror images list here=here" leaves out what is held back, disabled or gone from
its source; with --all it names every image whose file is here.

An image that was published or imported here is deleted instead, by IMGAPI's own request:
  curl -u USER:PASSWORD -X DELETE http://MIRROR/images/UUID
  curl --unix-socket DATA/control.sock -X DELETE http://localhost/images/UUID
The second is for the account of a server that runs on this machine.
${common}

Examples:
  imgmirror evict 01b2c898 --dry-run
  imgmirror evict $(imgmirror images list name=old-base here=here -H -o uuid)
  imgmirror evict 01b2c898-945f-11e1-a523-af1afbe22822 --force

Exit codes:
  0    all of them went
  1    one did not: the report says why
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

export const pinHelp = `
A pinned image stays, and so do the origins that it is built upon. One that is not here
yet stays once it is: "imgmirror prefetch" fetches it.
${common}

Examples:
  imgmirror pin 01b2c898
  imgmirror pin $(imgmirror images list name=base version=1.0.0 -H -o uuid)
${someFail}`;

export const unpinHelp = `
The image may go when room is needed, unless something else keeps it.
${common}

Examples:
  imgmirror unpin 01b2c898
  imgmirror unpin $(imgmirror images list pinned=true -H -o uuid)
${someFail}`;

export const duHelp = `
Says what the disk holds and by what right, which limits there are, what would go next
and why, what stays and why, and what is in quarantine.
${serverHelp}
With --url it takes a login with the right "private".

Examples:
  imgmirror du
  imgmirror du -n 50
  imgmirror du --all --json | jq '.all[] | select(.stays == []) | .size'
${exits}`;

export const verifyHelp = `
Reads files again and compares them with their digests: those of some images, or all.
What is wrong goes to quarantine and is fetched again, if a source has it. The server
does the same by itself, as "scrub" of its configuration says.
${common}

Examples:
  imgmirror verify
  imgmirror verify 01b2c898 --rate none
  imgmirror verify --rate "50 MB/s" --json > report.json

Exit codes:
  0    all of them are right
  1    one is not, or it could not be found out; the report says which
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

export const holdHelp = `
A held image is offered to nobody: it is in no list, and is not found. What is built
upon it cannot be imported then either.
${common}

Examples:
  imgmirror hold 01b2c898 --note "breaks sshd, see OPS-123"
${someFail}`;

export const releaseHelp = `
Offers images at once, with their origins, whether an operator held them or their source
is told to offer images only when they are older, or were released.
${common}

Examples:
  imgmirror release 01b2c898
  imgmirror release $(imgmirror held --json | jq -r '.[].uuid')
${someFail}`;

export const heldHelp = `${serverHelp}
With --url it takes a login with the right "private".

Examples:
  imgmirror held
  imgmirror held --json
${exits}`;

export const prefetchHelp = `
Fetches images before anybody asks for them, with the origins that they are built upon.
Everything that is said must be true of an image; a flag that is repeated is true if one
of its values is. Names, kinds and owners may have "*", "?", "[a-z]" and "{a,b}" in them.
What clients ask for meanwhile goes first. The same command again goes on where it was.
${prefixHelp.trimStart()}

A rule of the configuration ("prefetch.rules") runs by itself; "prefetch rules" shows
them. What such a rule wants stays on the disk; what this command has fetched may go
when room is needed, unless it is pinned.
${serverHelp}
${operateHelp.trimStart()}

Examples:
  imgmirror prefetch 01b2c898 6175f31e
  imgmirror prefetch --name 'base-64*' --newest 2 --dry-run
  imgmirror prefetch --os smartos --since 90d --max-size "100 GB" --bandwidth "10 MB/s"
  imgmirror prefetch --name debian-12 --version '>=20240000'
  imgmirror prefetch --rule nightly

Exit codes:
  0    all of them are here
  1    one could not be fetched, or cannot be had
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like; what was fetched is kept`;

export const prefetchRulesHelp = `${serverHelp}
With --url it takes a login with the right "private".

Examples:
  imgmirror prefetch rules
  imgmirror prefetch rules --json
${exits}`;

export const prefetchRunHelp = `
The server that runs does it, and goes on when this command has ended.
"imgmirror prefetch --rule NAME" does the same and shows how far it is.
${operateHelp.trimStart()}

Examples:
  imgmirror prefetch run nightly
${exits}`;
