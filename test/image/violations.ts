/**
 * Every violation of contract 4.2, as a change to a manifest that is right, with what is said of it.
 *
 * The tests of create, import and update run the rows that can happen there.
 */
import {uuid} from './manifests.js';

export interface Violation {
	readonly what: string;
	/** Added to a manifest that is right. `undefined`: taken out. */
	readonly more: Readonly<Record<string, unknown>>;
	/** Fields and codes, in order: `name Invalid`. */
	readonly errors: readonly string[];
	/** What is right is a zvol. */
	readonly zvol?: true;
	/** A new image cannot be at fault in this way, or another rule comes first. */
	readonly updateOnly?: true;
	/** An update of this field is refused as such. */
	readonly newOnly?: true;
}

const platform = '20140101T000000Z';
const deep = (levels: number): unknown => JSON.parse('{"a":'.repeat(levels) + '1' + '}'.repeat(levels)) as unknown;

function invalid(field: string, values: readonly unknown[], more: Partial<Violation> = {}): readonly Violation[] {
	return values.map(value => ({
		what: `${field} is ${JSON.stringify(value)}`.slice(0, 90),
		more: {[field]: value},
		errors: [`${field} Invalid`],
		...more,
	}));
}

function requirement(
	name: string,
	values: readonly unknown[],
	errors = [`requirements.${name} Invalid`],
): readonly Violation[] {
	return values.map(value => ({
		what: `requirements.${name} is ${JSON.stringify(value)}`.slice(0, 90),
		more: {requirements: {[name]: value}},
		errors,
	}));
}

