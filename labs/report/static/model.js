/**
 * A trace as a picture needs it: lanes, arrows, operations and bands, built event by event.
 *
 * Events come as labs/traces/events.py writes them, one after the other, so that a live view can add to what is there.
 * Everything has two places: physical time (seconds) and logical time (Lamport's clocks: an event is one later than
 * the latest of what it knows of). Nothing here draws, and nothing here touches the page.
 */

export const KINDS = [
  "start", "serve", "kill", "crash", "pause", "resume", "cut", "join", "tap", "hold", "release", "request", "arrive",
  "reply", "return", "lose request", "lose reply", "fail", "call", "answer", "log", "note", "verdict",
];
const CODE = Object.fromEntries(KINDS.map((kind, code) => [kind, code]));

/** What filters and the list know: a few groups instead of many kinds. */
export const GROUPS = {
  message: ["request", "arrive", "reply", "return", "lose request", "lose reply", "fail"],
  operation: ["call", "answer"],
  fault: ["kill", "crash", "pause", "resume", "cut", "join", "tap", "hold", "release"],
  process: ["start", "serve"],
  log: ["log"],
  note: ["note", "verdict"],
};
const GROUP_OF = Object.fromEntries(Object.entries(GROUPS).flatMap(([group, kinds]) => kinds.map((k) => [k, group])));
export const groupOf = (kind) => GROUP_OF[kind] ?? "note";

/** How a message ended. */
export const OK = 0;
export const LOST = 1;
export const FAILED = 2;
export const PENDING = 3;

const AT_DESTINATION = new Set([CODE.arrive, CODE.reply]);
const NOWHERE = new Set([CODE.cut, CODE.join, CODE.tap, CODE.hold, CODE.release, CODE["lose request"],
  CODE["lose reply"], CODE.note, CODE.verdict]);

/** How long before the verdict an answer may have come to be what the test failed on, in seconds. */
const JUST_BEFORE = 1;
/** Who calls where it is the test itself that asks a server (labs/traces/events.py). */
export const HARNESS = "the harness";
/** Links that go down within so many seconds are one partition. */
const ONE_CHANGE = 0.002;
/** Names written out in a band; of more, how many there are. */
const NAMED = 3;

export class Trace {
  constructor(header = {}) {
    this.header = header;
    /** Of each event, by its number. `lane` is where it happened, -1 if at no process. */
    this.t = [];
    this.logical = [];
    this.kind = [];
    this.lane = [];
    this.src = [];
    this.dst = [];
    this.call = [];
    this.operation = [];
    this.method = [];
    this.body = [];
    this.text = [];
    this.texts = [];

    this.lanes = [];
    this.laneOf = new Map();
    this.calls = [];
    this.callOf = new Map();
    /** Messages under way: what is drawn as an arrow. From event `first`, to event `last` (-1: nobody saw it end). */
    this.arrows = [];
    this.operations = [];
    this.operationOf = new Map();
    this.bands = [];
    this.roles = [];
    this.verdict = null;
    this.end = 0;
    this.logicalEnd = 0;
    this.methods = new Map();
    this.keys = new Map();
    this._links = new Map();
  }

  get length() {
    return this.t.length;
  }

  /** Adds events: an array of them, or the columns that labs/report/columns.py makes. */
  append(events) {
    if (Array.isArray(events)) for (const event of events) this._add(event);
    else eachOf(events, (event) => this._add(event));
    this._open();
  }

  /** The place of an event on the axis. */
  at(event, logical) {
    return logical ? this.logical[event] : this.t[event];
  }

  lengthOf(logical) {
    return logical ? this.logicalEnd : this.end;
  }

  // --- building -----------------------------------------------------------------------------------------------------

  _add({t, kind, src = "", dst = "", id = 0, method = "", body = null, text = ""}) {
    const number = this.t.length, code = CODE[kind] ?? CODE.note;
    const from = src ? this._lane(src) : -1, to = dst ? this._lane(dst) : -1;
    const lane = NOWHERE.has(code) ? -1 : AT_DESTINATION.has(code) ? to : from;
    this.t.push(t);
    this.kind.push(code);
    this.src.push(from);
    this.dst.push(to);
    this.lane.push(lane);
    this.method.push(method);
    this.body.push(body);
    this.text.push(text);
    this.call.push(-1);
    this.operation.push(-1);
    if (t > this.end) this.end = t;
    const cause = this._cause(number, KINDS[code], id);
    this.logical.push(this._tick(lane, cause, code));
    if (method) this.methods.set(method, (this.methods.get(method) ?? 0) + (code === CODE.request || code === CODE.call));
    this._tell(number, KINDS[code], from, to);
  }

