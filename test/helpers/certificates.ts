/**
 * A certificate authority that exists for tests only, with what it has signed.
 *
 * `server` is for localhost, 127.0.0.1 and ::1, `client` for whoever must show one. Their keys protect nothing, and
 * the authority's own is gone. All of them hold until 2120.
 */
import {fileURLToPath} from 'node:url';

// Compiled tests lie in build/test/helpers, the certificates beside the sources.
const fixture = (name: string): string =>
	fileURLToPath(new URL(`../../../test/helpers/fixtures/${name}`, import.meta.url));

export const testCertificates = {
	caFile: fixture('ca.pem'),
	certFile: fixture('server.pem'),
	keyFile: fixture('server.key'),
	clientCertFile: fixture('client.pem'),
	clientKeyFile: fixture('client.key'),
} as const;
