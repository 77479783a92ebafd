/**
 * What the mirror says of a manifest while it is being typed, by the rules that it publishes by.
 */
import {problemText, wasAborted} from './api-error.js';
import {manifestOf, problemsIn, type Draft, type DraftProblem} from './draft.js';
import {useEffect, useMemo, useState} from './html.js';
import {usePage} from './page.js';

interface CheckAnswer {
	readonly errors: readonly {readonly field: string; readonly code?: string; readonly message?: string}[];
	readonly advice: readonly {readonly field?: string; readonly message: string}[];
}

export interface ManifestCheck {
	readonly faults: readonly DraftProblem[];
	readonly advice: CheckAnswer['advice'];
	readonly isWrong: boolean;
	readonly isChecking: boolean;
	/** Why it could not be checked. */
	readonly problem: string | undefined;
	/** Those that the form shows faults beside. */
	readonly fields: ReadonlySet<string>;
}

const typingMs = 300;

const shownFields = new Set([
	...['name', 'version', 'os', 'type', 'description', 'homepage', 'origin', 'channel', 'tags'],
	...['image_size', 'nic_driver', 'disk_driver', 'cpu_type'],
	...['requirements.min_ram', 'requirements.max_ram', 'requirements.min_platform', 'requirements.brand'],
]);

export function useManifestCheck(draft: Draft): ManifestCheck {
	const {api} = usePage();
	const text = JSON.stringify(manifestOf(draft));
	const ours = useMemo(() => problemsIn(draft), [draft]);
	const [answer, setAnswer] = useState<{of: string; answer?: CheckAnswer; problem?: string}>({of: ''});
	useEffect(() => {
		const ending = new AbortController();
		const timer = window.setTimeout(() => {
			api.post<CheckAnswer>('mirror/check', JSON.parse(text), ending.signal).then(
				checked => setAnswer({of: text, answer: checked}),
				(error: unknown) => {
					if (!wasAborted(error)) {
						setAnswer({of: text, problem: `It could not be checked: ${problemText(error)}`});
					}
				},
			);
		}, typingMs);
		return () => {
			window.clearTimeout(timer);
			ending.abort();
		};
	}, [api, text]);
	const told = answer.answer?.errors ?? [];
	const faults = [
		...ours,
		...told.map(({field, message, code}) => ({field: shownField(field), message: message ?? code ?? 'is wrong'})),
	];
	return {
		faults,
		advice: answer.answer?.advice ?? [],
		// What is newer than the answer is not known to be wrong, and the mirror looks again anyway.
		isWrong: ours.length > 0 || told.length > 0,
		isChecking: answer.of !== text,
		problem: answer.problem,
		fields: shownFields,
	};
}

export function faultsOf({faults}: ManifestCheck, field: string): readonly string[] {
	return faults.filter(fault => fault.field === field).map(({message}) => message);
}

/** `requirements.min_platform.7.0` stands at the platform's field, `tags.x` at that of the tags. */
function shownField(field: string): string {
	const name = field.replaceAll('[', '.').replaceAll(/["'\]]/g, '');
	return [...shownFields].find(shown => name === shown || name.startsWith(`${shown}.`)) ?? field;
}
