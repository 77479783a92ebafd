import test from 'ava';
import {createFilter, type ImagePatterns} from '../../src/sources/filter.js';
import {makeImage} from '../helpers/make-image.js';
import {manifestOf} from './make-source.js';

const none: ImagePatterns = {name: [], os: [], type: [], owner: [], uuid: []};

test('everything is wanted where nothing is said', t => {
	t.true(createFilter(none, none)(manifestOf(makeImage())));
});

test('fields of include are all needed, fields of exclude are each enough', t => {
	const owner = '11111111-2222-4333-8444-555555555555';
	const image = manifestOf(makeImage({name: 'base-64', os: 'smartos', type: 'zone-dataset', owner}));
	const includes = (include: Partial<ImagePatterns>): boolean => createFilter({...none, ...include}, none)(image);
	const excludes = (exclude: Partial<ImagePatterns>): boolean => !createFilter(none, {...none, ...exclude})(image);

	t.true(includes({name: ['other', 'base*'], os: ['smartos', 'linux']}));
	t.false(includes({name: ['base*'], os: ['linux']}));
	t.true(includes({owner: ['11111111-*'], uuid: [image.uuid]}));
	t.false(includes({type: ['zvol']}));
	t.true(excludes({name: ['base*'], os: ['linux']}));
	t.true(excludes({type: ['z*']}));
	t.false(excludes({name: ['other'], os: ['linux']}));
	t.false(createFilter({...none, name: ['base*']}, {...none, uuid: [image.uuid]})(image));
});
