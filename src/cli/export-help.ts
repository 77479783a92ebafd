/**
 * What `--help` says of `export`, beyond its flags.
 */
import {prefixHelp, serverHelp} from './see-help.js';

export const exportHelp = `
A bundle is an OCI image layout: a folder, or a tar of one. It is made of the images that
are chosen and of the origins that they are built upon, and the same images make the same
bytes. The server fetches what it does not have, and signs it with its key ("imgmirror
key new" makes one); "imgmirror import" takes it in on the far side.

Everything that is said must be true of an image; a flag that is repeated is true if one
of its values is. Names, kinds and owners may have "*", "?", "[a-z]" and "{a,b}" in them.
${prefixHelp.trimStart()}

A folder is bundled in place, a tar gets its name when it is whole. After whatever stopped
it, the same command again reads what it finds and goes on. FAT, as sticks have it, takes
no files of 4 GiB and more: "--split fat" makes NAME.tar.001, NAME.tar.002 …, which import
and "cat" put together. Before the stick is pulled out, "imgmirror bundle verify" reads
everything on it once more.

With --since or --have, only what the far side lacks goes: of an image that has changed
there but not in its file, only what is said of it.
${serverHelp}
With --url it takes a login with the right "operate".

Examples:
  imgmirror export --all --to /media/usb/site
  imgmirror export 01b2c898 6175f31e --to images.tar
  imgmirror export --name 'base-64*' --newest 2 --dry-run
  imgmirror export --rule nightly --have far.have --to /media/usb/delta.tar --split fat
  imgmirror export --all --since /media/usb/site --to /media/usb/more
  imgmirror export --channel release --to - | ssh far imgmirror import -

Exit codes:
  0    all of them are in the bundle
  1    it could not be written, or an image could not go: stderr says why
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like; the same command again goes on`;
