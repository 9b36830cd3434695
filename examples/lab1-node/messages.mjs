// Every request of lab 1: its fields in their order, and what each of them must be.
//
// A reply is an array. One of several opens with its name: ['Value', 'x'], ['NotPrimary'].

const text = { what: 'text', fits: (value) => typeof value === 'string' };
const integer = { what: 'an integer', fits: Number.isSafeInteger };
const map = { what: 'a map', fits: (value) => value instanceof Map };

const isWrite = (value) =>
  Array.isArray(value) &&
  value.length === 5 &&
  Number.isSafeInteger(value[1]) &&
  [0, 2, 3, 4].every((place) => typeof value[place] === 'string');
const writes = { what: 'a list of writes', fits: (value) => Array.isArray(value) && value.every(isWrite) };

export const REQUESTS = {
  // --- what everybody has agreed on, in common/protocol.py ---

  /** A server is alive, and this is the newest view that it knows. Reply: the view [viewnum, primary, backup]. */
  Ping: { me: text, viewnum: integer },
  /** Reply: the current view. */
  GetView: {},
  /** To a clerk. Reply: ['Value', value]. */
  Get: { key: text },
  /** To a clerk. Reply: ['Done']. */
  Put: { key: text, value: text },
  /** To a clerk. Reply: ['Done']. */
  Append: { key: text, value: text },

  // --- what our clerks and servers say to each other: our own affair ---

  /**
   * Clerk to primary: 'get', 'put' or 'append'. `seq` counts the client's operations; the same one again is executed
   * once. Reply: ['Value', value], ['Done'], ['TooLong', limit], or ['NotPrimary']: nothing was done.
   */
  Operate: { client: text, seq: integer, what: text, key: text, value: text },
  /**
   * Primary to backup: the next batch of this view, counted from 1; each write is [client, seq, what, key, value]. One
   * without writes confirms that the view still stands.
   * Reply: ['Accepted'], now or before; ['NotSynced']: send me everything; ['NotBackup']: not in that view.
   */
  Forward: { viewnum: integer, batch: integer, writes },
  /**
   * Primary to backup: one part of all that the primary has after so many batches of this view.
   * Reply: ['Accepted'] or ['NotBackup'].
   */
  Transfer: { viewnum: integer, batch: integer, part: integer, parts: integer, values: map, newest: map },
};

/** The params of a request: its fields in their order. */
export function toParams(method, request) {
  return Object.keys(REQUESTS[method]).map((field) => request[field]);
}

/** The request that these params are. Throws an `Error` that says what is wrong with them. */
export function fromParams(method, params) {
  const fields = Object.entries(REQUESTS[method]);
  const signature = `${method}(${fields.map(([name]) => name).join(', ')})`;
  if (!Array.isArray(params) || params.length !== fields.length) {
    throw new Error(`${signature}: expected an array of ${fields.length} params`);
  }
  for (const [place, [name, { what, fits }]] of fields.entries()) {
    if (!fits(params[place])) throw new Error(`${signature}: expected ${name} to be ${what}`);
  }
  return Object.fromEntries(fields.map(([name], place) => [name, params[place]]));
}
