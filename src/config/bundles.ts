/**
 * Carrying images by hand: the section `bundles`.
 */
import {flag, list, text} from './kinds.js';
import {field, section} from './section.js';

export const bundles = section({
	trustedKeys: field(
		'trustedKeys',
		list(
			text('a line such as "ssh-ed25519 AAAA… name"', {
				pattern: /^ssh-ed25519 [A-Za-z\d+/=]{60,100}(?: [^\p{Cc}]*)?$/u,
			}),
		),
		[],
		'Whose bundles are imported, beside those that "imgmirror key trust" lets in.',
		['trust', 'trusted', 'keys', 'publicKeys'],
	),
	allowUnsigned: field(
		'allowUnsigned',
		flag,
		false,
		'Whether bundles are imported that nobody has signed, or somebody whose key is not trusted.',
		['unsigned', 'insecure'],
	),
});
