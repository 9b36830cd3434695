/** Draws what is visible of a trace on a canvas, and knows what is under the pointer. */

import {FAILED, KINDS, LOST, OK, PENDING, operationText} from "./model.js";

export const AXIS = 28;
const SERVER_LANE = 62, CLIENT_LANE = 34, ROW = 24, BAR = 19;
/** So many arrows are drawn one by one; of more, one stands for its neighbours. */
const MOST_ARROWS = 1500;
/** Lines in one path: a canvas draws several short paths much faster than one that is long. */
const PATH = 50;
/** With fewer arrows in sight than this, each has its method's name. */
const MOST_NAMES = 70;
/** A bar that is narrower has no edge. */
const SLIM = 4;
const HEAD = 6, CROSS = 4.5, GRIP = 7, STUB = 34;
const MONO = "11px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace", SANS = "11px system-ui, sans-serif";
/** Widths of a character, of fixed and of about average width. */
const CHARACTER = 6.63, LETTER = 6.2;
const BLOCK = 64;
/** Characters in a line of what is said beside the failure. */
const NARROW = 44;

/** Intervals on the axis, to be asked for those in a window. */
class Index {
  constructor(items, from, until) {
    const starts = Float64Array.from(items, from), order = new Uint32Array(items.length).map((_, i) => i);
    let sorted = true;
    for (let i = 1; i < starts.length && sorted; i++) sorted = starts[i - 1] <= starts[i];
    if (!sorted) order.sort((one, other) => starts[one] - starts[other]);
    this.items = items;
    this.order = order;
    this.starts = Float64Array.from(order, (i) => starts[i]);
    this.ends = Float64Array.from(order, (i) => Math.max(starts[i], until(items[i])));
    this.latest = new Float64Array(Math.ceil(items.length / BLOCK)).fill(-Infinity);
    for (let i = 0; i < this.ends.length; i++) {
      const block = (i / BLOCK) | 0;
      if (this.ends[i] > this.latest[block]) this.latest[block] = this.ends[i];
    }
  }

  /** Calls `visit` with each item that touches the window, by its beginning. */
  each(from, until, visit) {
    const stop = this.first(until);
    for (let i = 0; i < stop; i++) {
      if (i % BLOCK === 0 && this.latest[i / BLOCK] < from) i += BLOCK - 1;
      else if (this.ends[i] >= from) visit(this.items[this.order[i]]);
    }
  }

