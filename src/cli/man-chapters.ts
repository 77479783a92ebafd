/**
 * The chapters of imgmirror(8) that are written by hand, in mdoc.
 *
 * Commands and flags come between them from commander's tree; see `man-page.ts`.
 */

/** When a chapter was last changed. */
const changed = 'November 21, 2026';

export const beforeCommands: readonly string[] =
	`.\\" Made by scripts/man.mjs: change src/cli/man-chapters.ts or the commands' own help.
.Dd ${changed}
.Dt IMGMIRROR 8
.Os
.Sh NAME
.Nm imgmirror
.Nd caching image server for SmartOS
.Sh SYNOPSIS
.Nm
.Ar command
.Op Ar flags
.Op Ar argument ...
.Nm
.Cm help
.Op Ar command
.Sh DESCRIPTION
.Nm
is one process that any SmartOS machine can name as its image source:
.Bd -literal -offset indent
imgadm sources \\-a http://mirror:8080
.Ed
.Pp
It fronts image servers (IMGAPI and DSAPI) and images that are published to
it, shows them as one catalog, and keeps every image file that it has passed
on, verified, on its own disk.
However many machines ask for a file, it is fetched once, and everybody gets
the bytes while they are still arriving.
.Pp
.Nm
.Cm serve
runs the server.
All other commands but those about the configuration, about users and about
bundles as such talk to a server over HTTP.
.Ss Which server a command talks to
That of
.Fl -url ,
else that of
.Ev IMGMIRROR_URL ,
unless
.Fl -config
or
.Fl -data
name another, else the one that runs on the data directory of this machine,
through a socket that only its own account can open.
If none runs there, one is started privately for as long as the command runs;
only the account that the data directory belongs to can do so.
.Pp
Through the socket everything is allowed.
With
.Fl -url ,
looking takes a login with the right
.Sq private ,
changing one with the right
.Sq operate ,
and publishing one with the right
.Sq publish ;
.Nm
.Cm user may
gives them.
.Ss How images are named
By their uuid.
The first digits of it will do, from 4 on, as long as only one image has them;
if several have, the command lists them and exits with 1.
.Ss Sites that no line goes to
.Nm
.Cm export
writes images, with the origins that they are built upon, as a bundle: an OCI
image layout, in a folder or as a tar.
.Nm
.Cm import
takes it in on the far side: every digest is computed anew, and what came
stays there until somebody deletes it.
A mirror without sources offers it as any other does.
What
.Nm
.Cm have
writes on the far side tells the near side what can be left out the next time.
.Pp
A bundle is signed with the key of the mirror that made it;
.Nm
.Cm key new
makes one.
The far side takes only bundles that are signed with a key that it trusts,
unless it is told otherwise.
.Ss What commands print
Tables for people, with colours where a terminal is looked at.
With
.Fl -json
they print what the server has answered, and nothing else, to standard output.
Messages and progress go to standard error.`.split('\n');

