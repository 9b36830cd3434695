// Who is primary and who is backup: decisions only. Nothing here waits, sends, or knows the time.
//
// A view may be followed by another only once its primary has acknowledged it, by a Ping with its number; and the
// backup becomes primary only if its own newest Ping had that number, too: by it, it says that it has the data. If
// those who have the data are gone, the service stays where it is, and waits for them.

export const PING_INTERVAL = 100; // milliseconds
export const DEAD_PINGS = 5;
/** Ticks in a ping interval: a silent server is taken for dead a quarter of an interval early at most. */
export const TICKS_PER_PING = 4;

/**
 * Time is counted in ticks, of which the owner makes four in each interval. A service that was itself held up has
 * missed ticks as well as Pings, so it does not take the whole world for dead.
 */
export class ViewService {
  view = { viewnum: 0, primary: '', backup: '' };
  #acknowledged = true; // nobody has to acknowledge view 0
  #primaryRestarted = false;
  #backupRestarted = false;
  #servers = new Map(); // name -> { joined, viewnum, silentTicks }
  #joined = 0;

  /** A server is alive and knows this view (0: none, it has just started). Gives the current view. */
  ping(me, viewnum) {
    if (!this.#servers.has(me)) this.#servers.set(me, { joined: ++this.#joined });
    const server = this.#servers.get(me);
    server.silentTicks = 0;
    server.viewnum = viewnum;
    if (viewnum === 0) this.#saysItRestarted(me, server);
    else if (me === this.view.primary && viewnum === this.view.viewnum && !this.#primaryRestarted) {
      this.#acknowledged = true;
    }
    this.#advance();
    return this.view;
  }

  /** A quarter of a ping interval went by. */
  tick() {
    for (const [name, server] of this.#servers) {
      server.silentTicks++;
      if (server.silentTicks >= DEAD_PINGS * TICKS_PER_PING) this.#servers.delete(name);
    }
    this.#advance();
  }

  /** A member of the view has nothing any more. While its view is new, it may just say its first Ping again. */
  #saysItRestarted(me, server) {
    if (me === this.view.primary && (this.#acknowledged || this.view.viewnum > 1)) {
      this.#primaryRestarted = true;
      server.joined = ++this.#joined;
    } else if (me === this.view.backup && this.#acknowledged) {
      this.#backupRestarted = true;
      server.joined = ++this.#joined;
    }
  }

  /** Moves on if there is cause and the view is acknowledged: promotion and recruiting in one step. */
  #advance() {
    if (!this.#acknowledged) return;
    const { viewnum } = this.view;
    let { primary, backup } = this.view;
    if (viewnum === 0) {
      primary = this.#longestWaiting('');
      backup = this.#longestWaiting(primary);
    } else if (this.#servers.has(primary) && !this.#primaryRestarted) {
      if (!this.#servers.has(backup) || this.#backupRestarted) backup = this.#longestWaiting(primary);
    } else if (this.#servers.get(backup)?.viewnum === viewnum) {
      primary = backup;
      backup = this.#longestWaiting(primary);
    } else if (!this.#primaryRestarted || backup) {
      return; // whoever has the data is silent: wait for one of them to come back
    }
    // A lone primary that restarted gets this far, too: the same view under a new number. It never had the data of
    // the one before, so it can never acknowledge it.
    const changed = primary !== this.view.primary || backup !== this.view.backup;
    if (changed || this.#primaryRestarted || this.#backupRestarted) {
      this.view = { viewnum: viewnum + 1, primary, backup };
      this.#acknowledged = this.#primaryRestarted = this.#backupRestarted = false;
    }
  }

  /** The server alive that came first, other than the one already chosen, or nobody. */
  #longestWaiting(chosen) {
    const waiting = [...this.#servers].filter(([name]) => name !== chosen);
    waiting.sort(([, one], [, other]) => one.joined - other.joined);
    return waiting.length > 0 ? waiting[0][0] : '';
  }
}