  /** How many begin before. */
  first(x) {
    let low = 0, high = this.starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.starts[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** What is on an axis, physical or logical. Made anew when the trace has grown. */
export class Plan {
  constructor(trace, logical) {
    this.trace = trace;
    this.logical = logical;
    this.length = Math.max(trace.lengthOf(logical), logical ? 10 : 1e-3);
    const at = logical ? trace.logical : trace.t, end = this.length;
    const from = logical ? (band) => band.logicalFrom : (band) => band.from;
    const until = logical ? (band) => Math.min(band.logicalUntil, end) : (band) => Math.min(band.until, end);
    this.at = at;
    this.from = from;
    this.until = until;
    this.arrows = new Index(trace.arrows, (each) => at[each.first], (each) => at[each.last < 0 ? each.first : each.last]);
    this.operations = new Index(trace.operations, (each) => at[each.call], (each) => (each.answer < 0 ? end : at[each.answer]));
    this.bands = new Index(trace.bands, from, until);
    this.roles = new Index(trace.roles, from, until);
    const points = [];
    for (let i = 0; i < trace.length; i++) if (POINTS.has(KINDS[trace.kind[i]])) points.push(i);
    this.points = new Index(points, (i) => at[i], (i) => at[i]);
  }
}

const COLOURS = ["ink", "paper", "faint", "stripe", "soft", "request", "reply", "bad", "mark", "read", "read-edge", "write",
  "write-edge", "past", "future", "cut", "dead", "primary", "backup"];
const POINTS = new Set(["log", "start", "serve", "kill", "crash", "pause", "resume", "fail", "note", "tap"]);
const SIGNS = {kill: "✕", crash: "✹", pause: "‖", resume: "▸", start: "▶", serve: "○"};

export class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.width = this.height = this.total = 0;
    this.labels = 120;
    this.stamps = new Uint32Array(0);
    this.frame = 0;
    this.arrows = [];
    this.bars = [];
    this.dots = [];
    this.strips = [];
    this.labelled = [];
    /** What the last picture held, for those who test and measure. */
    this.drawn = {arrows: 0, standing: 1, operations: 0, bands: 0, points: 0};
  }

  /** Takes the colours from the style sheet. */
  restyle() {
    const probe = document.createElement("span");  // it tells what a colour is in light or dark
    this.canvas.parentElement.append(probe);
    this.colours = Object.fromEntries(COLOURS.map((name) => {
      probe.style.color = `var(--${name})`;
      return [name, getComputedStyle(probe).color];
    }));
    probe.remove();
    this.patterns = null;
  }

  resize(width, height) {
    const ratio = globalThis.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.labels = width < 560 ? 74 : 128;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.ratio = ratio;
    this.patterns = null;
  }

  get room() {
    return Math.max(10, this.width - this.labels);
  }

  /** Where each shown lane is: its top, its line, its height. Hidden lanes have none. */
  place(trace, hidden) {
    let y = AXIS;
    this.rows = trace.lanes.map(() => null);
    const shown = trace.lanes.filter((lane) => !hidden.has(lane.name));
    const place = (lane) => (lane.isHarness ? 2 : lane.isClient ? 1 : 0), ordered = shown.sort((a, b) => place(a) - place(b));
    for (const lane of ordered) {
      const height = lane.isClient ? CLIENT_LANE + ROW * (lane.rows - 1) + 16 : SERVER_LANE;
      this.rows[lane.number] = {top: y, height, line: y + (lane.isClient ? 16 + 14 : 32), lane};
      y += height;
    }
    this.ordered = ordered;
    this.total = y;
  }

  // --- one picture --------------------------------------------------------------------------------------------------

  /** `view` has `from` and `until` on the axis of `plan`, and `top`, by how much the lanes are scrolled. */
  paint(plan, view, state) {
    const {context: c, colours} = this, {trace} = plan;
    if (!this.patterns) this.makePatterns();
    this.plan = plan;
    this.view = view;
    this.state = state;
    this.scale = this.room / (view.until - view.from);
    this.frame += 1;
    this.arrows.length = this.bars.length = this.dots.length = this.strips.length = this.labelled.length = 0;
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.globalAlpha = 1;
    c.fillStyle = colours.paper;
    c.fillRect(0, 0, this.width, this.height);
    c.save();
    c.beginPath();
    c.rect(this.labels, AXIS, this.width - this.labels, this.height - AXIS);
    c.clip();
    this._stripes();
    this._grid();
    this._bands();
    this._lines();
    this._roles();
    this._arrows();
    this._operations();
    this._points();
    for (const label of this.labelled) this._label(...label);
    const failed = trace.verdict && trace.verdict.status !== "passed" ? trace.verdict : null;
    if (failed) this._failure(failed);
    this._culprit();
    c.restore();
    this._axis();
    this._names();
    if (failed) this._flag(failed);
  }

  x(place) {
    return this.labels + (place - this.view.from) * this.scale;
  }

  line(lane) {
    const row = this.rows[lane];
    return row ? row.line - this.view.top : null;
  }

  _isHidden(row) {
    const top = row.top - this.view.top;
    return top > this.height || top + row.height < AXIS;
  }

  _stripes() {
    const {context: c} = this;
    c.fillStyle = this.colours.stripe;
    this.ordered.forEach((lane, place) => {
      const row = this.rows[lane.number];
      if (place % 2 === 0) c.fillRect(this.labels, row.top - this.view.top, this.width, row.height);
    });
  }

  _grid() {
    const {context: c} = this;
    c.strokeStyle = this.colours.faint;
    c.lineWidth = 1;
    c.beginPath();
    for (const place of this._ticks()) {
      const x = Math.round(this.x(place)) + 0.5;
      c.moveTo(x, AXIS);
      c.lineTo(x, Math.min(this.height, this.total - this.view.top));
    }
    c.stroke();
  }

  _ticks() {
    const {from, until} = this.view, step = niceStep((until - from) / Math.max(2, this.room / 110));
    const ticks = [];
    for (let place = Math.ceil(from / step) * step; place <= until; place += step) ticks.push(place);
    this.step = step;
    return ticks;
  }

  _bands() {
    const {context: c, plan, colours, view} = this;
    const written = new Map();
    this.drawn.bands = 0;
    plan.bands.each(view.from, view.until, (band) => {
      const row = this.rows[band.lane];
      if (!row || this._isHidden(row)) return;
      const left = Math.max(this.labels, this.x(plan.from(band))), right = Math.min(this.width, this.x(plan.until(band)));
      if (right - left < 0.5) return;
      const y = row.top - view.top, strong = band.kind !== "held" && band.isOwn !== false && !row.lane.isClient;
      const height = strong ? row.height - 4 : 8;
      c.fillStyle = this.patterns[band.kind];
      c.globalAlpha = strong || band.kind === "dead" ? 1 : 0.75;
      c.fillRect(left, y + 2, right - left, height);
      c.globalAlpha = 1;
      c.strokeStyle = band.kind === "dead" || band.kind === "paused" ? colours.dead : colours.cut;
      c.lineWidth = 1;
      c.strokeRect(left + 0.5, y + 2.5, right - left - 1, height - 1);
      this.strips.push({left, right, top: y + 2, bottom: y + 2 + height, band});
      this.drawn.bands += 1;
      if (row.lane.isClient && right - left < 60) return;
      const shift = written.get(band.lane) > left ? 12 : 0;
      this.labelled.push([`${BAND_SIGNS[band.kind]} ${band.text}`, left + 4, y + 13 + shift, right - left - 6, colours.ink]);
      written.set(band.lane, Math.min(right, left + band.text.length * LETTER));
    });
  }

  /** Text on a ground of paper, as much of it as there is room for. */
  _label(text, x, y, room, colour, font = SANS) {
    const {context: c} = this;
    c.font = font;
    const most = Math.floor(room / LETTER);
    if (most < 3) return;
    const shown = text.length > most ? `${text.slice(0, most - 1)}…` : text;
    const width = Math.min(c.measureText(shown).width, room);
    c.fillStyle = this.colours.paper;
    c.globalAlpha = 0.82;
    c.fillRect(x - 2, y - 10, width + 4, 13);
    c.globalAlpha = 1;
    c.fillStyle = colour;
    c.fillText(shown, x, y);
  }

  _lines() {
    const {context: c, plan} = this, {trace} = plan;
    c.strokeStyle = this.colours.soft;
    c.lineWidth = 1.2;
    c.beginPath();
    for (const lane of this.ordered) {
      const row = this.rows[lane.number];
      if (this._isHidden(row)) continue;
      const y = row.line - this.view.top;
      c.moveTo(Math.max(this.labels, this.x(0)), y);
      c.lineTo(Math.min(this.width, this.x(trace.lengthOf(plan.logical))), y);
    }
    c.stroke();
  }

  /** Who is primary, backup or leader: the line itself is thick, double or thin, and says so below. */
  _roles() {
    const {context: c, plan, colours, view} = this;
    plan.roles.each(view.from, view.until, (band) => {
      const row = this.rows[band.lane];
      if (!row || this._isHidden(row)) return;
      const left = Math.max(this.labels, this.x(plan.from(band))), right = Math.min(this.width, this.x(plan.until(band)));
      if (right - left < 1) return;
      const y = row.line - view.top, leads = band.role === "primary" || band.role === "leader";
      if (leads || band.role === "backup") {
        c.strokeStyle = leads ? colours.primary : colours.backup;
        c.lineWidth = leads ? 6 : 1.6;
        c.beginPath();
        for (const offset of leads ? [0] : [-2, 2]) {
          c.moveTo(left, y + offset);
          c.lineTo(right, y + offset);
        }
        c.stroke();
      }
      if (!row.lane.isClient) {
        const text = leads ? `★ ${band.text}` : band.text;
        const font = leads ? `bold ${SANS}` : SANS;
        this.labelled.push([text, left + 4, y + 22, right - left - 6, leads ? colours.primary : colours.ink, font]);
      }
      this.strips.push({left, right, top: y - 4, bottom: y + 24, band});
    });
  }

  // --- messages -----------------------------------------------------------------------------------------------------

  _arrows() {
    const {plan, view} = this;
    const margin = STUB / this.scale, from = view.from - margin, until = view.until + margin;
    const roughly = plan.arrows.first(until) - plan.arrows.first(from);
    const pairs = Math.max(1, Math.min(this.ordered.length * (this.ordered.length - 1), 60));
    const grain = roughly > MOST_ARROWS ? Math.max(2, (pairs * this.room) / MOST_ARROWS) : 0;
    const columns = grain ? Math.ceil(this.room / grain) + 2 : 0, lanes = plan.trace.lanes.length;
    if (this.stamps.length < lanes * lanes * columns) this.stamps = new Uint32Array(lanes * lanes * columns);
    const batches = new Map();
    let seen = 0;
    plan.arrows.each(from, until, (arrow) => {
      const fromRow = this.rows[arrow.from], toRow = this.rows[arrow.to];
      if (!fromRow || !toRow || (this._isHidden(fromRow) && this._isHidden(toRow))) return;
      seen += 1;
      const importance = this._importance(arrow);
      const x = this.x(plan.at[arrow.first]);
      if (grain && importance !== "past" && importance !== "future" && importance !== "culprit") {
        const column = Math.max(0, Math.floor((x - this.labels) / grain) + 1);
        const cell = (arrow.from * lanes + arrow.to) * columns + Math.min(column, columns - 1);
        const stamp = this.frame * 2 + (arrow.state === OK ? 0 : 1);
        if (this.stamps[cell] >= stamp) return;
        this.stamps[cell] = stamp;
      }
      const drawn = this._geometry(arrow, x, fromRow, toRow);
      this.arrows.push(drawn);
      const key = `${importance} ${arrow.state} ${arrow.forward ? 1 : 0}`;
      const batch = batches.get(key);
      if (batch) batch.push(drawn);
      else batches.set(key, [drawn]);
    });
    this.drawn.arrows = this.arrows.length;
    this.drawn.standing = this.arrows.length ? seen / this.arrows.length : 1;
    for (const importance of ["dim", "plain", "past", "future", "culprit"]) {
      for (const [key, batch] of batches) if (key.startsWith(importance)) this._batch(batch, importance, grain > 0);
    }
    if (!grain && this.arrows.length <= MOST_NAMES) this._methods();
  }

  /** How much an arrow matters now: to the selection, the filter, the failure. */
  _importance({first, last, call}) {
    const {cone, matches, culprit} = this.state;
    if (cone) {
      const mark = last >= 0 ? Math.max(cone[first] && cone[last] ? cone[last] : 0, cone[last] === 3 ? 3 : 0) : cone[first];
      if (!mark && !(cone[first] === 3)) return "dim";
      return cone[first] === 1 || (mark === 1) ? "past" : "future";
    }
    if (matches) return matches[first] || (last >= 0 && matches[last]) ? "plain" : "dim";
    return culprit && culprit.call === call ? "culprit" : "plain";
  }

  _geometry(arrow, x0, fromRow, toRow) {
    const {at} = this.plan, down = toRow.line > fromRow.line ? 1 : -1;
    const y0 = fromRow.line - this.view.top + down * (fromRow.lane.isClient ? BAR / 2 : 3);
    const yEnd = toRow.line - this.view.top - down * (toRow.lane.isClient ? BAR / 2 : 3);
    const ends = arrow.last >= 0 ? this.x(at[arrow.last]) : x0 + STUB;
    if (arrow.state === OK || (arrow.state === FAILED && arrow.last >= 0)) return {arrow, x0, y0, x1: ends, y1: yEnd};
    // In the air: no further than half of the way.
    const reach = arrow.state === LOST ? 0.55 : 0.4;
    return {arrow, x0, y0, x1: Math.max(x0 + (arrow.state === LOST ? 8 : 12), Math.min(ends, x0 + 60)), y1: y0 + (yEnd - y0) * reach};
  }

  _batch(batch, importance, dense) {
    const {context: c, colours} = this, {state, forward} = batch[0].arrow;
    const colour = importance === "past" || importance === "future" ? colours[importance]
      : importance === "culprit" ? colours.mark
        : state === LOST || state === FAILED ? colours.bad : forward ? colours.request : colours.reply;
    c.globalAlpha = importance === "dim" ? 0.13 : dense && importance === "plain" ? 0.4 : 1;
    c.strokeStyle = c.fillStyle = colour;
    c.lineWidth = importance === "culprit" ? 3 : importance === "plain" || importance === "dim" ? (dense ? 1 : 1.2) : 1.8;
    c.setLineDash(dense ? [] : state === FAILED ? [6, 4] : state === PENDING ? [1.5, 4] : []);
    for (let begin = 0; begin < batch.length; begin += PATH) {
      c.beginPath();
      for (const {x0, y0, x1, y1} of batch.slice(begin, begin + PATH)) {
        c.moveTo(x0, y0);
        c.lineTo(x1, y1);
      }
      c.stroke();
    }
    c.setLineDash([]);
    if (!dense) this._heads(batch, state, forward);
    c.globalAlpha = 1;
  }

  _heads(batch, state, forward) {
    const {context: c} = this;
    c.beginPath();
    for (const {arrow, x0, y0, x1, y1} of batch) {
      if (state === LOST) {
        c.moveTo(x1 - CROSS, y1 - CROSS);
        c.lineTo(x1 + CROSS, y1 + CROSS);
        c.moveTo(x1 + CROSS, y1 - CROSS);
        c.lineTo(x1 - CROSS, y1 + CROSS);
      } else if (arrow.last < 0) {
        c.moveTo(x1 + 3, y1);
        c.arc(x1, y1, 3, 0, 7);
      } else {
        const length = Math.hypot(x1 - x0, y1 - y0) || 1, ux = (x1 - x0) / length, uy = (y1 - y0) / length;
        const bx = x1 - ux * HEAD, by = y1 - uy * HEAD;
        c.moveTo(bx - uy * HEAD * 0.5, by + ux * HEAD * 0.5);
        c.lineTo(x1, y1);
        c.lineTo(bx + uy * HEAD * 0.5, by - ux * HEAD * 0.5);
      }
    }
    if (state === OK && forward) c.fill();
    else {
      c.lineWidth = state === LOST ? 2.2 : 1.5;
      c.stroke();
    }
  }

  _methods() {
    const {context: c, colours} = this;
    c.font = MONO;
    for (const {arrow, x0, y0, x1, y1} of this.arrows) {
      if (!arrow.forward || Math.abs(y1 - y0) < 26 || this._importance(arrow) === "dim") continue;
      const x = x0 + (x1 - x0) * 0.5 + 5, y = y0 + (y1 - y0) * 0.5 + 3;
      c.lineWidth = 3;
      c.strokeStyle = colours.paper;
      c.strokeText(arrow.call.method, x, y);
      c.fillStyle = colours.ink;
      c.fillText(arrow.call.method, x, y);
    }
  }

  // --- operations, points, failure ----------------------------------------------------------------------------------

  _operations() {
    const {context: c, plan, colours, view, state} = this, places = new Map();
    (plan.trace.verdict?.proof ?? []).forEach((id, place) => places.set(id, place + 1));
    c.font = MONO;
    const last = new Float64Array(plan.trace.lanes.length * 8).fill(-Infinity);
    this.drawn.operations = 0;
    plan.operations.each(view.from, view.until, (operation) => {
      const row = this.rows[operation.lane];
      if (!row || this._isHidden(row)) return;
      const isMarked = places.has(operation.id) || state.culprit?.operation === operation;
      const x0 = this.x(plan.at[operation.call]), x1 = this.x(operation.answer < 0 ? plan.length : plan.at[operation.answer]);
      const slot = operation.lane * 8 + (operation.row & 7);
      if (x1 - x0 < SLIM && x1 - last[slot] < 3 && !isMarked) return;
      last[slot] = Math.max(last[slot], x1);
      const y = row.line - view.top - BAR / 2 + ROW * operation.row, left = Math.max(this.labels - 4, x0);
      const width = Math.max(2, Math.min(this.width + 4, x1) - left), reads = operation.method === "get";
      const isDim = (state.cone && !state.cone[operation.call] && !(operation.answer >= 0 && state.cone[operation.answer]))
        || (state.matches && !state.matches[operation.call] && !(operation.answer >= 0 && state.matches[operation.answer]));
      c.globalAlpha = isDim ? 0.25 : 1;
      c.fillStyle = reads ? colours.read : colours.write;
      c.strokeStyle = isMarked ? colours.mark : reads ? colours["read-edge"] : colours["write-edge"];
      if (width < SLIM && !isMarked) {  // no room for an edge
        c.fillStyle = c.strokeStyle;
        c.fillRect(left, reads ? y + 2 : y, width, reads ? BAR - 4 : BAR);
      } else {
        c.lineWidth = isMarked ? 3.5 : 1.2;
        c.setLineDash(operation.answer < 0 ? [5, 4] : []);
        c.beginPath();
        if (reads) c.roundRect(left, y, width, BAR, 5);
        else c.rect(left, y, width, BAR);
        c.fill();
        c.stroke();
        c.setLineDash([]);
      }
      const indent = isMarked ? 22 : 5, letters = Math.floor((width - indent - 3) / CHARACTER);
      c.fillStyle = colours.ink;
      if (letters >= 2) c.fillText(shortened(barText(operation), letters), left + indent, y + 13.5);
      if (isMarked) this._badge(left + 12, y + BAR / 2, places.get(operation.id) ?? "!");
      c.globalAlpha = 1;
      this.bars.push({left, right: left + width, top: y, bottom: y + BAR, operation});
      this.drawn.operations += 1;
    });
  }

  _badge(x, y, text) {
    const {context: c, colours} = this;
    c.fillStyle = colours.mark;
    c.beginPath();
    c.arc(x, y, 8, 0, 7);
    c.fill();
    c.fillStyle = colours.paper;
    c.font = `bold ${SANS}`;
    c.textAlign = "center";
    c.fillText(String(text), x, y + 4);
    c.textAlign = "start";
    c.font = MONO;
  }

  _points() {
    const {context: c, plan, colours, view, state} = this, {trace} = plan;
    const last = new Map();
    this.drawn.points = 0;
    plan.points.each(view.from, view.until, (event) => {
      const kind = KINDS[trace.kind[event]], lane = trace.lane[event] >= 0 ? trace.lane[event] : trace.dst[event];
      const row = this.rows[lane], x = this.x(plan.at[event]);
      if (!row || this._isHidden(row)) return;
      if (!(kind in SIGNS)) {
        if (x - (last.get(lane) ?? -9) < 5) return;
        last.set(lane, x);
      }
      const y = row.line - view.top;
      const dim = (state.cone && !state.cone[event]) || (state.matches && !state.matches[event]);
      c.globalAlpha = dim ? 0.2 : 1;
      c.fillStyle = c.strokeStyle = kind === "fail" || kind === "crash" || kind === "kill" ? colours.bad : colours.ink;
      if (kind in SIGNS) {
        c.font = kind === "kill" || kind === "crash" ? "bold 17px system-ui, sans-serif" : SANS;
        c.textAlign = "center";
        c.fillText(SIGNS[kind], x, y + (kind === "kill" || kind === "crash" ? 6 : 4));
        c.textAlign = "start";
      } else if (kind === "fail") {
        c.lineWidth = 1.6;
        c.beginPath();
        c.moveTo(x, y - 6);
        c.lineTo(x, y + 6);
        c.stroke();
      } else {  // a line of a log: a small flag
        c.beginPath();
        c.moveTo(x, y);
        c.lineTo(x - 3.5, y + 8);
        c.lineTo(x + 3.5, y + 8);
        c.fill();
      }
      c.globalAlpha = 1;
      this.dots.push({x, y: kind === "log" ? y + 5 : y, event});
      this.drawn.points += 1;
    });
    if (state.selected >= 0) this._ring(state.selected, colours.mark);
    if (state.hovered >= 0 && state.hovered !== state.selected) this._ring(state.hovered, colours.soft);
  }

  _ring(event, colour) {
    const {context: c, plan} = this, {trace} = plan;
    const lane = trace.lane[event] >= 0 ? trace.lane[event] : trace.src[event];
    const row = this.rows[lane];
    if (!row) return;
    c.strokeStyle = colour;
    c.lineWidth = 2.5;
    c.beginPath();
    c.arc(this.x(plan.at[event]), row.line - this.view.top, 8, 0, 7);
    c.stroke();
  }

  /** Says beside the message on which the test failed who answered it, and in which state. */
  _culprit() {
    const {culprit} = this.state;
    if (!culprit || culprit.event < 0 || this.state.cone) return;
    const {event} = culprit, row = this.rows[culprit.lane];
    if (!row || this._isHidden(row)) return;
    const {context: c, colours} = this, x = this.x(this.plan.at[event]), y = row.line - this.view.top;
    if (x < this.labels - 2 || x > this.width + 2) return;
    const lines = culpritText(this.plan.trace, culprit).flatMap((line) => wrapped(line, Math.min(NARROW, this.room / 7.5)));
    c.font = `bold ${SANS}`;
    const width = Math.max(...lines.map((line) => c.measureText(line).width)) + 14, height = 5 + 15 * lines.length;
    const isRight = x + width + 26 < this.width, isLeft = !isRight && x - width - 20 > this.labels;
    const left = isRight ? x + 20 : isLeft ? x - width - 20 : this.labels + 4;
    const top = isRight || isLeft ? Math.max(AXIS + 2, Math.min(y - height / 2, this.height - height - 2)) : y + 16;
    const [px, py] = isRight ? [left + 2, y] : isLeft ? [left + width - 2, y] : [x, top + 2];
    c.fillStyle = colours.mark;
    c.beginPath();
    c.roundRect(left, top, width, height, 4);
    c.fill();
    c.beginPath();
    for (const side of [-6, 6]) c.lineTo(px + (py === y ? 0 : side), py + (py === y ? side : 0));
    c.lineTo(x + Math.sign(px - x) * 7, y + Math.sign(py - y) * 7);
    c.fill();
    c.fillStyle = colours.paper;
    lines.forEach((line, place) => c.fillText(line, left + 7, top + 14 + 15 * place));
    c.strokeStyle = colours.mark;
    c.lineWidth = 2.5;
    c.beginPath();
    c.arc(x, y, 7, 0, 7);
    c.stroke();
  }

  _failure({event}) {
    const {context: c} = this, x = this.x(this.plan.at[event]);
    c.strokeStyle = this.colours.mark;
    c.lineWidth = 2;
    c.setLineDash([8, 4]);
    c.beginPath();
    c.moveTo(x - 1, AXIS);
    c.lineTo(x - 1, this.height);
    c.stroke();
    c.setLineDash([]);
  }

  _flag({event, status}) {
    const {context: c, colours} = this, x = this.x(this.plan.at[event]);
    if (x < this.labels || x > this.width + 1) return;
    c.font = `bold ${SANS}`;
    const text = `✗ ${status === "inconclusive" ? "inconclusive" : "the test fails"}`, width = c.measureText(text).width + 12;
    const left = Math.min(x - 1, this.width - width);
    c.fillStyle = colours.mark;
    c.fillRect(left, 4, width, 19);
    c.fillStyle = colours.paper;
    c.fillText(text, left + 6, 17);
  }

  // --- around -------------------------------------------------------------------------------------------------------

  _axis() {
    const {context: c, colours} = this;
    c.fillStyle = colours.paper;
    c.fillRect(0, 0, this.width, AXIS);
    c.strokeStyle = colours.soft;
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(0, AXIS - 0.5);
    c.lineTo(this.width, AXIS - 0.5);
    c.stroke();
    c.font = SANS;
    c.fillStyle = colours.ink;
    for (const place of this._ticks()) {
      const x = this.x(place);
      if (x < this.labels - 1) continue;
      c.fillText(this.plan.logical ? String(Math.round(place)) : `${decimals(place, this.step)} s`, x + 4, 18);
      c.fillRect(Math.round(x), 20, 1, 8);
    }
  }

  _names() {
    const {context: c, colours} = this;
    c.fillStyle = colours.paper;
    c.fillRect(0, 0, this.labels, this.height);
    c.strokeStyle = colours.soft;
    c.beginPath();
    c.moveTo(this.labels - 0.5, 0);
    c.lineTo(this.labels - 0.5, this.height);
    c.stroke();
    c.save();
    c.beginPath();
    c.rect(0, AXIS, this.labels - 3, this.height);
    c.clip();
    for (const lane of this.ordered) {
      const row = this.rows[lane.number], y = row.line - this.view.top;
      if (this._isHidden(row)) continue;
      c.fillStyle = colours.ink;
      c.font = "bold 13px system-ui, sans-serif";
      c.fillText(lane.name, 8, y + 2);
      c.font = SANS;
      c.fillStyle = colours.soft;
      c.fillText(lane.role || (lane.isClient ? "client" : ""), 8, y + 15);
    }
    c.restore();
    c.font = SANS;
    c.fillStyle = colours.soft;
    c.fillText(this.plan.logical ? "logical time" : "time", 8, 18);
  }

  /** What is at this place of the canvas: `{event, text}`, or null. */
  hit(x, y) {
    if (!this.plan || x < this.labels || y < AXIS) return null;
    const {trace} = this.plan, inside = (box) => x >= box.left - 2 && x <= box.right + 2 && y >= box.top && y <= box.bottom;
    const dot = this.dots.find((each) => Math.abs(each.x - x) < 6 && Math.abs(each.y - y) < 7);
    if (dot) return {event: dot.event, text: `${trace.lanes[trace.lane[dot.event]]?.name ?? ""} ${trace.describe(dot.event)}`};
    const bar = this.bars.find(inside);
    if (bar) {
      const {operation} = bar;
      return {event: operation.answer >= 0 ? operation.answer : operation.call, text: operationText(operation, operation.answer >= 0)};
    }
    let best = null, nearest = GRIP;
    for (const each of this.arrows) {
      const distance = toSegment(x, y, each);
      if (distance < nearest) [best, nearest] = [each, distance];
    }
    if (best) {
      const {arrow} = best;
      const event = arrow.last >= 0 && Math.hypot(x - best.x1, y - best.y1) < Math.hypot(x - best.x0, y - best.y0) ? arrow.last : arrow.first;
      return {event, text: arrowText(trace, arrow)};
    }
    const strip = this.strips.find(inside);
    return strip ? {event: strip.band.first, text: `${trace.lanes[strip.band.lane].name}: ${strip.band.text}`} : null;
  }

  /** The lane at this height, or null. */
  laneAt(y) {
    return this.ordered?.find((lane) => {
      const top = this.rows[lane.number].top - this.view.top;
      return y >= top && y < top + this.rows[lane.number].height;
    }) ?? null;
  }

  // --- patterns: what a band is can be seen without colour ----------------------------------------------------------

  makePatterns() {
    const {colours} = this;
    this.patterns = {
      dead: this._pattern(colours.dead, 7, (c) => strokes(c, [[0, 7, 7, 0], [-1, 1, 1, -1], [6, 8, 8, 6]]), 0.55, 1.4),
      paused: this._pattern(colours.dead, 8, (c) => strokes(c, [[2, 0, 2, 8]]), 0.6, 2),
      cut: this._pattern(colours.cut, 9, (c) => strokes(c, [[0, 0, 9, 9], [-1, 8, 1, 10], [8, -1, 10, 1]]), 0.5, 1.3),
      deaf: this._pattern(colours.cut, 9, (c) => strokes(c, [[0, 0, 9, 9], [9, 0, 0, 9]]), 0.45, 1.1),
      held: this._pattern(colours.cut, 6, (c) => c.fillRect(2, 2, 2, 2), 0.8, 1),
    };
  }

  _pattern(colour, size, draw, alpha, width) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = Math.round(size * this.ratio);
    const c = tile.getContext("2d");
    c.scale(tile.width / size, tile.height / size);
    c.globalAlpha = 0.1;
    c.fillStyle = c.strokeStyle = colour;
    c.fillRect(0, 0, size, size);
    c.globalAlpha = alpha;
    c.lineWidth = width;
    draw(c);
    const pattern = this.context.createPattern(tile, "repeat");
    pattern.setTransform(new DOMMatrix().scale(size / tile.width));
    return pattern;
  }
}

