/**
 * Requests that tell how much of their body has left, which `fetch` cannot.
 */
import {noAnswer} from './api-error.js';
import type {TusAnswer, TusRequest, TusTransport} from './tus.js';

export function xhrTransport(urlOf: (path: string) => string): TusTransport {
	return request => send(urlOf(request.path), request);
}

function send(url: string, {method, headers, body, onSent, signal}: TusRequest): Promise<TusAnswer> {
	return new Promise((resolve, reject) => {
		const stopped = (): DOMException => new DOMException('stopped', 'AbortError');
		if (signal.aborted) {
			reject(stopped());
			return;
		}
		const xhr = new XMLHttpRequest();
		const abort = (): void => xhr.abort();
		xhr.open(method, url);
		for (const [name, value] of Object.entries({accept: 'application/json', ...headers})) {
			xhr.setRequestHeader(name, value);
		}
		xhr.setRequestHeader('x-imgmirror', 'page');
		if (onSent !== undefined) {
			xhr.upload.addEventListener('progress', ({loaded}) => onSent(loaded));
		}
		xhr.addEventListener('load', () =>
			resolve({
				status: xhr.status,
				body: xhr.responseText,
				header: name => xhr.getResponseHeader(name) ?? undefined,
			}),
		);
		xhr.addEventListener('error', () => reject(noAnswer()));
		xhr.addEventListener('timeout', () => reject(noAnswer()));
		xhr.addEventListener('abort', () => reject(stopped()));
		xhr.addEventListener('loadend', () => signal.removeEventListener('abort', abort));
		signal.addEventListener('abort', abort);
		xhr.send(body ?? null);
	});
}

export function pause(ms: number, signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		const stop = (): void => {
			window.clearTimeout(timer);
			reject(new DOMException('stopped', 'AbortError'));
		};
		const timer = window.setTimeout(() => {
			signal.removeEventListener('abort', stop);
			resolve();
		}, ms);
		if (signal.aborted) {
			stop();
		}
		signal.addEventListener('abort', stop, {once: true});
	});
}
