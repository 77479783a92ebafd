/**
 * Where the file of a new image is dropped, or chosen by those who do not drag.
 */
import {classes, html, useState, type VNode} from './html.js';
import {bytesText, timeText} from './words.js';

export function FileDrop({
	file,
	kind,
	onFile,
}: {
	readonly file: File | undefined;
	/** What its first bytes say of its compression. */
	readonly kind: string;
	readonly onFile: (file: File) => void;
}): VNode {
	const [isOver, setOver] = useState(false);
	const take = (files: FileList | null | undefined): void => {
		const first = files?.[0];
		if (first !== undefined) {
			onFile(first);
		}
	};
	const over = (event: DragEvent): void => {
		event.preventDefault();
		setOver(true);
	};
	return html`<div
		class=${classes('drop', isOver && 'over', file !== undefined && 'chosen')}
		onDragEnter=${over}
		onDragOver=${over}
		onDragLeave=${() => setOver(false)}
		onDrop=${(event: DragEvent) => {
			event.preventDefault();
			setOver(false);
			take(event.dataTransfer?.files);
		}}
	>
		<label class="drop-label">
			<span>${file === undefined ? 'Drop the file of the image here, or choose it' : 'Another file'}</span>
			<input
				type="file"
				id="file"
				onChange=${(event: Event) => take(event.target instanceof HTMLInputElement ? event.target.files : undefined)}
			/>
		</label>
		${
			file !== undefined &&
			html`<p>
				<b>${file.name}</b> ${bytesText(file.size)}, ${kind === 'none' || kind === '' ? 'not compressed' : kind},
				changed ${timeText(new Date(file.lastModified).toISOString())}
			</p>`
		}
	</div>`;
}
