/**
 * The dashboard and the alert rules that are shipped name only numbers that the mirror keeps, and leave none out.
 */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {Metrics} from '../src/host.js';

const folder = fileURLToPath(new URL('../../smf/', import.meta.url));

interface Panel {
	readonly id: number;
	readonly type: string;
	readonly title?: string;
	readonly description?: string;
	readonly gridPos: {readonly x: number; readonly y: number; readonly w: number; readonly h: number};
	readonly datasource?: {readonly type: string; readonly uid: string};
	readonly fieldConfig?: {readonly defaults: {readonly unit?: string}};
	readonly targets?: readonly {
		readonly refId: string;
		readonly expr: string;
		readonly legendFormat: string;
		readonly datasource: {readonly uid: string};
	}[];
}

interface Dashboard {
	readonly uid: string;
	readonly title: string;
	readonly id?: unknown;
	readonly panels: readonly Panel[];
	readonly templating: {
		readonly list: readonly {readonly name: string; readonly type: string; readonly query: unknown}[];
	};
}

const dashboard = JSON.parse(readFileSync(join(folder, 'grafana-dashboard.json'), 'utf8')) as Dashboard;
const panels = dashboard.panels.filter(({type}) => type !== 'row');

/** Metrics by name, with the labels they may have. */
const known = await knownMetrics();

async function knownMetrics(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
	const metrics = new Metrics();
	metrics.collectProcess();
	await metrics.text();
	const names = new Map<string, ReadonlySet<string>>();
	for (const {name, type} of metrics.registry.getMetricsAsArray()) {
		// Its type does not say so, but every metric has them.
		const {labelNames} = metrics.registry.getSingleMetric(name) as unknown as {readonly labelNames: readonly string[]};
		names.set(name, new Set(labelNames));
		if (String(type) === 'histogram') {
			names.set(`${name}_bucket`, new Set([...labelNames, 'le']));
			names.set(`${name}_sum`, new Set(labelNames));
			names.set(`${name}_count`, new Set(labelNames));
		}
	}
	return names;
}

/** Prometheus gives them to everything that it reads. */
const given = ['instance', 'job'];
const functions =
	/^(sum|max|min|count|by|on|and|or|unless|rate|increase|changes|absent|time|vector|histogram_quantile|Inf|__rate_interval|label_values)$/;

/** What is wrong with an expression: a metric, label, function or bracket that is none. */
function faultsOf(expr: string): readonly string[] {
	const faults: string[] = [];
	const used = new Set(given);
	const selectors = /\b((?:imgmirror|process|nodejs)_\w+)(?:\{([^}]*)\})?/g;
	for (const [, name = '', matchers = ''] of expr.matchAll(selectors)) {
		const labels = known.get(name);
		if (labels === undefined) {
			faults.push(`${name} is no metric`);
			continue;
		}
		for (const label of labels) {
			used.add(label);
		}
		for (const [, label = '', operator = '', value = ''] of matchers.matchAll(/(\w*)(=~|!~|!=|=)"([^"]*)"/g)) {
			if (!labels.has(label) && !given.includes(label)) {
				faults.push(`${name} has no label ${label}`);
			}
			if (operator.endsWith('~') && !value.includes('$')) {
				new RegExp(`^(?:${value})$`);
			}
		}
		if (matchers.replaceAll(/\w+(?:=~|!~|!=|=)"[^"]*"/g, '').replaceAll(/[, ]/g, '') !== '') {
			faults.push(`${name} is chosen by ${matchers}`);
		}
	}
	for (const [, names = ''] of expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)) {
		faults.push(
			...names
				.split(', ')
				.filter(label => !used.has(label))
				.map(label => `there is no label ${label}`),
		);
	}
	const rest = expr
		.replaceAll(selectors, '')
		.replaceAll(/\b(?:by|on) \([^)]*\)/g, '')
		.replaceAll(/\[(?:\d+[smhd]|\$__rate_interval)\]/g, '');
	for (const [word = ''] of rest.matchAll(/[A-Za-z_]\w*/g)) {
		if (!functions.test(word) && word !== 'e9') {
			faults.push(`${word} is not understood`);
		}
	}
	if (expr.split('(').length !== expr.split(')').length || /[{}[\]]/.test(rest)) {
		faults.push('its brackets do not match');
	}
	return faults;
}

