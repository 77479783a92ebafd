/**
 * What `--help` says of the publishers' commands, beyond their flags.
 */

const serverHelp = `
The server is the one of --url (or IMGMIRROR_URL), else the one of the data directory
of this machine. If none runs there, one is started for as long as the command runs.`;

const exits = `
Exit codes:
  0    done
  1    it could not be done; stderr says why, and nothing was published
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

export const publishHelp = `${serverHelp}

The upload survives broken lines and restarts of the server. Of a file, it survives
that of the command, too: the same command again goes on where it was. A pipe cannot
be read twice. Whether something is cut off is seen from gzip's and zfs' own marks.

With --manifest, the image keeps the uuid and the date of the manifest.

Examples:
  imgmirror publish base-1.0.0.zfs.gz --name base --version 1.0.0 --public
  imgmirror publish base-1.0.0.zfs.gz --manifest base-1.0.0.imgmanifest
  uuid=$(zfs send zones/UUID@final | gzip | imgmirror publish --name base --version 1.0.0)
  imgmirror publish big.zfs.xz --url http://alice:PASSWORD@mirror --name big --version 2
  imgmirror publish lx.zfs.gz --name debian --version 12 --type lx-dataset --os linux \\
    --requirement min_ram=512 --requirement min_platform=20210826T002459Z --tag role=db
${exits}`;

export const importImageHelp = `
NAME VERSION DESCRIPTION may come from SSH_ORIGINAL_COMMAND, where sshd puts what a
client typed if the command is a forced one; smf/import-image is made for that.
${serverHelp}

Examples:
  zfs send zones/UUID@image | gzip | imgmirror import-image base 1.0.0 "Our base image"
  zfs send zones/UUID@image | gzip | ssh mirror import-image base 1.0.0 "'Our base image'"
${exits}`;

export const adoptHelp = `
Every file is checked against its manifest before it counts. What is there already is
left alone, so it can be stopped and run again. The server of this machine does it, as
its own user, who must be able to read the directory (to change it, with --move).

Examples:
  imgmirror adopt /var/www/datasets --dry-run
  imgmirror adopt /data/imgapi --data /var/imgmirror
  imgmirror adopt /data/dsapid/files --link --json > report.json

Exit codes:
  0    all of them are here now
  1    it could not be done, or not for all of them: the report says why
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like; what is adopted stays`;

export const manifestHelp = `
Without --name and --version, they are taken from a file name such as
NAME-VERSION.zfs.gz. The compression is that of the first bytes.

Examples:
  imgmirror manifest base-1.0.0.zfs.gz -o base-1.0.0.imgmanifest
  imgmirror manifest base.zfs.xz --name base --version 1.0.0 --type lx-dataset --os linux
  zfs send zones/UUID@final | tee base.zfs | imgmirror manifest - --name base --version 1.0.0
  imgmirror manifest --from 01b2c898-945f-11e1-a523-af1afbe22822 --url http://mirror

Exit codes:
  0    printed
  1    the file cannot be read, or the server does not have the image
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

export const lintHelp = `
Examples:
  imgmirror lint base-1.0.0.imgmanifest
  imgmirror manifest base-1.0.0.zfs.gz | imgmirror lint -
  imgmirror lint --strict --mode public *.imgmanifest

Exit codes:
  0  nothing is wrong; there may be advice
  1  something is wrong; with --strict: or there is advice
  2  the command line is wrong`;