  /** An event's logical time: one more than its lane's and than that of the event that caused it. */
  _tick(lane, cause, code) {
    const before = cause >= 0 ? this.logical[cause] : 0;
    if (lane < 0) return NOWHERE.has(code) && cause >= 0 ? before + 0.5 : this.logicalEnd;
    const now = Math.max(this.lanes[lane].clock, before) + 1;
    this.lanes[lane].clock = now;
    if (now > this.logicalEnd) this.logicalEnd = now;
    return now;
  }

  _lane(name) {
    const known = this.laneOf.get(name);
    if (known !== undefined) return known;
    const number = this.lanes.length;
    this.lanes.push({
      name, number, isClient: false, isHarness: name === HARNESS, role: "", clock: 0, events: 0, rows: 1, starts: false, pings: false,
      alive: null, paused: null, links: null, roleBand: null, busy: [],
    });
    this.laneOf.set(name, number);
    return number;
  }

  /** Fits the event into its call or operation. Returns the number of the event that caused it, or -1. */
  _cause(number, kind, id) {
    if (kind === "call" || kind === "answer") return this._operation(number, kind, id);
    if (GROUP_OF[kind] !== "message") return -1;
    if (kind === "request") return this._request(number, id);
    const call = this.callOf.get(id);
    if (call === undefined) return -1;
    this.call[number] = call.number;
    if (!this.method[number]) this.method[number] = call.method;
    const {asked, answered} = call;
    switch (kind) {
      case "arrive":
        if (call.arrived >= 0) this._arrow(call, true, call.request, OK, number);
        else Object.assign(asked, {last: number, state: call.failed >= 0 ? FAILED : OK});
        call.arrived = number;
        return call.request;
      case "reply":
        if (call.replied < 0) call.answered = this._arrow(call, false, number, PENDING);
        call.replied = number;
        return -1;
      case "return":
        call.returned = number;
        if (answered) Object.assign(answered, {last: number, state: OK});
        return call.replied;
      case "lose request":
        Object.assign(asked, {last: number, state: LOST});
        call.lost = number;
        return call.request;
      case "lose reply":
        if (answered) Object.assign(answered, {last: number, state: LOST});
        call.lost = number;
        return call.replied;
      default:
        call.failed = number;
        for (const arrow of [asked, answered]) if (arrow && arrow.state === PENDING) arrow.state = FAILED;
        return -1;
    }
  }

  _request(number, id) {
    const call = {
      number: this.calls.length, id, from: this.src[number], to: this.dst[number], method: this.method[number],
      request: number, arrived: -1, replied: -1, returned: -1, lost: -1, failed: -1, asked: null, answered: null,
    };
    this.calls.push(call);
    this.callOf.set(id, call);
    this.call[number] = call.number;
    call.asked = this._arrow(call, true, number, PENDING);
    if (call.method === "Ping") this.lanes[call.from].pings = true;
    return -1;
  }

  _arrow(call, forward, first, state, last = -1) {
    const [from, to] = forward ? [call.from, call.to] : [call.to, call.from];
    const arrow = {number: this.arrows.length, call, forward, from, to, first, last, state};
    this.arrows.push(arrow);
    return arrow;
  }

  _operation(number, kind, id) {
    if (kind === "call") {
      const lane = this.lanes[this.src[number]], body = this.body[number] ?? {};
      const row = lane.busy.findIndex((open) => !open);
      const operation = {
        number: this.operations.length, id, lane: lane.number, method: this.method[number], key: body.key ?? "",
        value: body.value, expected: body.expected, result: undefined, call: number, answer: -1,
        row: row < 0 ? lane.busy.length : row,
      };
      lane.isClient = true;
      lane.busy[operation.row] = operation;
      lane.rows = Math.max(lane.rows, lane.busy.length);
      this.operations.push(operation);
      this.operationOf.set(id, operation);
      this.operation[number] = operation.number;
      this.keys.set(operation.key, (this.keys.get(operation.key) ?? 0) + 1);
      return -1;
    }
    const operation = this.operationOf.get(id);
    if (operation) {
      operation.answer = number;
      this.operation[number] = operation.number;
      operation.result = resultOf(this.body[number]);
      this.lanes[operation.lane].busy[operation.row] = null;
    }
    return -1;
  }

