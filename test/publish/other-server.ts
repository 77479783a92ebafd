/** Another image server, and a publisher that clients may send there. */
import {readFileSync} from 'node:fs';
import type {Uuid} from '../../src/image/manifest.js';
import type {JobStatus} from '../../src/publish/api.js';
import {ClientNamedServers} from '../../src/sources/remote-servers.js';
import {testCertificates} from '../helpers/certificates.js';
import {hurriedClock} from '../helpers/hurried-clock.js';
import type {TestManifest} from '../helpers/make-image.js';
import type {Scope} from '../helpers/temp-dir.js';
import {testHost} from '../helpers/test-host.js';
import {noProxies} from '../sources/make-source.js';
import {startPublisher, uuid, type PublisherRig, type RigOptions} from './start-publisher.js';

export function remoteServers(): ClientNamedServers {
	return new ClientNamedServers({
		host: testHost({clock: hurriedClock}),
		userAgent: 'imgmirror/0.0.0-test',
		instanceId: 'mirror-under-test',
		environment: noProxies,
		settings: {allow: ['127.0.0.1']},
		configured: () => [],
		ca: readFileSync(testCertificates.caFile, 'utf8'),
	});
}

export function startImporter(t: Scope, options: Partial<RigOptions> = {}): Promise<PublisherRig> {
	return startPublisher(t, {remote: remoteServers(), ...options});
}

export function idOf(image: TestManifest): Uuid {
	return uuid(image.uuid);
}

/** The job as it is when it is over. */
export async function ended({publisher, host}: PublisherRig, job: JobStatus): Promise<JobStatus> {
	await Promise.race([
		host.logged({job: job.uuid, msg: 'an image of another server is ours now'}),
		host.logged({job: job.uuid, msg: 'an import from another server failed'}),
	]);
	const now = publisher.job(job.uuid);
	if (now === undefined) {
		throw new Error('the job is gone');
	}
	return now;
}

export async function fileOf({store, publisher}: PublisherRig, image: Uuid): Promise<Buffer | undefined> {
	const sha1 = publisher.get(image)?.files[0]?.sha1;
	const handle = sha1 === undefined ? undefined : await store.open(sha1);
	try {
		return await handle?.readFile();
	} finally {
		await handle?.close();
	}
}
