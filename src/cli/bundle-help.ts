/**
 * What `--help` says of the commands that look at bundles, beyond their flags.
 */
import {exits} from './see-help.js';

const bundles = `
A bundle is what "imgmirror export" made: a folder, a tar, a tar in parts (one of them
is enough, if the others lie beside it), or a tar compressed with gzip or zstd; of
other tools' making, any OCI image layout with such images in it.`;

export const bundleHelp = `
Examples:
  imgmirror bundle inspect /media/usb/site
  imgmirror bundle verify /media/usb/site.tar.001
  imgmirror bundle help verify
${exits}`;

export const bundleInspectHelp = `${bundles}
Only manifests are read: whether files are there is said, whether they are right is for
"imgmirror bundle verify" to find out.

Examples:
  imgmirror bundle inspect /media/usb/site
  imgmirror bundle inspect site.tar --json | jq -r '.[].images[].uuid'
  ssh near cat site.tar.gz | imgmirror bundle inspect -
${exits}`;

export const bundleVerifyHelp = `${bundles}
Every byte is read and every digest computed, as an import would do it. An image that is
built upon a broken one is broken too. A signature must fit the index; whose it is
matters only with --key.

Examples:
  imgmirror bundle verify /media/usb/site
  imgmirror bundle verify site.tar.001 --key near.pub
  imgmirror bundle verify - --json < site.tar.zst

Exit codes:
  0    all of it is right
  1    it is not, or could not be read: the report says what and why
  2    the command line is wrong
  130  it was stopped by Ctrl-C or its like`;