const BAND_SIGNS = {dead: "✕", paused: "‖", cut: "✂", deaf: "∅", held: "⋯"};

/** The small picture of the whole: how much went on when, what was down, and which part is in sight. */
export function paintOverview(canvas, painter, plan, view) {
  const ratio = painter.ratio, width = canvas.clientWidth, height = canvas.clientHeight, {colours} = painter;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const c = canvas.getContext("2d"), {trace} = plan;
  c.scale(ratio, ratio);
  c.fillStyle = colours.stripe;
  c.fillRect(0, 0, width, height);
  const x = (place) => (place / plan.length) * width;
  c.fillStyle = colours.cut;
  c.globalAlpha = 0.3;
  for (const band of trace.bands) {
    if (band.kind === "held") continue;
    c.fillRect(x(plan.from(band)), height - 5, Math.max(1, x(plan.until(band)) - x(plan.from(band))), 5);
  }
  c.globalAlpha = 1;
  if (plan.counts?.length !== Math.ceil(width)) plan.counts = counted(plan, Math.ceil(width));
  const most = plan.counts.reduce((one, other) => Math.max(one, other), 1);
  c.fillStyle = colours.request;
  plan.counts.forEach((count, column) => {
    const tall = Math.sqrt(count / most) * (height - 8);
    c.fillRect(column, height - 6 - tall, 1, tall);
  });
  if (trace.verdict && trace.verdict.status !== "passed") {
    c.fillStyle = colours.mark;
    c.fillRect(Math.min(width - 2, x(plan.at[trace.verdict.event])), 0, 2, height);
  }
  const left = x(view.from), right = x(view.until);
  c.fillStyle = colours.ink;
  c.globalAlpha = 0.14;
  c.fillRect(0, 0, left, height);
  c.fillRect(right, 0, width - right, height);
  c.globalAlpha = 1;
  c.strokeStyle = colours.ink;
  c.lineWidth = 1.5;
  c.strokeRect(left + 0.75, 0.75, Math.max(4, right - left - 1.5), height - 1.5);
}

