import test from 'ava';
import fc from 'fast-check';
import {versionMatcher} from '../../src/prefetch/versions.js';

for (const [text, meant, others] of [
	['^24', ['24.0.0', '24.4.1', '24.4', '24', 'v24.4.1'], ['23.4.0', '25.0.0', '24.4.1-rc1', 'latest', '']],
	['>=21.4 <25', ['21.4.0', '21.4', '24.4.1', 'v22'], ['21.3.9', '25.0.0', '2021.4.0']],
	['24.x', ['24.4.1', '24'], ['2.4', '240.1.0']],
	['24.4.1', ['24.4.1'], ['24.4.0', '24.4.10']],
	['1.0', ['1.0', '1.0.0', '1.0.7'], ['1.1', '0.9', '10.0']],
	['>=1.0 <2 || 4.x', ['1.0', '1.9.9', '4.2'], ['2.0', '3.0']],
	['20240612', ['20240612', '20240612.1', '20240612T101500Z'], ['20240613', '2024.6.12']],
	['>=20240101', ['20240101', '20240612', '20240612T002032Z', '20240612.1.2'], ['20231231', '24.4.1', '2024.6.12']],
	['>=20231127T1', ['>=20231127T1'], ['20231128']],
	['2021.4.0', ['2021.4.0'], ['2021.4.1']],
	['>=2024.6', ['2024.6.0', '2024-06-12', '2024.10.1'], ['2024.5.9', '2023.12.0']],
	['16.04', ['16.04', '16.4.1', '16.04.3'], ['16.10', '18.04']],
	['>=18.04', ['18.04', '20.04', '22.10'], ['16.04']],
	['20.1.0-rc1', ['20.1.0-rc1'], ['20.1.0', '20.1.0-rc2']],
	['>=20.1.0-rc1 <21', ['20.1.0-rc1', '20.1.0-rc2', '20.1.0', '20.2.0'], ['20.2.0-rc1', '20.0.9']],
	['<20.1', ['20.0.9', '19'], ['20.1.0', '20.1-rc1']],
	['2024*', ['20240612', '2024.1.0', '2024'], ['20230612']],
	['*', ['1.0', '', 'master-20150120T173920Z', '20.1.0-rc1'], []],
	['', ['1.0', 'anything'], []],
	['24.?.1', ['24.4.1'], ['24.10.1']],
	['{1,2}.*', ['1.0', '2.5'], ['3.0']],
	['master-*', ['master-20150120T173920Z'], ['release-20150120', '1.0']],
	['latest', ['latest'], ['1.0']],
	['1.2.3.4', ['1.2.3.4'], ['1.2.3']],
	['>=1.2 <2', ['1.2.3.4', '1.2.0.99'], ['1.1.9.9']],
] as const) {
	test(`the version ${text === '' ? 'of no text' : text} means what it should`, t => {
		const isMeant = versionMatcher(text);
		t.deepEqual(
			meant.filter(version => !isMeant(version)),
			[],
		);
		t.deepEqual(
			others.filter(version => isMeant(version)),
			[],
		);
	});
}

test('dates are compared as numbers', t => {
	const day = fc
		.date({min: new Date('1990-01-01'), max: new Date('2099-12-31'), noInvalidDate: true})
		.map(date => date.toISOString().slice(0, 10).replaceAll('-', ''));
	fc.assert(
		fc.property(day, day, (a, b) => {
			t.is(versionMatcher(`>=${a}`)(b), b >= a);
			t.is(versionMatcher(`<${a}`)(b), b < a);
		}),
	);
});

test('no text at all makes it throw, and every text means itself', t => {
	fc.assert(
		fc.property(fc.string({unit: 'grapheme'}), fc.string({unit: 'grapheme'}), (text, version) => {
			const isMeant = versionMatcher(text);
			isMeant(version);
			t.true(isMeant(text) || /[[\\{?*]/u.test(text) || text.trim() !== text);
		}),
	);
});
