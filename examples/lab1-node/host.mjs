// What a server knows of its world: others by name, time, and a log. Here is the whole process contract of
// docs/process-contract.md: socket files, connections, and MessagePack-RPC on them.

import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

import { decode, encode, FrameReader, Malformed } from './messagepack.mjs';
import { fromParams, toParams } from './messages.mjs';

const REQUEST = 0;
const RESPONSE = 1;
const NOTIFICATION = 2;
const LOST = 'network: ';

/** No reply came. The request may or may not have been executed: the caller cannot know which. */
export class CallFailed extends Error {}
/** The other side could make nothing of the request. That is a mistake in one of the two programs: let it end us. */
export class CallRefused extends Error {}
/** Thrown by a handler that can make nothing of a request. The caller is told why. */
export class BadRequest extends Error {}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Host {
  #net;
  #connections = new Map();

  constructor(name, net) {
    this.name = name;
    this.#net = net;
  }

  /** One line, with the time of day, into this server's log. */
  log(text) {
    const now = new Date();
    const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, '0'));
    console.log(`${time.join(':')}.${String(now.getMilliseconds()).padStart(3, '0')} ${this.name} ${text}`);
  }

  /**
   * Answers these requests from now on: each method's handler gets the request's fields, and returns the reply or a
   * promise of it. Resolves when others can reach this server.
   */
  async serve(handlers) {
    const server = createServer((socket) => this.#accept(socket, handlers));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const own = join(this.#net, this.name);
    mkdirSync(own, { recursive: true });
    // Written, then renamed: nobody ever sees half a file.
    const draft = join(own, `.${this.name}.${process.pid}`);
    writeFileSync(draft, `127.0.0.1 ${server.address().port}\n`);
    renameSync(draft, join(own, this.name));
  }

  #accept(socket, handlers) {
    onFrames(socket, ([kind, ...rest]) => {
      if (kind === REQUEST && rest.length === 3) this.#answer(socket, handlers, ...rest);
      else if (kind === NOTIFICATION && rest.length === 2) this.#answer(socket, handlers, null, ...rest);
      else throw new Malformed('expected a request or a notification');
    });
  }

  // Nobody waits for this: what a handler throws ends the process.
  async #answer(socket, handlers, msgid, method, params) {
    const respond = (error, result) => {
      if (msgid !== null && !socket.destroyed) socket.write(encode([RESPONSE, msgid, error, result]));
    };
    const name = Buffer.isBuffer(method) ? method.toString() : method; // some clients write a method's name as binary
    if (!Object.hasOwn(handlers, name)) {
      respond(`expected a method that this server has (${Object.keys(handlers).sort().join(', ')}), got ${name}`, null);
      return;
    }
    let request;
    try {
      request = fromParams(name, params);
    } catch (error) {
      respond(error.message, null);
      return;
    }
    try {
      respond(null, await handlers[name](request));
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      respond(error.message, null);
    }
  }

  /**
   * The reply of the server `address`. Throws `CallFailed` when none came within so many milliseconds, or when the
   * link to it is not there; throws `CallRefused`.
   */
  async call(address, method, request, timeout = 2000) {
    const connection = this.#connection(address);
    return await connection.ask(method, toParams(method, request), timeout);
  }

  /** The connection to where the link leads now: one look at the file before each call. */
  #connection(address) {
    const link = join(this.#net, this.name, address);
    const file = statSync(link, { bigint: true, throwIfNoEntry: false });
    if (file === undefined) throw new CallFailed(`${this.name} has no link to ${address}`);
    const identity = `${file.dev} ${file.ino} ${file.mtimeNs}`; // a server that restarted has written another file
    const known = this.#connections.get(address);
    if (known !== undefined && known.identity === identity && !known.closed) return known;
    known?.retire();
    let endpoint;
    try {
      endpoint = readFileSync(link, 'utf8');
    } catch {
      throw new CallFailed(`${this.name} has no link to ${address}`); // it was there a moment ago
    }
    const [host, port] = endpoint.trim().split(' ');
    const connection = new Connection(host, Number(port), identity);
    this.#connections.set(address, connection);
    return connection;
  }
}

/** The calling end of a connection: any number of calls under way, whose replies come in any order. */
class Connection {
  closed = false;
  #socket;
  #calls = new Map();
  #next = 0;
  #retired = false;

  constructor(host, port, identity) {
    this.identity = identity;
    this.#socket = connect({ host, port }); // what is written before it stands is sent when it does
    this.#socket.on('close', () => this.#end());
    onFrames(this.#socket, (frame) => this.#receive(frame));
  }

  ask(method, params, timeout) {
    const msgid = this.#next;
    this.#next = (this.#next + 1) >>> 0;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#calls.delete(msgid);
        reject(new CallFailed(`no reply to ${method} in time`));
        this.#closeIfDone();
      }, timeout);
      this.#calls.set(msgid, { method, resolve, reject, timer });
      this.#socket.write(encode([REQUEST, msgid, method, params]));
    });
  }

  #receive([kind, msgid, error, result]) {
    if (kind !== RESPONSE) throw new Malformed('expected a response');
    const call = this.#calls.get(msgid);
    if (call === undefined) return; // its time had run out
    this.#calls.delete(msgid);
    clearTimeout(call.timer);
    if (error === null) call.resolve(result);
    else if (String(error).startsWith(LOST)) call.reject(new CallFailed(error));
    else call.reject(new CallRefused(`${call.method} was refused: ${error}`));
    this.#closeIfDone();
  }

  /** No new calls: closes as soon as those under way are over. */
  retire() {
    this.#retired = true;
    this.#closeIfDone();
  }

  #closeIfDone() {
    if (this.#retired && this.#calls.size === 0) this.#socket.destroy();
  }

  #end() {
    this.closed = true;
    for (const { method, reject, timer } of this.#calls.values()) {
      clearTimeout(timer);
      reject(new CallFailed(`no reply to ${method}, the connection ended`));
    }
    this.#calls.clear();
  }
}

/** Has each frame that arrives handled. What is no frame ends the connection, and nothing else. */
function onFrames(socket, handle) {
  const reader = new FrameReader();
  socket.setNoDelay(true);
  socket.on('error', () => {}); // 'close' follows
  socket.on('data', (piece) => {
    try {
      for (const bytes of reader.feed(piece)) {
        const frame = decode(bytes);
        if (!Array.isArray(frame)) throw new Malformed('expected an array');
        handle(frame);
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      console.error(`closed a connection: ${error.message}`);
      socket.destroy();
    }
  });
}