function counted(plan, columns) {
  const counts = new Float64Array(columns), share = columns / plan.length;
  for (const place of plan.at) counts[Math.min(columns - 1, Math.floor(place * share))] += 1;
  return counts;
}

/** Who answered the operation on which the test failed, and what was to be said of that server then: a few lines. */
export function culpritText(trace, {call, lane, states, newer}) {
  if (!call) return [`${trace.lanes[lane].name} ended by itself here`];
  const name = trace.lanes[call.to].name, verb = call.replied >= 0 ? "answers this" : "gets this";
  const broken = states.filter((band) => band.kind === "cut" || band.kind === "deaf" || band.kind === "paused");
  const believes = states.find((band) => band.kind === "role" && band.role !== "tells" && band.role !== "other");
  const lines = [name + " " + verb + broken.map((band) => `, though it ${band.text}`).join("")];
  if (believes) lines.push(`it takes itself for the ${believes.text}`);
  if (newer) lines.push(`but ${trace.lanes[newer.lane].name} has known since ${newer.from.toFixed(3)} s: ${newer.all}`);
  return lines;
}

/** A long line as several. */
function wrapped(line, most) {
  const lines = [""];
  for (const word of line.split(" ")) {
    const last = lines.length - 1;
    if (lines[last] && lines[last].length + word.length + 1 > most) lines.push(`  ${word}`);
    else lines[last] += (lines[last] ? " " : "") + word;
  }
  return lines;
}

