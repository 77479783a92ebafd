/**
 * The form of a new image: a file that is dropped or chosen, what it is, and what the mirror says of that as one types.
 */
import {compressionOf, emptyDraft, systems, types, usualType, withFileName, type Draft} from './draft.js';
import {useCell} from './cell.js';
import {Check, FieldRow} from './field-row.js';
import {FileDrop} from './file-drop.js';
import {html, textIn, useEffect, useMemo, useState, type VNode} from './html.js';
import {faultsOf, useManifestCheck} from './manifest-check.js';
import {OriginPicker} from './origin-picker.js';
import {usePage} from './page.js';
import type {Begun} from './uploads.js';
import {bytesText, timeText} from './words.js';

export function PublishForm(): VNode {
	const {uploads, session, notices} = usePage();
	const {channels} = useCell(session.state);
	const usual = channels.find(channel => channel.default === true)?.name ?? channels[0]?.name ?? '';
	const [draft, setDraft] = useState<Draft>({...emptyDraft, channel: usual});
	const [file, setFile] = useState<File | undefined>(undefined);
	const [begun, setBegun] = useState<Begun | undefined>(undefined);
	const [unfinished, setUnfinished] = useState(() => uploads.unfinished());
	const [isTried, setTried] = useState(false);
	const [kind, setKind] = useState('');
	const check = useManifestCheck(draft);
	const isTouched = useMemo(() => draft.name !== '' || draft.version !== '' || file !== undefined, [draft, file]);

	useEffect(() => {
		let isOver = false;
		if (file !== undefined) {
			void file
				.slice(0, 8)
				.arrayBuffer()
				.then(first => !isOver && setKind(compressionOf(new Uint8Array(first))));
		}
		return () => {
			isOver = true;
		};
	}, [file]);

	const set =
		<K extends keyof Draft>(key: K) =>
		(value: Draft[K]): void =>
			setDraft(before => ({...before, [key]: value}));
	const text =
		(key: keyof Draft) =>
		(event: Event): void =>
			set(key)(textIn(event));
	const choose = (next: File): void => {
		const known = uploads.begun(next);
		setFile(next);
		setBegun(known);
		setDraft(before => known?.draft ?? withFileName(before, next.name));
	};
	const drop = (one: Begun): void => {
		void uploads.giveUpBegun(one).then(() => setUnfinished(uploads.unfinished()));
	};
	const faults = (field: string): readonly string[] =>
		isTried || (isTouched && !['name', 'version'].includes(field)) ? faultsOf(check, field) : [];
	const advice = isTouched ? check.advice.filter(({field}) => field !== undefined && field !== '') : [];
	const submit = (event: Event): void => {
		event.preventDefault();
		setTried(true);
		if (file === undefined) {
			notices.say('Choose the file of the image first.', 'bad');
		} else if (begun !== undefined || !check.isWrong) {
			void uploads.start(file, draft);
		} else {
			document.querySelector<HTMLElement>('.publish [aria-invalid="true"]')?.focus();
		}
	};
	const input = (field: string, key: keyof Draft, label: string, more: Readonly<Record<string, unknown>> = {}): VNode =>
		html`<${FieldRow} label=${label} faults=${faults(field)} advice=${advice.filter(one => one.field === field)}
			>${(props: object) => html`<input value=${draft[key]} onInput=${text(key)} disabled=${begun !== undefined} ...${props} ...${more} />`}<//
		>`;
	const select = (
		field: string,
		label: string,
		value: string,
		values: readonly string[],
		onPick: (value: string) => void,
	): VNode =>
		html`<${FieldRow} label=${label} faults=${faults(field)}
			>${(props: object) =>
				html`<select
					value=${value}
					onChange=${(event: Event) => onPick(textIn(event))}
					disabled=${begun !== undefined}
					...${props}
				>
					${values.map(one => html`<option key=${one} value=${one} selected=${one === value}>${one}</option>`)}
				</select>`}<//
		>`;

	return html`<form class="publish" onSubmit=${submit} novalidate>
		${
			unfinished.length > 0 && file === undefined
				? html`<div class="unfinished">
						${unfinished.map(
							one =>
								html`<p key=${one.id}>
									<span
										><b>${one.draft.name} ${one.draft.version}</b> was not finished (begun ${timeText(one.beganAt)}).
										Choose <b>${one.fileName}</b> (${bytesText(one.size)}) again to go on with it.</span
									>
									<button type="button" class="small" onClick=${() => drop(one)}>Give up</button>
								</p>`,
						)}
					</div>`
				: null
		}
		<${FileDrop} file=${file} kind=${kind} onFile=${choose} />
		${
			begun !== undefined &&
			html`<p class="hint" role="status">
				This file is on its way already, as it was described then (${timeText(begun.beganAt)}). It goes on where it was.
			</p>`
		}
		<div class="fields">
			${input('name', 'name', 'Name', {required: true, autocomplete: 'off', spellcheck: false})}
			${input('version', 'version', 'Version', {required: true, autocomplete: 'off', spellcheck: false})}
			${select('os', 'OS', draft.os, systems, os => setDraft(before => ({...before, os, type: usualType(os)})))}
			${select('type', 'Type', draft.type, types, set('type'))}
			<${FieldRow} label="Description" wide faults=${faults('description')}
				>${(props: object) =>
					html`<textarea
						rows="2"
						value=${draft.description}
						onInput=${text('description')}
						disabled=${begun !== undefined}
						...${props}
					></textarea>`}<//
			>
			${input('homepage', 'homepage', 'Home page', {type: 'url', placeholder: 'https://'})}
			<${OriginPicker} value=${draft.origin} faults=${faults('origin')} onChange=${set('origin')} />
			${
				channels.length > 0 &&
				select(
					'channel',
					'Channel',
					draft.channel,
					channels.map(({name}) => name),
					set('channel'),
				)
			}
			${
				draft.type === 'zvol' &&
				html`
					${input('image_size', 'imageSize', 'Disk size, MiB', {inputmode: 'numeric', required: true})}
					${input('nic_driver', 'nicDriver', 'Network driver')} ${input('disk_driver', 'diskDriver', 'Disk driver')}
					${input('cpu_type', 'cpuType', 'CPU type')}
				`
			}
		</div>
		<details>
			<summary>Requirements and tags</summary>
			<div class="fields">
				${input('requirements.min_ram', 'minRam', 'RAM at least, MiB', {inputmode: 'numeric'})}
				${input('requirements.max_ram', 'maxRam', 'RAM at most, MiB', {inputmode: 'numeric'})}
				${input('requirements.min_platform', 'minPlatform', 'Platform at least', {placeholder: '20240101T000000Z'})}
				${input('requirements.brand', 'brand', 'Brand')}
				<${FieldRow} label="Tags, KEY=VALUE a line" wide faults=${faults('tags')}
					>${(props: object) =>
						html`<textarea
							rows="2"
							value=${draft.tags}
							onInput=${text('tags')}
							disabled=${begun !== undefined}
							spellcheck=${false}
							...${props}
						></textarea>`}<//
				>
				<${Check} label="Needs an SSH key" checked=${draft.sshKey} onChange=${set('sshKey')} />
			</div>
		</details>
		<div class="fields">
			<${Check} label="Public: everybody sees it" checked=${draft.public} onChange=${set('public')} />
			<${Check} label="Activate: clients can import it at once" checked=${draft.activate} onChange=${set('activate')} />
		</div>
		<${CheckResult} check=${check} isShown=${isTouched} />
		<div class="buttons">
			<button type="submit" class="primary">${begun === undefined ? 'Publish' : 'Go on'}</button>
		</div>
	</form>`;
}

function CheckResult({
	check,
	isShown,
}: {
	readonly check: ReturnType<typeof useManifestCheck>;
	readonly isShown: boolean;
}): VNode {
	const general = check.advice.filter(({field}) => field === undefined || field === '');
	const others = check.faults.filter(({field}) => !check.fields.has(field));
	const state =
		check.problem ?? (check.isWrong ? 'Something is missing or wrong.' : 'The mirror would take this manifest.');
	return html`<div class="check-result" role="status">
		${isShown && html`<p class=${check.problem === undefined && !check.isWrong ? 'good' : 'bad'}>${check.isChecking ? 'Checking …' : state}</p>`}
		${isShown && others.map(({field, message}) => html`<p key=${field} class="bad">${field}: ${message}</p>`)}
		${isShown && general.map(({message}) => html`<p key=${message} class="muted">${message}</p>`)}
	</div>`;
}
