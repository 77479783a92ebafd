/**
 * Where one is on the page, as it stands behind the # of its address: a view, and what is chosen in it.
 *
 * Everything that is worth sending to a colleague is there: search, chips, order, the image that is open.
 */
import {columns, firstSorting, type Sorting} from './sort.js';
import {groups, noChoices, type Choices} from './filters.js';

export const views = ['images', 'now', 'sources', 'storage', 'publish'] as const;

export type View = (typeof views)[number];

export interface Route {
	readonly view: View;
	readonly query: string;
	readonly choices: Choices;
	readonly sorting: Sorting;
	/** The image whose details are shown. */
	readonly image: string | undefined;
}

export const firstRoute: Route = {
	view: 'images',
	query: '',
	choices: noChoices,
	sorting: firstSorting('name'),
	image: undefined,
};

/** Whatever stands there is read as far as it makes sense. */
export function parseRoute(hash: string): Route {
	const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?', 2);
	const params = new URLSearchParams(search);
	const [, minus = '', name = ''] = /^(-?)(\w+)$/.exec(params.get('sort') ?? '') ?? [];
	const column = columns.find(one => one === name) ?? firstRoute.sorting.column;
	const image = params.get('image') ?? '';
	return {
		view: views.find(view => view === path) ?? firstRoute.view,
		query: params.get('q') ?? '',
		choices: {
			...{os: params.getAll('os'), type: params.getAll('type')},
			...{source: params.getAll('source'), is: params.getAll('is')},
		},
		sorting: {column, descending: minus === '-'},
		image: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(image) ? image : undefined,
	};
}

export function formatRoute({view, query, choices, sorting, image}: Route): string {
	const params = new URLSearchParams();
	if (view === 'images') {
		if (query !== '') {
			params.set('q', query);
		}
		for (const group of groups) {
			for (const value of choices[group]) {
				params.append(group, value);
			}
		}
		const {column, descending} = sorting;
		if (column !== firstRoute.sorting.column || descending) {
			params.set('sort', `${descending ? '-' : ''}${column}`);
		}
		if (image !== undefined) {
			params.set('image', image);
		}
	}
	const search = params.toString();
	return `#/${view}${search === '' ? '' : `?${search}`}`;
}
