/**
 * All that is served, put together: every file of routes with what it needs.
 *
 * The server hands them to its router; the description of the API is held against them by a test.
 */
import type {AirgapApi} from '../airgap/api.js';
import type {HistoryApi} from '../history/api.js';
import type {Host} from '../host.js';
import type {ServerMode} from '../image/rules.js';
import type {OperateApi} from '../mirror-operate-api.js';
import type {MirrorApi} from '../mirror.js';
import type {PrefetchApi} from '../prefetch/api.js';
import {adminRoutes} from './admin.js';
import {BufferBudget} from './buffers.js';
import {bundleRoutes} from './bundles.js';
import type {Gate} from './callers.js';
import {checkRoutes} from './check.js';
import {datasetUploadRoutes} from './dataset-upload.js';
import {datasetRoutes, type DatasetSettings} from './datasets.js';
import {dsapidExportRoutes} from './dsapid-export.js';
import {eventRoutes} from './events.js';
import {Turns} from './turns.js';
import {fileWrites} from './file-writes.js';
import {ImageRequests} from './image-requests.js';
import {imageWrites} from './image-writes.js';
import {imageRoutes} from './images.js';
import {logRoutes, type LogLines} from './log-lines.js';
import {operateImageRoutes} from './operate-images.js';
import {operateSourceRoutes} from './operate-sources.js';
import {operateStorageRoutes} from './operate-storage.js';
import {operatorRoutes} from './operator.js';
import type {NativeSend} from './native-send.js';
import type {PageFiles} from './page-files.js';
import {pageRoutes} from './pages.js';
import {prefetchRoutes} from './prefetching.js';
import {publishRoutes} from './publish-stream.js';
import type {Route} from './routes.js';
import {sessionRoutes} from './sessions.js';
import {SharedReads} from './shared-reads.js';
import {uploadRoutes} from './uploads.js';

/** What routes look at anew for each request. */
export interface RouteSettings extends DatasetSettings {
	/** Which images are taken. */
	readonly mode: ServerMode;
}

/** What is behind the routes. */
export interface Served {
	readonly mirror: MirrorApi;
	readonly operate: OperateApi;
	readonly prefetch: PrefetchApi;
	readonly airgap: AirgapApi;
	readonly history: HistoryApi;
	readonly logTail: LogLines;
	/** Who asks, and what they may do. */
	readonly access: Gate;
	readonly host: Host;
	readonly version: string;
	/** What our sources are told in `x-imgmirror-via`, so that we know our own questions again. */
	readonly instanceId: string;
}

export function allRoutes(
	served: Served & {
		readonly settings: () => RouteSettings;
		/** `undefined`: there is no web page. */
		readonly page: PageFiles | undefined;
		/** Aborted when the server goes down: what would never end by itself ends then. */
		readonly stopping: AbortSignal;
		/** `undefined`: files are read and written. */
		readonly native: NativeSend | undefined;
	},
): readonly Route[] {
	const {mirror, operate, prefetch, airgap, history, logTail, access, host, version, instanceId} = served;
	const {settings, page, stopping, native} = served;
	const files = {
		reads: new SharedReads(new BufferBudget()),
		turns: new Turns(host.clock),
		metrics: host.metrics,
		native,
	};
	const images = new ImageRequests({mirror});
	const lines = {host, stopping};
	return [
		...imageRoutes({mirror, images, version, files}),
		...imageWrites({mirror, images, settings}),
		...fileWrites({mirror, images}),
		...adminRoutes({mirror, images, access, log: host.log}),
		...datasetRoutes({mirror, files, settings}),
		...datasetUploadRoutes({mirror, settings}),
		...dsapidExportRoutes({airgap, images, metrics: host.metrics}),
		...publishRoutes({mirror, images}),
		...uploadRoutes({mirror, images, settings}),
		...operateImageRoutes({operate}),
		...operateStorageRoutes({operate, lines}),
		...operateSourceRoutes({operate, history}),
		...prefetchRoutes({prefetch, lines}),
		...bundleRoutes({airgap, metrics: host.metrics, lines}),
		...logRoutes({logTail, host, access, stopping}),
		...eventRoutes({host, access, instanceId, stopping}),
		...checkRoutes({mode: () => settings().mode, clock: host.clock}),
		...sessionRoutes({mirror, access, version, settings}),
		...operatorRoutes({mirror, metrics: host.metrics, isStopping: () => stopping.aborted}),
		...pageRoutes({version, cloudName: () => settings().datasetNames.cloudName, settings, page}),
	];
}