export const afterCommands: readonly string[] = `.Sh SIGNALS
Of
.Nm
.Cm serve :
.Bl -tag -width SIGTERM
.It Dv SIGHUP
The configuration is read again.
A faulty one changes nothing.
Certificates that were renewed in their place are taken without it.
.It Dv SIGTERM , SIGINT
It stops: answers are finished, transfers are suspended so that they resume.
A second one stops it at once.
.El
.Pp
Any other command ends at the first of
.Dv SIGINT ,
.Dv SIGTERM
and
.Dv SIGHUP ,
in order and with 130, and at a second one at once.
What a prefetch, an upload, an export or an import has got done by then is
kept, and the same command again goes on from there.
.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev IMGMIRROR_CONFIG
The configuration, a JSON file, as
.Fl -config .
.It Ev IMGMIRROR_DATA
Where everything is kept, as
.Fl -data .
.It Ev IMGMIRROR_URL
The server that commands talk to, as
.Fl -url .
.It Ev IMGMIRROR_LISTEN , IMGMIRROR_SOURCES , IMGMIRROR_PUBLIC_URL , IMGMIRROR_BASE_PATH , IMGMIRROR_LOG_LEVEL , IMGMIRROR_LOG_FORMAT
As the flags of
.Cm serve
of these names; several addresses or sources have commas between them.
.It Ev NO_COLOR
If it is not empty, nothing is printed in colours.
.It Ev NODE_EXTRA_CA_CERTS
A file with certificates of authorities to trust beside the usual ones.
.It Ev SSH_ORIGINAL_COMMAND
What
.Cm import-image
takes name, version and description from where it is given none.
.El
.Pp
A flag goes before its variable, that before the configuration file, that
before the defaults.
.Sh FILES
Below the data directory,
.Pa ./data
unless it is configured otherwise:
.Bl -tag -width Ds
.It Pa blobs
Whole, verified files, named by their sha1.
.It Pa partial
Files on their way.
.It Pa published
Images that were published here: a manifest each, as JSON.
Their files are among the other blobs.
.It Pa own
Names only: which files were published here.
Where the records of their images are lost they stay because of it.
.It Pa quarantine
Files that were not what they should be, with a note about each.
What was published here and nobody else has
.Pq Pa *-published-SHA1
is not swept.
.It Pa memory
What sources said and when.
Without it nothing is lost but time.
.It Pa index
Which blobs there are, so that not every one is looked at when the mirror starts.
Without it nothing is lost but time.
.It Pa uploads , jobs
What is being published.
.It Pa pins.json , holds.json
Which images are pinned, held and released.
.It Pa usage , scrub , history.json
When files were last used and verified, and the numbers of the last hours.
.It Pa users.json , keys
Who may log in.
.It Pa bundle-key.pem
What bundles are signed with.
It leaves the machine in no bundle.
.It Pa trusted-keys
Keys whose bundles are imported, a line each as in
.Pa authorized_keys .
It may be edited by hand.
.It Pa control.sock
The socket that commands use.
.El
.Pp
With the program come
.Pa config.example.json ,
which has every key of the configuration with its default and a comment, and
the folder
.Pa smf
with manifests for SMF and systemd, a Grafana dashboard and alert rules.
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
It is done.
.It 1
It could not be done; standard error says why.
Commands that look for faults
.Po
.Cm verify ,
.Cm bundle verify ,
.Cm lint ,
.Cm status Fl -check
.Pc
have found one.
.It 2
The command line or the configuration is wrong, and stays so until somebody
changes it.
.It 130
It was stopped by a signal.
.El
.Sh EXAMPLES
A mirror for the machines of a site:
.Bd -literal -offset indent
imgmirror config example > /etc/imgmirror.json
imgmirror config check \\-\\-config /etc/imgmirror.json
imgmirror serve \\-\\-config /etc/imgmirror.json
.Ed
.Pp
What it has, and how it fares:
.Bd -literal -offset indent
imgmirror status
imgmirror images name=\\(tibase here=here
imgmirror du
.Ed
.Pp
The newest images of a name fetched ahead, and one of them kept for good:
.Bd -literal -offset indent
imgmirror prefetch \\-\\-name \\(aqbase\\-64*\\(aq \\-\\-newest 2
imgmirror pin 01b2c898
.Ed
.Pp
For cron: a mail when something is not well.
.Bd -literal -offset indent
imgmirror status \\-\\-check \\-\\-quiet
.Ed
.Pp
To a site that no line goes to, on a stick; the first time with the key, later
only what is new:
.Bd -literal -offset indent
near$ imgmirror key new > /media/usb/near.pub
near$ imgmirror export \\-\\-all \\-\\-to /media/usb/site
far$  imgmirror key trust /media/usb/near.pub
far$  imgmirror import /media/usb/site
far$  imgmirror have \\-\\-to /media/usb/far.have
near$ imgmirror export \\-\\-all \\-\\-have /media/usb/far.have \\e
    \\-\\-to /media/usb/delta
.Ed
.Pp
An image of a zone, published:
.Bd -literal -offset indent
zfs send zones/UUID@final | gzip | \\e
    imgmirror publish \\-\\-name web \\-\\-version 1.0.0
.Ed
.Sh SEE ALSO
.Xr ssh-keygen 1 ,
.Xr imgadm 8 ,
.Xr vmadm 8 ,
.Xr zfs 8`.split('\n');
