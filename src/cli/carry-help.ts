/**
 * What `--help` says of the commands that carry images by hand, beyond their flags.
 */
import {exits, serverHelp} from './see-help.js';

const operateHelp = `
With --url it takes a login with the right "operate".`;

const common = `${serverHelp}
${operateHelp.trimStart()}`;

export const importHelp = `
A bundle is what "imgmirror export" made: a folder, a tar, a tar in parts (one of them,
or all, does), or a tar compressed with gzip or zstd; of other tools' making, any OCI
image layout with such images in it. Several bundles are taken in one after the other.

Every digest is computed anew, and an image is offered once all of it is here and right.
What is broken is left out and named; the rest comes through. Files that are here
already are not sent, so the same command again, after whatever stopped it, goes on
where it was. What has been imported stays until somebody deletes
it: "imgmirror help evict" says how.

The bundle must be signed with a key that is trusted: see "imgmirror key trust". Where
there is no data directory, one is made.
${common}

Examples:
  imgmirror import /media/usb/site
  imgmirror import /media/usb/site.tar.001 --dry-run
  imgmirror import site.tar --key near.pub --json > report.json
  ssh near imgmirror export --all --to - | imgmirror import -

Exit codes:
  0    all images are here now
  1    it could not be done, or not for all of them: the report says why
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like; what is imported stays`;

export const haveHelp = `
One line for each image that is here whole, and small enough for any stick. On the near
side, "imgmirror export --have FILE" makes a bundle of what is not in it.
${serverHelp}
With --url it takes a login with the right "private".

Examples:
  imgmirror have --to /media/usb/far.have
  imgmirror have --url http://alice:PASSWORD@mirror > far.have
${exits}`;

export const keyHelp = `
Where bundles are made, one key signs them all; where they are taken in, the public
lines of such keys are trusted. They are ed25519 keys as OpenSSH writes them, so that
"ssh-keygen -Y" makes and checks the same signatures.

Examples:
  imgmirror key new > near.pub              near: once
  imgmirror key trust near.pub              far: once, with the file carried there
  imgmirror key help trust

Exit codes:
  0  done
  1  it could not be done; stderr says why
  2  the command line or the configuration is wrong`;

export const keyNewHelp = `
The private half is kept in bundle-key.pem in the data directory and never leaves it.
Bundles that were made before stay signed as they are.
${common}

Examples:
  imgmirror key new > near.pub
  imgmirror key new --comment "head office" --replace
${exits}`;

export const keyShowHelp = `${common}

Examples:
  imgmirror key show > near.pub
  imgmirror key show --json | jq -r .fingerprint
${exits}`;

export const keyListHelp = `
A mirror's own key is trusted by itself; those of the configuration stand in its file,
the others in trusted-keys in the data directory, which may be edited by hand.
${common}

Examples:
  imgmirror key list
  imgmirror key list --json
${exits}`;

export const keyTrustHelp = `
Compare the fingerprint with what the near side says: whoever has the private half of
a key that is trusted can bring any image. Where there is no data directory, one is
made.
${common}

Examples:
  imgmirror key trust /media/usb/near.pub
  imgmirror key trust "ssh-ed25519 AAAA… imgmirror@near"
  ssh near imgmirror key show | imgmirror key trust -
${exits}`;

export const keyUntrustHelp = `
What came with its bundles stays.
${common}

Examples:
  imgmirror key untrust imgmirror@near
  imgmirror key untrust SHA256:jXr2…
${exits}`;