test('the reader of expressions finds what is wrong', t => {
	for (const [expr, fault] of [
		['imgmirror_nothing', 'imgmirror_nothing is no metric'],
		['imgmirror_store_bytes{cache="hit"}', 'imgmirror_store_bytes has no label cache'],
		['sum by (source) (imgmirror_store_bytes)', 'there is no label source'],
		['sum(rate(imgmirror_store_bytes[5m])', 'its brackets do not match'],
		['avgg(imgmirror_store_bytes)', 'avgg is not understood'],
		['imgmirror_client_bytes_total{cache=~"hit|join}', 'imgmirror_client_bytes_total is chosen by cache=~"hit|join'],
		['imgmirror_request_seconds_bucket{le="1"}', undefined],
	] as const) {
		t.is(faultsOf(expr)[0], fault);
	}
});

test('every panel can be read: what it shows, of what, in which unit', t => {
	t.is(dashboard.uid, 'imgmirror');
	t.is(dashboard.id, undefined);
	t.true(panels.length > 30);
	const titles = panels.map(({title}) => title);
	t.deepEqual(titles, [...new Set(titles)]);
	t.is(new Set(dashboard.panels.map(({id}) => id)).size, dashboard.panels.length);
	for (const {title, description, fieldConfig, datasource, targets = []} of panels) {
		t.regex(title ?? '', /^\p{Lu}/u);
		t.regex(description ?? '', /^\p{Lu}.*\.$/u, title);
		t.regex(fieldConfig?.defaults.unit ?? '', /^(none|short|s|bytes|Bps|reqps|percentunit)$/, title);
		t.is(datasource?.uid, '${datasource}', title);
		t.true(targets.length > 0, title);
		t.is(new Set(targets.map(({refId}) => refId)).size, targets.length, title);
		t.true(targets.every(one => one.datasource.uid === '${datasource}'));
	}
});

test('panels stand beside each other, not on each other, below a row each', t => {
	const cells = new Set<string>();
	for (const {gridPos, title, type} of dashboard.panels) {
		const {x, y, w, h} = gridPos;
		t.true(x >= 0 && x + w <= 24 && h > 0, title);
		t.is(type === 'row', w === 24 && h === 1, title);
		for (let across = x; across < x + w; across++) {
			for (let down = y; down < y + h; down++) {
				const cell = `${across} ${down}`;
				t.false(cells.has(cell), title);
				cells.add(cell);
			}
		}
	}
	t.is(dashboard.panels[0]?.type, 'row');
});

test('the dashboard asks for what there is, of the mirror that is chosen', t => {
	for (const {title, targets = []} of panels) {
		for (const {expr, legendFormat} of targets) {
			t.deepEqual(faultsOf(expr), [], `${title ?? ''}: ${expr}`);
			for (const [selector, name = ''] of expr.matchAll(/\b(imgmirror_\w+)(\{[^}]*\})?/g)) {
				t.true(
					selector.includes('instance=~"$instance"') ||
						(name === 'imgmirror_build_info' && expr.includes('on (instance)')),
					expr,
				);
			}
			const labels = [...known].filter(([name]) => expr.includes(name)).flatMap(([, names]) => [...names]);
			for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
				t.true([...given, ...labels].includes(label), `${title ?? ''}: ${legendFormat}`);
			}
			// What is added up over a label cannot be told apart by it.
			const by = /^(?:sum|count|histogram_quantile).*? by \(([^)]*)\)/.exec(expr)?.[1]?.split(', ');
			if (by !== undefined) {
				t.true(
					[...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].every(([, label = '']) => by.includes(label)),
					`${title ?? ''}: ${legendFormat}`,
				);
			}
		}
	}
	const [source, instance] = dashboard.templating.list;
	t.like(source, {name: 'datasource', type: 'datasource', query: 'prometheus'});
	t.like(instance, {name: 'instance', query: {query: 'label_values(imgmirror_build_info, instance)'}});
});

test('counters are shown as they rise, other numbers as they are', t => {
	const all = [...panels.flatMap(({targets = []}) => targets.map(({expr}) => expr)), ...rules().map(({expr}) => expr)];
	for (const expr of all) {
		for (const [around, name = '', suffix = ''] of expr.matchAll(
			/(?:\w+\()?\bimgmirror_(\w+?)(_total|_bucket|_sum|_count)?\b(?:\{[^}]*\})?(?:\[[^\]]*\])?/g,
		)) {
			const rises = /^(rate|increase)\(/.test(around) && around.endsWith(']');
			t.is(rises, suffix !== '', `${name}${suffix} in ${expr}`);
		}
	}
});

test('no number that the mirror keeps is left out', t => {
	const shown = panels.flatMap(({targets = []}) => targets.map(({expr}) => expr)).join('\n');
	const left = [...known.keys()]
		.filter(name => name.startsWith('imgmirror_') && !/_(bucket|sum|count)$/.test(name))
		.filter(name => !new RegExp(`\\b${name}(_bucket)?\\b`).test(shown));
	t.deepEqual(left, []);
});

