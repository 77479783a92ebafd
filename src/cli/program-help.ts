/**
 * What `--help` says beyond commands and flags: examples, exit codes, and what is worth knowing before.
 */

export const generalHelp = `
Without a configuration, "imgmirror serve" fronts the public image servers, keeps
what it fetches in ./data and listens on 127.0.0.1:8080.

Examples:
  imgmirror serve
  imgmirror serve --config /etc/imgmirror.json
  imgmirror config check --config /etc/imgmirror.json
  zfs send zones/UUID@final | gzip | imgmirror publish --name base --version 1.0.0
  imgmirror export --all --to /media/usb/site
  imgmirror help serve

Exit codes:
  0    all went well
  1    it could not be done, for instance because the port is taken
  2    the command line or the configuration is wrong
  130  it was stopped by Ctrl-C or its like`;

const overriding = `
A flag goes before its environment variable, that before the file, that before the
defaults. No file is read unless it is named. Relative paths in a file begin at its
own directory.`;

export const serveHelp = `${overriding}

Signals:
  HUP        read the configuration again; a faulty one changes nothing
  TERM, INT  stop: let answers finish, suspend transfers so that they resume;
             a second one stops at once

Examples:
  imgmirror serve
  imgmirror serve --listen 0.0.0.0:80 --data /var/imgmirror
  imgmirror serve --listen 8080 --listen unix:/run/imgmirror.sock
  imgmirror serve --source https://images.smartos.org --source lab=http://10.0.0.5/datasets

Exit codes:
  0  it was told to stop, and did
  1  it could not start (the port or the data directory is taken), failed, or was
     told twice to stop
  2  the command line or the configuration is wrong`;

export const configHelp = `
Examples:
  imgmirror config check --config /etc/imgmirror.json
  imgmirror config example > /etc/imgmirror.json
  imgmirror config help show

Exit codes:
  0  all went well
  2  the command line or the configuration is wrong`;

export const checkHelp = `${overriding}

Example:
  imgmirror config check --config /etc/imgmirror.json && svcadm refresh imgmirror

Exit codes:
  0  there are no faults
  2  there are: one line for each of them`;

export const showHelp = `${overriding}

Passwords are masked. What comes from a flag or a variable has a comment that says so.

Example:
  imgmirror config show --source https://images.smartos.org

Exit codes:
  0  printed
  2  the configuration has faults`;

export const exampleHelp = `
Example:
  imgmirror config example > /etc/imgmirror.json

Exit codes:
  0  printed`;
