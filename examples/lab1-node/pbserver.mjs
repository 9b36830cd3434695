// One server of the primary/backup service: the replica decides, and this carries its messages.
//
// Operations queue up, and one loop, the primary's hand, takes them in batches: it forwards a batch to the backup,
// executes it, and answers its clerks. Whatever comes meanwhile is the next batch. So the backup sees one order.

import { CallFailed, sleep } from './host.mjs';
import { Replica } from './replica.mjs';
import { DEAD_PINGS, PING_INTERVAL } from './view.mjs';

const PING_TIMEOUT = 2 * PING_INTERVAL;
const PEER_TIMEOUT = 1000; // milliseconds until the primary asks its backup the same again
const RETRY_PAUSE = 20;
/** Characters of values in one batch, unless a single write is longer. */
const MAX_BATCH = 4_000_000;

export async function pbserver(host, { viewserver }) {
  const server = new PBServer(host, viewserver);
  await host.serve({
    Operate: (request) => server.operate(request),
    Forward: (request) => server.forwarded(request),
    Transfer: (request) => server.transferred(request),
  });
  server.lead();
  for (;;) {
    await server.ping();
    await sleep(PING_INTERVAL);
  }
}

class PBServer {
  #host;
  #viewserver;
  #replica;
  #queue = []; // of { operation, answer }
  #wake = () => {};
  #pinging = Promise.resolve();

  constructor(host, viewserver) {
    this.#host = host;
    this.#viewserver = viewserver;
    this.#replica = new Replica(host.name);
  }

  // --- the view service ------------------------------------------------------------------------------------------------

  /** Tells the view service how far we are. One at a time, so that an old one never comes after a newer one. */
  ping() {
    this.#pinging = this.#pinging.then(() => this.#ping());
    return this.#pinging;
  }

  /** Pings until what the view service replies changes nothing any more. */
  async #ping() {
    let told = -1;
    while (told !== this.#replica.pingViewnum) {
      told = this.#replica.pingViewnum;
      const request = { me: this.#host.name, viewnum: told };
      const reply = await this.#try(this.#viewserver, 'Ping', request, PING_TIMEOUT);
      if (reply === null) return;
      const [viewnum, primary, backup] = reply;
      if (this.#replica.learn({ viewnum, primary, backup })) {
        this.#host.log(`view ${viewnum}: primary ${primary}, backup ${backup || 'none'}`);
        this.#wake();
      }
    }
  }

  /** A call's reply, or null if none came. */
  async #try(address, method, request, timeout) {
    try {
      return await this.#host.call(address, method, request, timeout);
    } catch (error) {
      if (error instanceof CallFailed) return null;
      throw error;
    }
  }

  // --- clerks ----------------------------------------------------------------------------------------------------------

  /** A clerk wants something. The answer comes when the primary's hand gets to it. */
  operate({ client, seq, what, key, value }) {
    if (!this.#replica.isPrimary) return ['NotPrimary'];
    return new Promise((answer) => {
      this.#queue.push({ operation: [client, seq, what, key, value], answer });
      this.#wake();
    });
  }

  // --- the backup's side -----------------------------------------------------------------------------------------------

  async forwarded(request) {
    // The primary may have heard of a view before us. Whether it stands, we ask ourselves.
    if (request.viewnum > this.#replica.view.viewnum) await this.ping();
    return this.#replica.forwarded(request);
  }

  async transferred(request) {
    if (request.viewnum > this.#replica.view.viewnum) await this.ping();
    const wasValid = this.#replica.isValid;
    const reply = this.#replica.transferred(request);
    if (this.#replica.isValid && !wasValid) {
      this.#host.log(`has all the data of view ${request.viewnum}`);
      this.ping();
    }
    return reply;
  }

  // --- the primary's side ----------------------------------------------------------------------------------------------

  /** The primary's hand: whatever a primary does, it does here, one thing after the other. */
  async lead() {
    const replica = this.#replica;
    for (;;) {
      while (replica.isPrimary && (!replica.backupIsSynced || this.#queue.length > 0)) {
        if (!replica.backupIsSynced) await this.#synchronise();
        else await this.#doBatch();
      }
      if (!replica.isPrimary) this.#refuseAll();
      // Between that look and this wait nobody else runs, so nothing is missed.
      await new Promise((wake) => {
        this.#wake = wake;
      });
    }
  }

  /** Sends the backup all there is, and tells the view service when it has arrived. */
  async #synchronise() {
    const replica = this.#replica;
    const { view } = replica;
    const started = performance.now();
    const parts = replica.transfer();
    while (parts.length > 0 && replica.view === view) {
      const reply = await this.#try(view.backup, 'Transfer', parts[0], PEER_TIMEOUT);
      if (reply === null) {
        if (performance.now() - started > DEAD_PINGS * PING_INTERVAL && replica.view === view) {
          // It may be gone, and the view service may only replace it once this view is acknowledged. It will not be
          // promoted: its own Pings say that it has no data.
          replica.backupSeemsDead = true;
        }
        await sleep(RETRY_PAUSE);
      } else if (reply[0] === 'Accepted') {
        parts.shift();
      } else {
        await this.#disagree(view);
      }
    }
    if (replica.view === view) {
      replica.backupIsSynced = true;
      await this.ping();
    }
  }

  /** Takes what waits, has the backup do it, does it, answers. */
  async #doBatch() {
    const taken = this.#take();
    const operations = taken.map(({ operation }) => operation);
    if (this.#replica.view.backup !== '' && !(await this.#forward(operations))) {
      this.#queue.unshift(...taken); // the view has changed, and the batch must meet the new one
      return;
    }
    const replies = this.#replica.execute(operations);
    taken.forEach(({ answer }, place) => answer(replies[place]));
  }

  #take() {
    let size = 0;
    const tooMuch = this.#queue.findIndex(({ operation }) => (size += operation[4].length) > MAX_BATCH);
    return this.#queue.splice(0, tooMuch === -1 ? this.#queue.length : Math.max(tooMuch, 1));
  }

  /** Has the backup execute a batch. Gives false when the view has changed. */
  async #forward(operations) {
    const replica = this.#replica;
    const { view } = replica;
    const request = replica.forward(operations);
    while (replica.view === view) {
      const reply = await this.#try(view.backup, 'Forward', request, PEER_TIMEOUT);
      if (reply === null) await sleep(RETRY_PAUSE); // it may have been executed: the same batch again does no harm
      else if (reply[0] === 'Accepted') return replica.view === view; // it may have changed while we waited
      else if (reply[0] === 'NotSynced') await this.#synchronise();
      else await this.#disagree(view);
    }
    return false;
  }

  /** The backup is not in our view. The view service tells one of us something new sooner or later. */
  async #disagree(view) {
    await this.ping();
    if (this.#replica.view === view) await sleep(RETRY_PAUSE);
  }

  /** Sends the waiting clerks away: they find the primary through the view service. */
  #refuseAll() {
    for (const { answer } of this.#queue.splice(0)) answer(['NotPrimary']);
  }
}
