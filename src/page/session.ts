/**
 * Who looks at the page, and what they may do. The mirror says so; the page only leaves out what would be refused.
 */
import type {Api} from './api.js';
import {Cell, type ReadonlyCell} from './cell.js';
import {problemText} from './api-error.js';

export type Right = 'read' | 'private' | 'publish' | 'operate';

export interface Channel {
	readonly name: string;
	readonly description: string;
	readonly default?: true;
}

interface SessionAnswer {
	readonly user?: string;
	readonly rights: readonly Right[];
	readonly mode: string;
	readonly channels: readonly Channel[];
	readonly version: string;
	readonly publicUrl?: string;
	readonly hasUsers?: boolean;
}

export interface SessionState {
	/** `asking`: nothing is known yet. */
	readonly state: 'asking' | 'known' | 'failed';
	readonly user: string | undefined;
	readonly rights: ReadonlySet<Right>;
	readonly mode: string;
	readonly channels: readonly Channel[];
	readonly version: string;
	readonly publicUrl: string | undefined;
	/** Whether there is anybody who could log in. */
	readonly hasUsers: boolean;
	readonly problem: string | undefined;
}

const nobody: SessionState = {
	state: 'asking',
	user: undefined,
	rights: new Set(),
	mode: 'any',
	channels: [],
	version: '',
	publicUrl: undefined,
	hasUsers: true,
	problem: undefined,
};

export class Session {
	readonly #cell = new Cell<SessionState>(nobody);
	readonly #api: Api;
	#asking: Promise<void> | undefined;

	constructor(api: Api) {
		this.#api = api;
	}

	get state(): ReadonlyCell<SessionState> {
		return this.#cell;
	}

	may(right: Right): boolean {
		return this.#cell.value.rights.has(right);
	}

	/** Never fails: what went wrong is in the state. */
	refresh(): Promise<void> {
		this.#asking ??= this.#ask().finally(() => {
			this.#asking = undefined;
		});
		return this.#asking;
	}

	/** Throws ApiError where the login is wrong. */
	async login(user: string, password: string): Promise<void> {
		this.#take(await this.#api.post<SessionAnswer>('session', {user, password}));
	}

	async logout(): Promise<void> {
		await this.#api.delete('session');
		await this.refresh();
	}

	async #ask(): Promise<void> {
		try {
			this.#take(await this.#api.get<SessionAnswer>('session'));
		} catch (error) {
			const {value} = this.#cell;
			// Whoever was known stays so while the mirror is away.
			if (value.state !== 'known') {
				this.#cell.set({...value, state: 'failed', problem: problemText(error)});
			}
		}
	}

	#take({user, rights, mode, channels, version, publicUrl, hasUsers = true}: SessionAnswer): void {
		const {value} = this.#cell;
		const isSame =
			value.state === 'known' &&
			value.user === user &&
			value.version === version &&
			value.hasUsers === hasUsers &&
			value.rights.size === rights.length &&
			rights.every(right => value.rights.has(right));
		if (!isSame) {
			this.#cell.set({
				...{state: 'known', user, rights: new Set(rights), mode, channels, version, publicUrl, hasUsers},
				problem: undefined,
			});
		}
	}
}