export function arrowText(trace, arrow) {
  const {call, forward, state} = arrow, from = trace.lanes[arrow.from].name, to = trace.lanes[arrow.to].name;
  const how = state === LOST ? ", lost" : state === FAILED ? ", failed" : state === PENDING ? ", nobody saw it arrive" : "";
  return `${forward ? call.method : `reply to ${call.method}`}: ${from} → ${to}${how}`;
}

function barText({method, value, expected, result, answer}) {
  if (method === "get") return answer < 0 ? "get ?" : `get → ${result ?? "?"}`;
  if (method === "cas") return `cas ${expected}→${value} ${result ?? "?"}`;
  return `${method} ${value ?? ""}`;
}

/** Of a long text the end says most, since appends change that. */
function shortened(text, letters) {
  if (text.length <= letters) return text;
  const head = text.slice(0, text.indexOf(" ") + 1);
  return head.length + 2 > letters ? text.slice(0, letters) : `${head}…${text.slice(text.length - (letters - head.length - 1))}`;
}

function strokes(c, lines) {
  c.beginPath();
  for (const [x0, y0, x1, y1] of lines) {
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
  }
  c.stroke();
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough)), share = rough / power;
  return (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10) * power;
}

/** A time with as many decimals as the axis needs. */
export function decimals(place, step) {
  return place.toFixed(Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9))));
}

function toSegment(x, y, {x0, y0, x1, y1}) {
  const dx = x1 - x0, dy = y1 - y0, squared = dx * dx + dy * dy;
  const share = squared ? Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / squared)) : 0;
  return Math.hypot(x - x0 - share * dx, y - y0 - share * dy);
}