interface Rule {
	readonly alert: string;
	readonly expr: string;
	readonly for: string;
	readonly severity: string;
	readonly summary: string;
	readonly description: string;
}

/**
 * Reads the one form of YAML that the rules are written in: every value but lists and maps stands in single quotes, and
 * the keys of a rule come in one order. Whatever is written otherwise throws.
 */
function rules(): readonly Rule[] {
	const lines = readFileSync(join(folder, 'alerts.yml'), 'utf8')
		.split('\n')
		.filter(line => !/^#|^$/.test(line));
	const take = (pattern: RegExp): string => {
		const line = lines.shift() ?? '(the end)';
		const found = pattern.exec(line);
		if (found === null) {
			throw new Error(`${line} is not like ${pattern.source}`);
		}
		return (found[1] ?? '').replaceAll("''", "'");
	};
	const value = "'((?:[^']|'')+)'$";
	take(/^groups:$/);
	take(new RegExp(`^ {2}- name: ${value}`));
	take(/^ {4}rules:$/);
	const found: Rule[] = [];
	while (lines.length > 0) {
		const alert = take(new RegExp(`^ {6}- alert: ${value}`));
		const expr = take(new RegExp(`^ {8}expr: ${value}`));
		const lasting = take(new RegExp(`^ {8}for: ${value}`));
		take(/^ {8}labels:$/);
		const severity = take(new RegExp(`^ {10}severity: ${value}`));
		take(/^ {8}annotations:$/);
		const summary = take(new RegExp(`^ {10}summary: ${value}`));
		const description = take(new RegExp(`^ {10}description: ${value}`));
		found.push({alert, expr, for: lasting, severity, summary, description});
	}
	return found;
}

test('every alert says what is wrong and what to do, and asks for what there is', t => {
	const all = rules();
	t.true(all.length >= 15);
	t.is(new Set(all.map(({alert}) => alert)).size, all.length);
	for (const {alert, expr, for: lasting, severity, summary, description} of all) {
		t.regex(alert, /^Imgmirror[A-Z][A-Za-z]+$/);
		t.regex(severity, /^(critical|warning|info)$/, alert);
		t.regex(lasting, /^\d+[mhd]$/, alert);
		t.deepEqual(faultsOf(expr), [], alert);
		t.regex(summary, /^[A-Z{][^\n]*[^.]$|^imgmirror [^\n]*[^.]$/, alert);
		t.regex(description, /^[A-Z{'][^\n]*\.$/, alert);
		const labels = labelsOf(expr);
		for (const [, label = ''] of `${summary} ${description}`.matchAll(/\$labels\.(\w+)/g)) {
			t.true(labels.has(label), `${alert}: ${label}`);
		}
		const templates = [...`${summary} ${description}`.matchAll(/\{\{(.*?)\}\}/g)].map(([, inner = '']) => inner.trim());
		t.true(
			templates.every(inner => /^(\$labels\.\w+|\$value( \| humanize(Duration|Percentage)?)?)$/.test(inner)),
			alert,
		);
	}
	for (const severity of ['critical', 'warning', 'info']) {
		t.true(all.some(one => one.severity === severity));
	}
});

/** Which labels are left of what an expression asks for. */
function labelsOf(expr: string): ReadonlySet<string> {
	if (expr.startsWith('absent(')) {
		return new Set();
	}
	const by = /^\w+ by \(([^)]*)\)/.exec(expr)?.[1];
	if (by !== undefined) {
		return new Set(by.split(', '));
	}
	const [, first = ''] = /\b((?:imgmirror|process|nodejs)_\w+)/.exec(expr) ?? [];
	return new Set([...given, ...(known.get(first) ?? [])]);
}

test('what must wake somebody is among the alerts', t => {
	const exprs = rules()
		.map(({expr}) => expr)
		.join('\n');
	for (const name of [
		'imgmirror_ready',
		'imgmirror_source_up',
		'imgmirror_catalog_age_seconds',
		'imgmirror_verification_failures_total',
		'imgmirror_disk_low',
		'imgmirror_disk_errors_total',
		'imgmirror_webhook_deliveries_total',
		'imgmirror_damaged_images',
		'imgmirror_scrub_failures_total',
		'imgmirror_certificate_expires_timestamp_seconds',
		'process_start_time_seconds',
	]) {
		t.true(exprs.includes(name), name);
	}
});