  /** What the event changes in the state of processes, links and roles. */
  _tell(number, kind, from, to) {
    if (this.lane[number] >= 0) this.lanes[this.lane[number]].events += 1;
    const lane = this.lanes[from];
    switch (kind) {
      case "start":
        lane.starts = true;
        lane.role = this.text[number] || lane.role;
        lane.isClient ||= lane.role.endsWith("clerk");
        this._alive(lane, number, "");
        break;
      case "kill":
      case "crash":
        this._paused(lane, number, false);
        this._role(lane, number, "", "");
        this._alive(lane, number, kind === "kill" ? "was killed" : "ended by itself");
        break;
      case "pause":
      case "resume":
        this._paused(lane, number, kind === "pause");
        break;
      case "cut": this._link(number, from, to, "cut", true); break;
      case "join": this._link(number, from, to, "cut", false); break;
      case "hold": this._link(number, from, to, "held", true); break;
      case "release": this._link(number, from, to, "held", false); break;
      case "return": {
        const view = this.method[number] === "Ping" ? viewIn(this.body[this._replyOf(number)]) : null;
        if (view) this._view(lane, number, view);
        break;
      }
      case "log": {
        const view = viewSaid(this.text[number]);
        if (view) this._view(lane, number, view);
        else this._part(lane, number, this.text[number]);
        break;
      }
      case "verdict":
        this.verdict = {event: number, text: this.text[number], ...(this.body[number] ?? {})};
        break;
    }
  }

  _replyOf(event) {
    const call = this.calls[this.call[event]];
    return call && call.replied >= 0 && this.body[event] === null ? call.replied : event;
  }

  _alive(lane, event, how) {
    this._close(lane.alive, lane, event);
    lane.alive = how ? this._band(lane, event, "dead", how) : null;
  }

  _paused(lane, event, is) {
    this._close(lane.paused, lane, event);
    lane.paused = is ? this._band(lane, event, "paused", "is paused") : null;
  }

  _band(lane, event, kind, text, more = {}) {
    const band = {
      lane: lane.number, kind, text, first: event, last: -1, from: this.t[event], until: Infinity,
      logicalFrom: lane.clock + (kind === "role" ? 0 : 0.5), logicalUntil: Infinity, ...more,
    };
    (kind === "role" ? this.roles : this.bands).push(band);
    return band;
  }

  _close(band, lane, event) {
    if (!band) return;
    band.last = event;
    band.until = this.t[event];
    band.logicalUntil = Math.max(band.logicalFrom, lane.clock + (band.kind === "role" ? 0 : 0.5));
  }

  /** A link goes down or up, or keeps messages back. Both ends show it. */
  _link(event, from, to, what, is) {
    if (from < 0 || to < 0) return;
    const name = `${what} ${from} ${to}`;
    if (is === this._links.has(name)) return;
    if (is) this._links.set(name, [what, from, to]);
    else this._links.delete(name);
    const lanes = from === to ? this.lanes : [this.lanes[from], this.lanes[to]];
    for (const lane of lanes) this._relink(lane, event);
  }

