/**
 * The description of the API for programs: an OpenAPI 3.1 document, made of the operations as they stand in data.
 *
 * HEAD and OPTIONS are there for every path, as the router serves them. https://spec.openapis.org/oas/v3.1.1
 */
import type {Right} from '../access/caller.js';
import {bundleSchemas} from './openapi-bundles.js';
import {imageSchemas} from './openapi-schemas.js';
import {operateSchemas} from './openapi-schemas-operate.js';
import {operations} from './openapi-operations.js';
import {
	groups,
	json,
	ref,
	uuid,
	text,
	type Answer,
	type Operation,
	type Parameter,
	type Schema,
} from './openapi-types.js';

type Json = Readonly<Record<string, unknown>>;

const licence = {name: 'MIT', identifier: 'MIT'};

/** `base`: where this server is, without a slash at its end. */
export function openApi({version, base}: {readonly version: string; readonly base: string}): Json {
	return {
		openapi: '3.1.0',
		info: {
			title: 'imgmirror',
			version,
			license: licence,
			description:
				'A mirror of SmartOS image servers. It speaks IMGAPI and DSAPI, and what operators need besides. ' +
				'Whoever has a right by their network needs no login for it.',
		},
		servers: [{url: base === '' ? '/' : base}, {url: '..', description: 'Beside this document.'}],
		tags: groups.map(name => ({name})),
		paths: Object.fromEntries([...new Set(operations.map(({path}) => path))].map(path => [template(path), item(path)])),
		components: {
			schemas: {...imageSchemas, ...operateSchemas, ...bundleSchemas},
			securitySchemes,
			responses: {
				Error: {description: 'What went wrong, in IMGAPI’s words.', content: media({...json(ref('Error'))})},
			},
		},
	};
}

const securitySchemes = {
	basic: {type: 'http', scheme: 'basic', description: 'A name and a password, or a token in place of either.'},
	bearer: {type: 'http', scheme: 'bearer', description: 'A token.'},
	signature: {
		type: 'http',
		scheme: 'signature',
		description: 'An HTTP Signature with an SSH key, as `imgadm` and the other tools of SmartOS send it.',
	},
	session: {
		type: 'apiKey',
		in: 'cookie',
		name: 'imgmirror',
		description: 'The web page’s login. Only its own requests count.',
	},
};

/** As routes write it, and as OpenAPI does. */
export function template(path: string): string {
	return path.replaceAll(/:(\w+)/gu, '{$1}').replace('*', '{path}');
}

function item(path: string): Json {
	const here = operations.filter(operation => operation.path === path);
	const methods = new Map<string, Json>(here.map(operation => [operation.method.toLowerCase(), describe(operation)]));
	const get = here.find(({method}) => method === 'GET');
	if (get !== undefined && !methods.has('head')) {
		methods.set('head', describe(asHead(get)));
	}
	const [first] = here;
	if (first !== undefined && !methods.has('options')) {
		methods.set('options', describe(asOptions(first)));
	}
	return Object.fromEntries(methods);
}

function asHead(get: Operation): Operation {
	return {
		...get,
		id: `${get.id}Head`,
		summary: 'The same without a body',
		answers: Object.fromEntries(
			Object.entries(get.answers).map(([status, {text: told, headers}]) => [
				status,
				{text: told, ...(headers === undefined ? {} : {headers})},
			]),
		),
	};
}

function asOptions({id, path, group, segments}: Operation): Operation {
	return {
		...{id: `${id}Options`, path, group, method: 'OPTIONS'},
		summary: 'Which methods there are',
		...(segments === undefined ? {} : {segments}),
		answers: {204: {text: 'In headers.', headers: {Allow: 'The methods.'}}},
	};
}

function describe(operation: Operation): Json {
	const {id, group, summary, right, body, answers} = operation;
	const told = [operation.text, right === undefined ? undefined : `Needs the right \`${right}\`.`];
	const parameters = [
		...segmentsOf(operation).map(([name, given]) => parameter(name, 'path', {...given, required: true})),
		...Object.entries(operation.query ?? {}).map(([name, given]) => parameter(name, 'query', given)),
		...Object.entries(operation.headers ?? {}).map(([name, given]) => parameter(name, 'header', given)),
	];
	return {
		operationId: id,
		tags: [group],
		summary,
		...(told.some(Boolean) ? {description: told.filter(Boolean).join(' ')} : {}),
		...(parameters.length === 0 ? {} : {parameters}),
		...(body === undefined
			? {}
			: {requestBody: {description: body.text, required: body.required, content: media(body)}}),
		responses: {
			...Object.fromEntries(Object.entries(answers).map(([status, given]) => [status, answer(given)])),
			...errors(right),
		},
		security: security(right),
	};
}

/** Each of its path's, in order. */
export function segmentsOf({path, segments = {}}: Operation): readonly (readonly [name: string, Parameter])[] {
	const names = path.match(/:\w+|\*/gu) ?? [];
	return names.map(name => {
		const own = name.replace(':', '');
		const usual: Parameter = own === 'uuid' ? {text: 'Of the image.', schema: uuid} : {text: own, schema: text};
		return [own === '*' ? 'path' : own, segments[own] ?? usual];
	});
}

function parameter(name: string, where: 'path' | 'query' | 'header', given: Parameter): Json {
	return {
		...{name, in: where, description: given.text},
		...(given.required === true ? {required: true} : {}),
		schema: given.schema,
	};
}

function answer({text: description, content, headers}: Answer): Json {
	return {
		description,
		...(headers === undefined
			? {}
			: {
					headers: Object.fromEntries(
						Object.entries(headers).map(([name, told]) => [name, {description: told, schema: text}]),
					),
				}),
		...(content === undefined ? {} : {content: media(content)}),
	};
}

function media({types, schema}: {readonly types: readonly string[]; readonly schema: Schema}): Json {
	return Object.fromEntries(types.map(type => [type, {schema}]));
}

function errors(right: Right | undefined): Json {
	const error = {$ref: '#/components/responses/Error'};
	return {...(right === undefined ? {} : {401: error, 403: error}), default: error};
}

/** Reading is open unless the configuration says otherwise. */
function security(right: Right | undefined): readonly Json[] {
	if (right === undefined) {
		return [];
	}
	const logins = Object.keys(securitySchemes).map(name => ({[name]: []}));
	return right === 'read' || right === 'private' ? [{}, ...logins] : logins;
}
