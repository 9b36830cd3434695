// A clerk: does the Gets, Puts and Appends that it is asked to do, one at a time, and tries until it has an answer.

import { randomUUID } from 'node:crypto';

import { BadRequest, CallFailed, sleep } from './host.mjs';
import { MAX_VALUE } from './replica.mjs';
import { PING_INTERVAL } from './view.mjs';

const OPERATION_TIMEOUT = 1000; // milliseconds until it asks the view service whether the primary still is it
const FIRST_PAUSE = 5; // between the first two tries; each further pause is twice as long

export async function clerk(host, { viewserver }) {
  const client = randomUUID(); // a clerk that restarts is a new client
  let seq = 0;
  let primary = ''; // only when it does not answer is the view service asked
  let previous = Promise.resolve();

  async function operate(what, key, value) {
    if (value.length > MAX_VALUE) throw tooLong(key);
    seq++;
    const request = { client, seq, what, key, value };
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, PING_INTERVAL)) {
      const reply = await ask(request);
      if (reply !== null && reply[0] !== 'NotPrimary') {
        if (reply[0] === 'TooLong') throw tooLong(key);
        return reply;
      }
      primary = '';
      await sleep(pause);
    }
  }

  /** One try: the reply, or null if there is none. */
  async function ask(request) {
    try {
      if (primary === '') [, primary] = await host.call(viewserver, 'GetView', {});
      if (primary === '') return null;
      return await host.call(primary, 'Operate', request, OPERATION_TIMEOUT);
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      return null; // it may have been executed: the same request again does no harm
    }
  }

  /** The same after all that was asked before. */
  function inTurn(what, key, value) {
    const outcome = previous.then(() => operate(what, key, value));
    previous = outcome.catch(() => {});
    return outcome;
  }

  await host.serve({
    Get: ({ key }) => inTurn('get', key, ''),
    Put: ({ key, value }) => inTurn('put', key, value),
    Append: ({ key, value }) => inTurn('append', key, value),
  });
}

function tooLong(key) {
  return new BadRequest(`expected values of at most ${MAX_VALUE} characters, that of ${key.slice(0, 100)} is longer`);
}
