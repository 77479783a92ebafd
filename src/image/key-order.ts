/**
 * The order that IMGAPI writes a manifest's keys in (contract 4.5): for manifests of ours and for those we convert.
 */
const keyOrder: readonly string[] = [
	...['v', 'uuid', 'owner', 'name', 'version', 'state', 'disabled', 'public', 'published_at', 'type', 'os', 'files'],
	...['acl', 'description', 'homepage', 'eula', 'icon', 'urn', 'requirements', 'users', 'generate_passwords'],
	...['inherited_directories', 'origin', 'nic_driver', 'disk_driver', 'cpu_type', 'image_size', 'tags'],
	...['billing_tags', 'traits', 'error'],
];

/** Keys that IMGAPI does not know come last, in their own order. */
export function inOrder<T>(members: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
	const known = keyOrder.filter(name => members.has(name));
	const others = [...members.keys()].filter(name => !keyOrder.includes(name));
	return new Map(
		[...known, ...others].flatMap((name): [string, T][] => {
			const value = members.get(name);
			return value === undefined ? [] : [[name, value]];
		}),
	);
}
