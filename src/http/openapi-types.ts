/**
 * How the API is described as data: operations, their parameters and answers, and the few words that schemas are made of.
 *
 * `openapi.ts` makes a document of it for programs, `docs-page.ts` a page for people. Texts are plain; what stands
 * between backticks is code.
 */
import type {Right} from '../access/caller.js';
import type {Method} from './routes.js';

export type Schema = Readonly<Record<string, unknown>>;

export interface Parameter {
	readonly text: string;
	readonly schema: Schema;
	readonly required?: boolean;
}

export interface Content {
	/** Media types; all of the same schema. */
	readonly types: readonly string[];
	readonly schema: Schema;
}

export interface Body extends Content {
	readonly text: string;
	readonly required: boolean;
}

export interface Answer {
	readonly text: string;
	/** `undefined`: no body. */
	readonly content?: Content;
	readonly headers?: Readonly<Record<string, string>>;
}

export const groups = [
	'Images (IMGAPI)',
	'Publishing (IMGAPI)',
	'Uploads',
	'Datasets (DSAPI)',
	'Operating',
	'Carrying by hand',
	'Server',
] as const;

export type Group = (typeof groups)[number];

export interface Operation {
	/** In `camelCase`, of its own. */
	readonly id: string;
	readonly method: Method;
	/** As the routes have it. */
	readonly path: string;
	readonly group: Group;
	/** A few words, without a full stop. */
	readonly summary: string;
	readonly text?: string;
	/** `undefined`: anybody may. */
	readonly right?: Right;
	/** What stands for a segment of the path, where its name does not say enough. */
	readonly segments?: Readonly<Record<string, Parameter>>;
	readonly query?: Readonly<Record<string, Parameter>>;
	readonly headers?: Readonly<Record<string, Parameter>>;
	readonly body?: Body;
	/** By status. Errors are the same everywhere, and are added. */
	readonly answers: Readonly<Record<number, Answer>>;
	/** After `curl `; `BASE` stands for where this server is. */
	readonly curl?: string;
}

export const text: Schema = {type: 'string'};
export const number: Schema = {type: 'number'};
export const integer: Schema = {type: 'integer', minimum: 0};
export const flag: Schema = {type: 'boolean'};
export const uuid: Schema = {type: 'string', format: 'uuid'};
export const time: Schema = {type: 'string', format: 'date-time'};
export const digest: Schema = {type: 'string', pattern: '^[0-9a-f]{40}$'};
export const bytes: Schema = {type: 'string', format: 'binary'};
/** Any object. */
export const free: Schema = {type: 'object', additionalProperties: true};

export function oneOf(...values: readonly string[]): Schema {
	return {type: 'string', enum: values};
}

export function list(items: Schema): Schema {
	return {type: 'array', items};
}

export function either(...schemas: readonly Schema[]): Schema {
	return {oneOf: schemas};
}

export function ref(name: string): Schema {
	return {$ref: `#/components/schemas/${name}`};
}

/** `?` at the end of a name: it may be missing. */
export function object(fields: Readonly<Record<string, Schema>>): Schema {
	const entries = Object.entries(fields);
	const required = entries.map(([name]) => name).filter(name => !name.endsWith('?'));
	return {
		type: 'object',
		properties: Object.fromEntries(entries.map(([name, schema]) => [name.replace(/\?$/u, ''), schema])),
		...(required.length === 0 ? {} : {required}),
	};
}

export function map(values: Schema): Schema {
	return {type: 'object', additionalProperties: values};
}

export function described(schema: Schema, description: string): Schema {
	return {...schema, description};
}

export function json(schema: Schema): Content {
	return {types: ['application/json'], schema};
}

export function lines(schema: Schema): Content {
	return {types: ['application/x-ndjson'], schema};
}

export function param(description: string, schema: Schema = text): Parameter {
	return {text: description, schema};
}

export function needed(description: string, schema: Schema = text): Parameter {
	return {text: description, schema, required: true};
}