export const violations: readonly Violation[] = [
	...['name', 'version', 'type', 'os'].map((field): Violation => ({
		what: `${field} is missing`,
		more: {[field]: undefined},
		errors: [`${field} MissingParameter`],
		...(field === 'type' ? {newOnly: true} : {}),
	})),
	...invalid('v', ['x', -1, [], {}, true, '', ' ', null], {newOnly: true}),
	...invalid('name', ['', 'a'.repeat(1025), 'ä', 'a\0', 'a"b', 'a+b', "a'b", 'a\n', 5, [], {}, true]),
	...invalid('version', ['', '1'.repeat(513), '1 0', '1\0', 'ä', true, [], {}]),
	...invalid('description', ['d'.repeat(10_241), 5, [], {}, false]),
	...invalid('homepage', ['ftp://x', 'javascript:alert(1)', `http://${'x'.repeat(1020)}`, 'x', '', 5, {}, [], true]),
	...invalid('eula', ['file:///etc/passwd', `https://${'x'.repeat(1020)}`, '', 5]),
	...invalid('public', ['x', 0, 1, 'TRUE', {}, []]),
	...invalid('disabled', ['x', 'true', 'false', 0, {}, []], {newOnly: true}),
	...invalid('type', ['x', '', 'null', 'constructor', 'toString', '__proto__', 5, null, {}, []], {newOnly: true}),
	...invalid('os', ['x', '', 'null', 'constructor', 'hasOwnProperty', 5, {}, []]),
	...['nic_driver', 'disk_driver', 'cpu_type'].flatMap((field): readonly Violation[] => [
		{what: `a zvol has no ${field}`, more: {[field]: undefined}, errors: [`${field} MissingParameter`], zvol: true},
		...invalid(field, [5, {}, [], true], {zvol: true}),
		...invalid(field, ['virtio', 'x'], {updateOnly: true}),
	]),
	{
		what: 'a new zvol has no image_size',
		more: {image_size: undefined},
		errors: ['image_size Invalid'],
		zvol: true,
		newOnly: true,
	},
	{
		what: 'a zvol loses its image_size',
		more: {image_size: undefined},
		errors: ['image_size MissingParameter'],
		zvol: true,
		updateOnly: true,
	},
	...invalid('image_size', ['x', '1.5', 1.5, '', [], {}, true, -1, '-1', '1e3'], {zvol: true}),
	...invalid('image_size', [1024], {updateOnly: true}),
	...invalid('icon', [true, false, 'x'], {newOnly: true}),
	...invalid('origin', ['x', 'A0000000-0000-4000-8000-000000000001', 5, [], {}], {newOnly: true}),
	...invalid('acl', ['x', {}, 5, ['x'], [uuid(1), 5, 'x'], [null], true]),
	...invalid('users', ['x', {}, 5, [{}], [{name: 'a', b: 1}], [null], ['root'], [{name: 5}], [[]]]),
	{what: 'two users are wrong', more: {users: [{}, {name: 'a'}, 5]}, errors: ['users Invalid', 'users Invalid']},
	...invalid('billing_tags', [5, {}, [5], ['b'.repeat(129)], 'b'.repeat(129), [null]]),
	...invalid('traits', ['x', 5, [], {a: 1}, {a: null}, {a: {}}]),
	...invalid('tags', ['x', 5, [], true, {a: 'x'.repeat(102_400)}]),
	...invalid('tags', [deep(150)]),
	...invalid('inherited_directories', ['x', {}, 5, [5]]),
	{
		what: 'inherited directories are of another type',
		more: {inherited_directories: ['/opt']},
		errors: ['inherited_directories Invalid'],
		zvol: true,
	},
	...invalid('generate_passwords', ['x', 'true', 'false', 0, {}, []]),
	...invalid('requirements', ['x', 5, [], true]),
	...requirement('networks', [
		'x',
		{},
		5,
		[null],
		[{}],
		[{name: 'a'}],
		[{name: 'a', description: 'b', c: 1}],
		['net0'],
	]),
	{
		what: 'two networks are wrong',
		more: {requirements: {networks: [{}, null]}},
		errors: ['requirements.networks Invalid', 'requirements.networks Invalid'],
	},
	...requirement('brand', [5, {}, [], true]),
	...requirement('ssh_key', ['x', 1, {}, []]),
	...requirement('min_ram', ['5', 1.5, {}, [], true, -1]),
	...requirement('max_ram', ['5', 1.5, {}, []]),
	{
		what: 'min_ram is above max_ram',
		more: {requirements: {min_ram: 2, max_ram: 1}},
		errors: ['requirements.max_ram Invalid'],
	},
	...['min_platform', 'max_platform'].flatMap(name =>
		requirement(name, [
			...['x', 5, [], [platform], {}, {'7.0': null}, {'7.0': 5}, {'7.0': 'x'}, {'7.0': '20110101T000000Z'}],
			...['20141301T000000Z', '20140001T000000Z', '20140132T000000Z', '20140100T000000Z', '20140101T240000Z'].map(
				value => ({'7.0': value}),
			),
			...['20140101T006000Z', '20140101T000060Z', '20140101T000000', '20140101 000000Z', `${platform}\n`].map(
				value => ({'7.0': value}),
			),
		]),
	),
	...requirement('bootrom', ['bios', 'uefi', 'x', 5], ['requirements.bootrom MissingParameter']),
	{
		what: 'a bootrom is of another brand',
		more: {requirements: {brand: 'kvm', bootrom: 'uefi'}},
		errors: ['requirements.bootrom Invalid'],
	},
	{
		what: 'a bootrom is unknown',
		more: {requirements: {brand: 'bhyve', bootrom: 'x'}},
		errors: ['requirements.bootrom Invalid'],
	},
	...requirement('password', [true], ['password Invalid']),
	{
		what: 'requirements have unknown keys',
		more: {requirements: JSON.parse('{"x":1,"__proto__":2,"constructor":3}') as unknown},
		errors: ['x Invalid', '__proto__ Invalid', 'constructor Invalid'],
	},
	{
		what: 'much is wrong with the requirements',
		more: {requirements: {x: 1, bootrom: 'x', max_platform: 5, min_ram: 1.5, ssh_key: 5, brand: 5, networks: 5}},
		errors: [
			...['networks', 'brand', 'ssh_key', 'min_ram', 'max_platform', 'bootrom'].map(
				name => `requirements.${name} Invalid`,
			),
			'x Invalid',
		],
	},
];

/** A manifest for CreateImage that nothing is wrong with. */
export function right(zvol = false): Record<string, unknown> {
	return {
		name: 'base',
		version: '1.0.0',
		type: zvol ? 'zvol' : 'zone-dataset',
		os: 'smartos',
		...(zvol ? {nic_driver: 'virtio', disk_driver: 'virtio', cpu_type: 'host', image_size: 1024} : {}),
	};
}

/** Without the fields that are `undefined`. */
export function json(fields: object): Record<string, unknown> {
	return JSON.parse(JSON.stringify(fields)) as Record<string, unknown>;
}

/** As a fault is written in the table. */
export function faultText({field, code}: {readonly field: string; readonly code: string}): string {
	return `${field} ${code}`;
}
