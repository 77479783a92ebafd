/**
 * Lines over time, drawn by uPlot into a canvas; what they say stands beside as text, for those who do not see it.
 *
 * Colours are the style sheet's, read from it whenever the theme changes.
 */
import uPlot from 'uplot';
import {stacked, type Lines} from './history-series.js';
import {html, useEffect, useRef, useState, type ComponentChildren, type VNode} from './html.js';
import {themeChanged} from './theme.js';
import {clockText} from './words.js';

export interface ChartProps {
	readonly title: string;
	/** The whole in a sentence. */
	readonly summary: string;
	readonly lines: Lines;
	/** As areas upon each other, instead of lines. */
	readonly isStacked?: boolean;
	readonly format: (value: number) => string;
	/** Names of colours in the style sheet, for each line. */
	readonly colour: (name: string, at: number) => string;
	/** What the names stand for, with numbers. */
	readonly legend?: readonly (readonly [name: string, text: string])[];
	/** The highest value there is; else as high as the lines are. */
	readonly top?: number;
	/** Seconds since the epoch. */
	readonly range: readonly [from: number, to: number];
	readonly children?: ComponentChildren;
}

const height = 150;
const syncKey = 'imgmirror';

export function Chart(props: ChartProps): VNode {
	const {title, summary, lines, legend = [], colour} = props;
	const frame = useRef<HTMLDivElement>(null);
	const [theme, setTheme] = useState(0);
	useEffect(() => {
		const redraw = (): void => setTheme(before => before + 1);
		const system = window.matchMedia('(prefers-color-scheme: dark)');
		window.addEventListener(themeChanged, redraw);
		system.addEventListener('change', redraw);
		return () => {
			window.removeEventListener(themeChanged, redraw);
			system.removeEventListener('change', redraw);
		};
	}, []);
	const names = lines.lines.map(({name}) => name).join(' ');
	const plot = useRef<uPlot | undefined>(undefined);
	const [at, setAt] = useState<number | undefined>(undefined);
	const isEmpty = lines.times.length < 2 || lines.lines.length === 0;

	useEffect(() => {
		const {current} = frame;
		if (current === null || isEmpty) {
			return undefined;
		}
		const made = new uPlot(optionsOf(props, current, setAt), dataOf(props), current);
		plot.current = made;
		const observer = new ResizeObserver(() => {
			if (current.clientWidth > 0 && current.clientWidth !== made.width) {
				made.setSize({width: current.clientWidth, height});
			}
		});
		observer.observe(current);
		return () => {
			observer.disconnect();
			made.destroy();
			plot.current = undefined;
		};
		// Other names are another chart; other numbers are not.
	}, [names, theme, isEmpty, props.isStacked]);

	useEffect(() => {
		const {current} = plot;
		if (current !== undefined) {
			current.setData(dataOf(props), false);
			current.batch(() => {
				current.setScale('x', {min: props.range[0], max: props.range[1]});
				const [min, max] = heightOf(props);
				current.setScale('y', {min, max});
			});
		}
	}, [lines, props.range[0], props.range[1]]);

	return html`<figure class="chart">
		<figcaption>
			<h3>${title}</h3>
			<p>${at === undefined ? summary : pointText(props, at)}</p>
		</figcaption>
		${
			isEmpty
				? html`<div class="chart-frame chart-none">Nothing to draw yet</div>`
				: html`<div class="chart-frame" ref=${frame} role="img" aria-label=${`${title}: ${summary}`}></div>`
		}
		${
			legend.length > 0 &&
			html`<ul class="legend">
				${legend.map(
					([name, text]) =>
						html`<li key=${name}>
							<i
								class=${`swatch ${colour(
									name,
									lines.lines.findIndex(line => line.name === name),
								)}`}
							></i
							>${name} <b>${at === undefined ? text : valueText(props, name, at)}</b>
						</li>`,
				)}
			</ul>`
		}
	</figure>`;
}

/** The topmost area first: those below cover the rest of it. */
function dataOf({lines, isStacked = false}: ChartProps): uPlot.AlignedData {
	const drawn = isStacked ? [...stacked(lines.lines)].reverse() : lines.lines;
	return [[...lines.times], ...drawn.map(({values}) => [...values])];
}

function heightOf({lines, isStacked = false, top}: ChartProps): readonly [number, number] {
	if (top !== undefined) {
		return [0, top];
	}
	const drawn = isStacked ? stacked(lines.lines).slice(-1) : lines.lines;
	const most = drawn.reduce(
		(max, {values}) => values.reduce<number>((one, value) => Math.max(one, value ?? 0), max),
		0,
	);
	return [0, most === 0 ? 1 : most * 1.1];
}

/** What stands under the pointer. */
function pointText(props: ChartProps, at: number): string {
	const {lines, isStacked = false} = props;
	const time = clockText(new Date((lines.times[at] ?? 0) * 1000).toISOString()).slice(0, 5);
	const values = lines.lines.map(({name}) => (lines.lines.length === 1 ? '' : `${name} `) + valueText(props, name, at));
	return isStacked ? time : `${time}: ${values.join(', ')}`;
}

function valueText({lines, format}: ChartProps, name: string, at: number): string {
	const value = lines.lines.find(line => line.name === name)?.values[at];
	return value === undefined || value === null ? 'nothing known' : format(value);
}

function optionsOf(props: ChartProps, frame: HTMLElement, onPoint: (at: number | undefined) => void): uPlot.Options {
	const {lines, isStacked = false, format, colour} = props;
	const colourOf = (name: string): string => readColour(frame, name);
	const [text, grid] = [colourOf('c-muted'), colourOf('c-line')];
	const axis: uPlot.Axis = {
		stroke: text,
		grid: {stroke: grid, width: 1},
		ticks: {stroke: grid, width: 1, size: 4},
		font: '11px system-ui, sans-serif',
	};
	const series = lines.lines.map(({name}, at): uPlot.Series => {
		const stroke = colourOf(colour(name, at));
		return {
			label: name,
			stroke,
			...(isStacked ? {fill: stroke, width: 0} : {width: 1.5}),
			points: {show: false},
			spanGaps: false,
		};
	});
	return {
		width: Math.max(200, frame.clientWidth),
		height,
		padding: [10, 18, 0, 0],
		series: [{}, ...(isStacked ? series.reverse() : series)],
		legend: {show: false},
		hooks: {setCursor: [({cursor}) => onPoint(cursor.idx ?? undefined)]},
		cursor: {sync: {key: syncKey}, drag: {x: false, y: false}, points: {show: !isStacked}},
		scales: {
			x: {time: true, range: () => [props.range[0], props.range[1]]},
			y: {range: () => [...heightOf(props)] as [number, number]},
		},
		axes: [
			{...axis, space: 70, size: 28, values: '{HH}:{mm}'},
			{...axis, space: 32, size: 68, values: (_, values) => values.map(value => format(value))},
		],
	};
}

/** Style sheets have names for colours that differ by theme; a canvas needs the colour itself. */
function readColour(frame: HTMLElement, name: string): string {
	const probe = document.createElement('i');
	probe.className = `swatch ${name}`;
	frame.append(probe);
	const {color} = getComputedStyle(probe);
	probe.remove();
	return color;
}