  _relink(lane, event) {
    const links = {out: [], in: [], held: [], self: false};
    for (const [what, from, to] of this._links.values()) {
      if (what === "held") {
        if (from === lane.number) links.held.push(this.lanes[to].name);
      } else if (from === to) links.self ||= from === lane.number;
      else if (this._links.has(`cut ${to} ${to}`) && to !== lane.number) continue;  // the deaf one's own lane says it
      else if (from === lane.number) links.out.push(this.lanes[to]);
      else if (to === lane.number) links.in.push(this.lanes[from]);
    }
    // What a client cannot reach is the client's trouble, and shown on its lane. Clients do not call each other.
    links.out = links.out.filter((other) => !other.isClient);
    links.in = links.in.filter((other) => !other.isClient && !lane.isClient);
    const text = this._cutText(lane, links), open = lane.links;
    if (open && this.t[event] - open.from < ONE_CHANGE) this.bands.splice(this.bands.lastIndexOf(open), 1);
    else if (open?.text === text) return;
    else this._close(open, lane, event);
    const kind = links.self ? "deaf" : links.out.length || links.in.length ? "cut" : "held";
    lane.links = text ? this._band(lane, event, kind, text, {isOwn: links.self || links.out.length > 0}) : null;
  }

  /** Which links of a lane are down, in words that go on after its name. */
  _cutText(lane, {out, in: into, held, self}) {
    const both = out.filter((other) => into.includes(other));
    const parts = [];
    if (self) parts.push("is deaf: its socket file is gone");
    else {
      if (both.length) parts.push(`is cut off from ${this._listed(lane, both)}`);
      const onlyIn = into.filter((other) => !both.includes(other));
      if (onlyIn.length) parts.push(`cannot be called by ${this._listed(lane, onlyIn)}`);
    }
    const onlyOut = out.filter((other) => self || !both.includes(other));
    if (onlyOut.length) parts.push(`cannot call ${this._listed(lane, onlyOut)}`);
    if (held.length) parts.push(`has its calls to ${held.join(", ")} held back`);
    return parts.join(", ");
  }

  /** Some of the others, in as few words as can be. */
  _listed(lane, some) {
    const servers = this.lanes.filter((other) => other !== lane && !other.isClient && !other.isHarness);
    if (servers.length > 1 && some.length === servers.length) return lane.isClient ? "every server" : "all others";
    const names = some.map((other) => other.name);
    return names.length <= NAMED ? names.join(", ") : `${names.slice(0, NAMED - 1).join(", ")} and ${names.length - NAMED + 1} more`;
  }

  _view(lane, event, {number, primary, backup}) {
    const part = lane.name === primary ? "primary" : lane.name === backup ? "backup" : "";
    const all = `view ${number}: primary ${primary || "none"}, backup ${backup || "none"}`, more = {view: number, all};
    if (part) this._role(lane, event, part, `${part} of view ${number}`, more);
    else if (lane.pings) this._role(lane, event, "other", `neither in view ${number}`, more);
    else this._role(lane, event, "tells", all, more);
  }

  /** A server says in its log that it leads, or no longer does. */
  _part(lane, event, line) {
    const said = /\b(no longer|not) (?:the )?(?:primary|leader|leading)\b/i.test(line) ? ["", ""]
      : line.match(/\b(?:i am|is|am|now|becomes?|became|as|i) (?:now |the |a )*(primary|backup|leader|leads?|follower|candidate)\b/i);
    if (!said) return;
    const part = said[1].toLowerCase().replace(/^leads?$/, "leader");
    this._role(lane, event, part, part);
  }

  _role(lane, event, role, text, more = {}) {
    if (lane.roleBand?.text === text && role) return;
    if (lane.roleBand) this._close(lane.roleBand, lane, event);
    lane.roleBand = role ? this._band(lane, event, "role", text, {role, ...more}) : null;
  }

  _open() {
    this.culprit = this.verdict ? findCulprit(this) : null;
  }

  // --- asking -------------------------------------------------------------------------------------------------------

  /** The state of a lane when an event happened there, in words: bands and role. */
  stateAt(lane, event) {
    const during = (band) => band.lane === lane && band.first <= event && (band.last < 0 || event < band.last);
    return [...this.roles.filter(during), ...this.bands.filter(during)];
  }

