/**
 * What is asked of bundles, read strictly: which images go into one, and what may come in.
 *
 * Queries and bodies say the same by the same names, except that a query has one `uuid` or `source` at a time.
 */
import {TextDecoder} from 'node:util';
import type {ExportRequest, ImportOptions} from '../airgap/api.js';
import {booleanParam, scalarParam, type QueryParams} from '../image/query.js';
import {invalid} from '../image/params.js';
import {fieldsIn, flagField, refuseOthers, textField} from './fields.js';
import {readSelection, selectionIn, selectionParams} from './selections.js';

/** What another mirror has: a line of some 150 bytes for each image. */
export const maxHaveBytes = 32 * 1024 * 1024;

const bodyFields = ['selection', 'channel', 'all', 'origins', 'have', 'dryRun'];

export function exportIn(query: QueryParams): ExportRequest {
	refuseOthers(query, [...selectionParams, 'channel', 'all', 'origins']);
	const selection = selectionIn(query);
	const channel = textField({channel: scalarParam(query, 'channel')}, 'channel');
	const all = booleanParam(query, 'all');
	return {
		...(selection === undefined ? {} : {selection}),
		...(channel === undefined ? {} : {channel}),
		...(all === undefined ? {} : {all}),
		origins: booleanParam(query, 'origins') ?? true,
	};
}

export function readExport(body: unknown): ExportRequest {
	const fields = fieldsIn(body, bodyFields);
	const channel = textField(fields, 'channel');
	const all = flagField(fields, 'all');
	const have = textField(fields, 'have', maxHaveBytes);
	const dryRun = flagField(fields, 'dryRun');
	return {
		...(fields['selection'] === undefined ? {} : {selection: readSelection(fields['selection'])}),
		...(channel === undefined ? {} : {channel}),
		...(all === undefined ? {} : {all}),
		...(have === undefined ? {} : {have}),
		...(dryRun === undefined ? {} : {dryRun}),
		origins: flagField(fields, 'origins') ?? true,
	};
}

export function importIn(query: QueryParams): ImportOptions {
	refuseOthers(query, ['allowUnsigned', 'dryRun', 'key']);
	const key = textField({key: scalarParam(query, 'key')}, 'key');
	return {
		allowUnsigned: booleanParam(query, 'allowUnsigned') ?? false,
		dryRun: booleanParam(query, 'dryRun') ?? false,
		...(key === undefined ? {} : {key}),
	};
}

/** A body that is such a text. An empty one comes from a command that has failed: it would mean the far side has nothing. */
export function readHave(body: Buffer): string {
	if (body.length === 0) {
		throw invalid('body', 'must be what `imgmirror have` prints');
	}
	try {
		return new TextDecoder('utf-8', {fatal: true}).decode(body);
	} catch {
		throw invalid('body', 'must be text, as `imgmirror have` prints it');
	}
}
