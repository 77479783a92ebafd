/**
 * The other end of a resumable upload: keeps what arrives, breaks off when told to, makes an image of what is whole.
 */
import type {IncomingMessage, ServerResponse} from 'node:http';

export interface FakeUpload {
	readonly id: string;
	readonly size: number;
	readonly metadata: ReadonlyMap<string, string>;
	bytes: Buffer;
}

export class FakeTus {
	readonly uploads = new Map<string, FakeUpload>();
	readonly image = '11111111-2222-4333-8444-555555555555';
	/** Requests that carry bytes, as `offset+length`. */
	readonly pieces: string[] = [];
	/** The connection breaks in the middle of so many further pieces. */
	cuts = 0;
	/** What a new upload is answered instead. */
	refusal: {readonly status: number; readonly body: object} | undefined;
	/** Pieces wait until it is opened, but for so many. */
	gate: Promise<void> = Promise.resolve();
	ungated = 0;

	async answer(request: IncomingMessage, response: ServerResponse, id: string): Promise<void> {
		if (request.headers['tus-resumable'] !== '1.0.0') {
			response.writeHead(412).end();
			return;
		}
		if (request.method === 'POST') {
			this.#create(request, response);
			return;
		}
		const upload = this.uploads.get(id);
		if (upload === undefined) {
			response.writeHead(404).end();
			return;
		}
		if (request.method === 'DELETE') {
			this.uploads.delete(id);
			response.writeHead(204).end();
			return;
		}
		if (request.method === 'PATCH' && !(await this.#append(request, response, upload))) {
			return;
		}
		const {length} = upload.bytes;
		response.writeHead(request.method === 'HEAD' ? 200 : 204, {
			'tus-resumable': '1.0.0',
			'upload-offset': length,
			...(length === upload.size ? {'x-image': this.image} : {}),
		});
		response.end();
	}

	#create(request: IncomingMessage, response: ServerResponse): void {
		request.resume();
		if (this.refusal !== undefined) {
			response.writeHead(this.refusal.status, {'content-type': 'application/json'});
			response.end(JSON.stringify(this.refusal.body));
			return;
		}
		const id = `upload-${this.uploads.size + 1}`;
		const metadata = new Map(
			String(request.headers['upload-metadata'])
				.split(',')
				.map(pair => {
					const [name = '', value = ''] = pair.split(' ');
					return [name, Buffer.from(value, 'base64').toString()] as const;
				}),
		);
		this.uploads.set(id, {id, size: Number(request.headers['upload-length']), metadata, bytes: Buffer.alloc(0)});
		response.writeHead(201, {'tus-resumable': '1.0.0', location: `/elsewhere/uploads/${id}`, 'upload-offset': 0});
		response.end();
	}

	/** Whether there is something to be answered. */
	async #append(request: IncomingMessage, response: ServerResponse, upload: FakeUpload): Promise<boolean> {
		const offset = Number(request.headers['upload-offset']);
		if (offset !== upload.bytes.length) {
			request.resume();
			response.writeHead(409).end();
			return false;
		}
		const pieces: Buffer[] = [];
		if (this.ungated > 0) {
			this.ungated--;
		} else {
			await this.gate;
		}
		for await (const piece of request) {
			pieces.push(piece as Buffer);
			if (this.cuts > 0) {
				this.cuts--;
				upload.bytes = Buffer.concat([upload.bytes, ...pieces]);
				request.socket.destroy();
				return false;
			}
		}
		this.pieces.push(`${offset}+${Buffer.concat(pieces).length}`);
		upload.bytes = Buffer.concat([upload.bytes, ...pieces]);
		return true;
	}
}
