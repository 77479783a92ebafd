/**
 * `imgmirror images list`: every image the mirror knows, in imgadm's columns.
 */
import {columnsOf, orderOf, type OneColumn} from './image-columns.js';
import {readFilters} from './image-filters.js';
import {exitCodes} from './exit-codes.js';
import {list} from './fields.js';
import type {CliIo} from './io.js';
import {withOperator} from './operator-client.js';
import type {Whereabouts} from './reach.js';
import {readRow, type Row} from './wire.js';
import {painted, painter, printable, type Cell} from './words.js';

export interface ListOptions {
	readonly where: Whereabouts;
	/** `NAME=VALUE` */
	readonly filters: readonly string[];
	readonly columns: string;
	readonly order: string;
	/** Also what nobody is offered. */
	readonly all: boolean;
	readonly header: boolean;
	readonly parsable: boolean;
	readonly json: boolean;
}

export async function listImages(options: ListOptions, io: CliIo): Promise<number> {
	const {where, all, json, parsable} = options;
	const filter = readFilters(options.filters, {all});
	const columns = columnsOf(options.columns);
	const order = orderOf(options.order);
	const answer = await withOperator(where, io, server => server.get(`/mirror/images${filter.query}`));
	const found = list(value => ({value, row: readRow(value)}))(answer)
		.filter(({row}) => filter.shows(row))
		.sort((a, b) => order(a.row, b.row));
	if (json) {
		const values = found.map(({value}) => value);
		io.stdout.write(`${JSON.stringify(values, null, 2)}\n`);
		return exitCodes.ok;
	}
	const rows = found.map(({row}) => row);
	io.stdout.write(parsable ? parsableLines(rows, columns) : tableOf(rows, columns, options.header, io));
	return exitCodes.ok;
}

/** As zfs and dladm do it: ":" between fields, "\" before one in a field. */
function parsableLines(rows: readonly Row[], columns: readonly OneColumn[]): string {
	const field = (text: string): string => printable(text).replaceAll(/[\\:]/g, '\\$&');
	return rows.map(row => `${columns.map(column => field(column.cell(row, true))).join(':')}\n`).join('');
}

function tableOf(rows: readonly Row[], columns: readonly OneColumn[], header: boolean, io: CliIo): string {
	// As imgadm: nothing found, nothing printed.
	if (rows.length === 0) {
		return '';
	}
	const heads = header ? [columns.map(({name}): Cell => ({text: name.toUpperCase(), colour: 'bold'}))] : [];
	return painted([...heads, ...rows.map(row => columns.map(column => cellOf(row, column)))], {
		paint: painter(io.stdout, io),
		right: columns.map(({right}) => (right ? 'r' : ' ')).join(''),
	});
}

function cellOf(row: Row, column: OneColumn): Cell {
	const text = column.cell(row, false);
	if (column.name === 'here') {
		return {text, colour: row.here === 'here' ? 'green' : row.here === 'away' ? 'dim' : 'yellow'};
	}
	return {text, colour: row.held !== undefined || row.vanished || row.state !== 'active' ? 'dim' : undefined};
}