  /** The number of the first event at or after a time. */
  after(t) {
    let low = 0, high = this.t.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.t[middle] < t) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * What an event knows of and what knows of it: 1 in the past, 2 in the future, 3 the event itself, 0 neither.
   * A process that died passes nothing on to its next life. `also` belongs to the event: the rest of its call.
   */
  cone(event) {
    const mark = new Uint8Array(this.length);
    const reached = new Uint8Array(this.lanes.length);
    const {call: callOf, lane: laneOf, kind} = this;
    const passes = (number, one, two) => {
      const code = kind[number], call = this.calls[callOf[number]];
      return call && ((code === CODE.arrive && one[call.request]) || (code === CODE.return && call.replied >= 0 && one[call.replied])
        || (code === CODE["lose request"] && one[call.request]) || (code === CODE["lose reply"] && call.replied >= 0 && one[call.replied])) ? two : 0;
    };
    mark[event] = 3;
    if (laneOf[event] >= 0) reached[laneOf[event]] = 1;
    for (let i = event + 1; i < this.length; i++) {
      const lane = laneOf[i];
      if (kind[i] === CODE.start) reached[lane] = 0;
      if ((lane >= 0 && reached[lane]) || passes(i, mark, 2)) {
        mark[i] = 2;
        if (lane >= 0 && kind[i] !== CODE.kill) reached[lane] = 1;
      }
    }
    // Backwards a message leads from where it came to where it was sent.
    const wanted = new Uint8Array(this.length), needed = new Uint8Array(this.lanes.length);
    const need = (i) => {
      if (laneOf[i] >= 0) needed[laneOf[i]] = 1;
      const call = this.calls[callOf[i]];
      if (!call) return;
      if (kind[i] === CODE.arrive || kind[i] === CODE["lose request"]) wanted[call.request] = 1;
      if ((kind[i] === CODE.return || kind[i] === CODE["lose reply"]) && call.replied >= 0) wanted[call.replied] = 1;
    };
    need(event);
    if (kind[event] === CODE.start) needed[laneOf[event]] = 0;
    for (let i = event - 1; i >= 0; i--) {
      const lane = laneOf[i];
      if (!wanted[i] && !(lane >= 0 && needed[lane])) continue;
      mark[i] = 1;
      need(i);
      if (kind[i] === CODE.start) needed[lane] = 0;
    }
    return mark;
  }

  /** An event as one line of text. */
  describe(event) {
    const kind = KINDS[this.kind[event]], src = this.lanes[this.src[event]]?.name ?? "";
    const dst = this.lanes[this.dst[event]]?.name ?? "", method = this.method[event], text = this.text[event];
    const body = this.body[event] === null ? "" : ` ${brief(this.body[event])}`;
    switch (kind) {
      case "start": return `starts${text ? ` as ${text}` : ""}`;
      case "serve": return "listens";
      case "kill": return "is killed";
      case "crash": return `ended by itself${text ? `: ${text}` : ""}`;
      case "pause": return "is paused";
      case "resume": return "goes on";
      case "cut": return src === dst ? `socket file of ${src} deleted` : `link ${src} → ${dst} cut`;
      case "join": return src === dst ? `socket file of ${src} back` : `link ${src} → ${dst} up`;
      case "tap": return text ? `tap on ${src || "all"} → ${dst}: ${text}` : `tap on ${src || "all"} → ${dst} taken away`;
      case "hold": return `requests ${src} → ${dst} held`;
      case "release": return `requests ${src} → ${dst} released`;
      case "request": return `asks ${dst}: ${method}${body}`;
      case "arrive": return `gets ${method} from ${src}`;
      case "reply": return `answers ${src}: ${method}${body || ` ${text}`}`;
      case "return": return `has the reply of ${dst}: ${method}${body}`;
      case "lose request": return `${method} ${src} → ${dst} lost`;
      case "lose reply": return `reply to ${method} ${dst} → ${src} lost`;
      case "fail": return `${method} to ${dst} failed${text ? `: ${text}` : ""}`;
      case "call": return operationText(this._operationAt(event), false) || `${method}${body}`;
      case "answer": return operationText(this._operationAt(event), true) || `answer${body}`;
      case "verdict": return `${this.body[event]?.status ?? "verdict"}: ${text}`;
      default: return text;
    }
  }

  _operationAt(event) {
    return this.operations[this.operation[event]];
  }

  /** All there is to find in an event, in lower case; made when it is first looked for. */
  textOf(event) {
    const known = this.texts[event];
    if (known !== undefined) return known;
    const body = this.body[event];
    const parts = [this.lanes[this.src[event]]?.name ?? "", this.lanes[this.dst[event]]?.name ?? "",
      KINDS[this.kind[event]], this.method[event], this.text[event], body === null ? "" : JSON.stringify(body)];
    return this.texts[event] = parts.join(" ").toLowerCase();
  }
}

