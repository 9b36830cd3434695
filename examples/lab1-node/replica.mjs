// One replica of the primary/backup service: what it stores, and what it may do in which view. Decisions only.
//
// The primary puts operations into an order, in batches. A batch is first executed by the backup and then by the
// primary, which only then answers, Gets included. Two facts make the service linearizable:
//
// * The backup executes a batch of view n only while n is the newest view that it has heard of from the view service.
//   So when the primary of view n gets its confirmation, nobody had yet become primary of view n + 1.
// * Whoever becomes primary has all that was ever answered: it was primary of the view before, or backup of it with
//   everything that its primary had.
//
// A server that restarted, or was left out of a view, has forgotten everything.

/** Characters (UTF-16 units) in one value. */
export const MAX_VALUE = 4_000_000;
/** Characters of keys and values in one part of a transfer, unless a single value is longer. */
const MAX_PART = 1_000_000;

export class Replica {
  view = { viewnum: 0, primary: '', backup: '' };
  /** As primary: the backup has all the data, or there is no backup. */
  backupIsSynced = false;
  /** As primary: the backup cannot be reached. The view service may replace it. */
  backupSeemsDead = false;
  #values = new Map();
  /** The duplicate table: the number of each client's newest write, and what came of it. */
  #newest = new Map();
  /** The newest view in which this server had all the data there was. Before the first view there was none. */
  #validIn = 0;
  /** Batches executed in this view. */
  #batch = 0;
  #parts = new Map();

  constructor(name) {
    this.name = name;
  }

  // --- views -----------------------------------------------------------------------------------------------------------

  /** Takes in what the view service said. Gives whether it is news. */
  learn(view) {
    if (view.viewnum <= this.view.viewnum) return false;
    this.view = view;
    this.#batch = 0;
    this.backupIsSynced = view.backup === '';
    this.backupSeemsDead = false;
    this.#parts.clear();
    if (view.primary === this.name && view.viewnum === this.#validIn + 1) {
      this.#validIn = view.viewnum;
    } else {
      this.#values.clear();
      this.#newest.clear();
      this.#validIn = 0;
    }
    return true;
  }

  /** It has all the data of the current view. */
  get isValid() {
    return this.#validIn === this.view.viewnum;
  }

  /** It is named primary, and rightly. */
  get isPrimary() {
    return this.view.primary === this.name && this.isValid;
  }

  /** It is named backup. Whether it has the data yet is another question. */
  get isBackup() {
    return this.view.backup === this.name;
  }

  /** The number to Ping with. The current view's says: my part of this view is done, and the next may come. */
  get pingViewnum() {
    const waitsForBackup = this.isPrimary && !this.backupIsSynced && !this.backupSeemsDead;
    const waitsForData = [this.view.primary, this.view.backup].includes(this.name) && !this.isValid;
    return waitsForBackup || waitsForData ? this.view.viewnum - 1 : this.view.viewnum;
  }

  // --- operations ------------------------------------------------------------------------------------------------------

  /** Executes the next batch of this view, in its order, and gives the replies. */
  execute(operations) {
    this.#batch++;
    return operations.map((operation) => this.#execute(...operation));
  }

  #execute(client, seq, what, key, value) {
    const before = this.#values.get(key) ?? '';
    if (what === 'get') return ['Value', before];
    const [newest, reply] = this.#newest.get(client) ?? [0, null];
    if (seq <= newest) return reply; // it is known from before; a client asks one thing at a time
    const after = what === 'append' ? before + value : value;
    const outcome = after.length <= MAX_VALUE ? ['Done'] : ['TooLong', MAX_VALUE];
    if (after.length <= MAX_VALUE) this.#values.set(key, after);
    this.#newest.set(client, [seq, outcome]);
    return outcome;
  }

  // --- the backup's side -----------------------------------------------------------------------------------------------

  /** Executes the primary's next batch. One that was executed before is not executed again. */
  forwarded({ viewnum, batch, writes }) {
    if (!this.isBackup || viewnum !== this.view.viewnum) return ['NotBackup'];
    if (!this.isValid || batch > this.#batch + 1) return ['NotSynced'];
    if (batch === this.#batch + 1) this.execute(writes);
    return ['Accepted'];
  }

  /**
   * Takes one part of the primary's data, and all of it once the last has come. A part may come twice, or late: what
   * the primary had after so many batches of one view is always the same.
   */
  transferred(request) {
    if (!this.isBackup || request.viewnum !== this.view.viewnum) return ['NotBackup'];
    if (this.isValid && request.batch <= this.#batch) return ['Accepted'];
    const kept = [...this.#parts.values()];
    if (kept.some((part) => part.batch < request.batch)) this.#parts.clear();
    if (!kept.some((part) => part.batch > request.batch)) this.#parts.set(request.part, request);
    if (this.#parts.size === request.parts) this.#install();
    return ['Accepted'];
  }

  #install() {
    this.#values.clear();
    this.#newest.clear();
    for (const { values, newest, batch } of this.#parts.values()) {
      for (const [key, value] of values) this.#values.set(key, value);
      for (const [client, entry] of newest) this.#newest.set(client, entry);
      this.#batch = batch;
    }
    this.#parts.clear();
    this.#validIn = this.view.viewnum;
  }

  // --- the primary's side ----------------------------------------------------------------------------------------------

  /** The next batch, for the backup. Within a view the same number must always mean the same writes. */
  forward(operations) {
    const writes = operations.filter(([, , what]) => what !== 'get');
    return { viewnum: this.view.viewnum, batch: this.#batch + 1, writes };
  }

  /** All that a new backup needs, in parts. */
  transfer() {
    const pieces = [new Map()];
    let size = 0;
    for (const [key, value] of this.#values) {
      if (size >= MAX_PART) {
        pieces.push(new Map());
        size = 0;
      }
      pieces.at(-1).set(key, value);
      size += key.length + value.length;
    }
    const { viewnum } = this.view;
    return pieces.map((values, part) => {
      const newest = part === pieces.length - 1 ? new Map(this.#newest) : new Map();
      return { viewnum, batch: this.#batch, part, parts: pieces.length, values, newest };
    });
  }
}