/** Calls `each` with every event of columns, in their order. */
function eachOf(columns, each) {
  const {names, methods, bodies, texts} = columns;
  let t = 0;
  for (let i = 0; i < columns.t.length; i++) {
    t += columns.t[i];
    each({
      t: t / columns.scale, kind: columns.kinds[columns.kind[i]], src: names[columns.src[i]], dst: names[columns.dst[i]],
      id: columns.id[i], method: methods[columns.method[i]], body: bodies[columns.body[i]], text: texts[columns.text[i]],
    });
  }
}

/** What the test failed on, as far as the trace shows it: a server that ended by itself, or an answer and who gave it. */
function findCulprit(trace) {
  const {verdict} = trace;
  if (!verdict || verdict.status === "passed") return null;
  const named = (lane) => mentions(verdict.text, trace.lanes[lane].name);
  for (let event = verdict.event - 1; event >= 0; event--) {
    if (trace.kind[event] === CODE.crash && named(trace.lane[event])) return {event, lane: trace.lane[event], operation: null, call: null, states: []};
  }
  const recent = ({answer}) => answer >= 0 && answer <= verdict.event && trace.t[answer] >= trace.t[verdict.event] - JUST_BEFORE;
  const proven = trace.operations.find((each) => each.id === (verdict.proof ?? [])[0]);
  const operation = proven ?? trace.operations.filter((each) => recent(each) && named(each.lane))
    .reduce((one, other) => (one && one.answer > other.answer ? one : other), undefined);
  if (!operation) return null;
  let call = null;
  for (const each of trace.calls) {
    if (each.from === operation.lane && each.request >= operation.call && each.returned >= 0
      && each.returned <= (operation.answer < 0 ? trace.length : operation.answer)) call = each;
  }
  if (!call) return {event: -1, lane: -1, operation, call, states: []};
  const event = call.replied < 0 ? call.arrived : call.replied, states = trace.stateAt(call.to, event);
  const believes = states.find((band) => band.view), newer = trace.roles.filter((band) => band.first < event && band.view > believes?.view);
  return {event, lane: call.to, operation, call, states, newer: newer.find((band) => band.role === "tells") ?? newer[0]};
}

const mentions = (text, name) => text.split(/[^\w-]+/).includes(name);

/** A view as the reply to a Ping holds it. */
function viewIn(body) {
  const fields = Array.isArray(body) ? body : body && typeof body === "object" ? [body.viewnum, body.primary, body.backup] : [];
  const [number, primary, backup] = typeof fields[0] === "string" ? fields.slice(1) : fields;
  return Number.isInteger(number) && typeof primary === "string" && typeof backup === "string" && number > 0
    ? {number, primary, backup} : null;
}

/** A view as a log line tells it. */
function viewSaid(line) {
  const said = line.match(/\bview (\d+):? primary ([^\s,]+),? backup ([^\s,]+)/i);
  const name = (text) => (/^(none|-|''|"")$/i.test(text) ? "" : text);
  return said && {number: Number(said[1]), primary: name(said[2]), backup: name(said[3])};
}

/** The result of an operation, whichever way it is written. */
function resultOf(body) {
  if (body && typeof body === "object") return body.result ?? body.value ?? null;
  return body;
}

/** An operation in words. */
export function operationText(operation, answered) {
  if (!operation) return "";
  const {method, key, value, expected, result} = operation;
  const asked = method === "get" ? `get ${quoted(key)}`
    : method === "cas" ? `cas ${quoted(key)} ${quoted(expected)} → ${quoted(value)}` : `${method} ${quoted(key)} ${quoted(value)}`;
  if (!answered) return asked;
  return result === null || result === undefined ? `${asked}: done` : `${asked} gave ${quoted(result)}`;
}

const LONG = 80;
/** A value in quotes; of a long one the end, which appends change. */
export function quoted(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "";
  return JSON.stringify(text.length > LONG ? `…${text.slice(-LONG)}` : text);
}

/** A body on one line. */
export function brief(body) {
  const text = JSON.stringify(body);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
