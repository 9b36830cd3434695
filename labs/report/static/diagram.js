/**
 * The space-time diagram of a trace, to look around in.
 *
 *   const diagram = new Diagram(element, {theme: "dark", follow: true, onSelect: (event) => …});
 *   diagram.load(header, events);    // events as labs/traces/events.py has them, or as columns
 *   diagram.append(events);          // more of them, as they happen
 *   diagram.select(event);           // by its number in the trace; -1 for none
 *
 * It needs diagram.css and the colours of labs/page.py, and asks for nothing else: no network, no library.
 */

import {GROUPS, HARNESS, KINDS, Trace, groupOf} from "./model.js";
import {AXIS, Painter, Plan, paintOverview} from "./painter.js";
import {EventList} from "./list.js";
import {details} from "./details.js";
import {el} from "./dom.js";

/** Milliseconds until the list follows the picture. */
const AFTERWARDS = 100;
const CLOSEST = 1e-6, STEP = 1.35, PAN = 0.15;
/** Events around the failure that are in sight at first, of a trace that has more. */
const AROUND = 260;
const MARGIN = 0.03;
/** Right of the failure is room for words, in pixels, but no more than half of the picture. */
const WORDS = 330;
/** Of the room left of it, the share that what led to it takes. */
const TOLD = 0.85;
/** What happened before belongs to it, if it is no longer ago than so many times as the message took. */
const NEAR = 4;

export const HELP = [
  ["wheel, + −", "zoom in and out, where the pointer is"],
  ["drag, ← →", "move in time; ↑ ↓ or drag: other lanes"],
  ["Shift + wheel", "move in time"],
  ["0", "all of it"],
  ["g", "to the failure"],
  ["click", "an event: its details, its past and its future; the rest is dimmed"],
  [", .", "the event before, and after"],
  ["[ ]", "the same, of the same process"],
  ["m", "to the other end of the message"],
  ["Enter", "the selected event into the middle"],
  ["Esc", "nothing selected"],
  ["t", "physical or logical time"],
  ["/", "search; n and N: next and previous match"],
  ["?", "this help"],
];

export class Diagram {
  constructor(element, options = {}) {
    this.options = {toolbar: true, list: true, follow: false, onSelect: () => {}, ...options};
    this.trace = new Trace();
    this.logical = false;
    this.hidden = new Set([HARNESS]);
    this.filter = {server: "", method: "", group: "", key: "", text: ""};
    this.state = {selected: -1, hovered: -1, cone: null, matches: null, culprit: null};
    this.view = {from: 0, until: 1, top: 0};
    /** How long pictures took, in milliseconds, for those who measure. */
    this.frames = [];
    this._plans = [null, null];
    this._pending = this._syncing = 0;
    this._build(element);
    this.theme(options.theme ?? null);
    this._resizing = new ResizeObserver(() => this._resize());
    this._resizing.observe(this.stage);
    this._dark = matchMedia("(prefers-color-scheme: dark)");
    this._restyle = () => this.theme(this._theme);
    this._dark.addEventListener("change", this._restyle);
    this._resize();
  }

  /** Leaves nothing behind that would go on. */
  close() {
    this._resizing.disconnect();
    this._dark.removeEventListener("change", this._restyle);
    cancelAnimationFrame(this._pending);
    clearTimeout(this._syncing);
    this._pending = 0;
    this.element.replaceChildren();
  }

  // --- what is shown ------------------------------------------------------------------------------------------------

  load(header, events) {
    this.trace = new Trace(header);
    Object.assign(this.state, {selected: -1, hovered: -1, cone: null, matches: null, culprit: null});
    Object.assign(this.filter, {server: "", method: "", group: "", key: "", text: ""});
    this.trace.append(events);
    this._grown();
    this._home();
    this._choices();
    this._update();
  }

  append(events) {
    const end = this.view.until >= this.plan.length * 0.999, whole = end && this.view.from <= 0, began = this.trace.length === 0;
    this.trace.append(events);
    this._grown();
    if (began || whole) this.fit();
    else if (this.options.follow && end) this._show(this.plan.length, 0.95);
    this._choices();
    this._update();
  }

  /** Selects an event by its number. -1: none. */
  select(event, {centre = true} = {}) {
    this.state.selected = event;
    this.state.cone = event >= 0 ? this.trace.cone(event) : null;
    if (event >= 0 && centre) this._into(event);
    this._tellDetails();
    this._update();
    this.list?.select(event);
    if (event >= 0 && centre) this.list?.centre(event);
    this.options.onSelect(event);
  }

  /** Light, dark, or (null) as the page or the system has it. */
  theme(name) {
    this._theme = name;
    if (name) this.element.dataset.theme = name;
    else delete this.element.dataset.theme;
    this.painter.restyle();
    this.draw();
  }

  /** Physical or logical time. What was in the middle stays there, as nearly as can be. */
  time(logical) {
    const event = this.state.selected >= 0 ? this.state.selected : this._middle();
    const share = Math.min(1, (this.view.until - this.view.from) / this.plan.length);
    this.logical = logical;
    const width = this.plan.length * share, at = this.trace.length ? this.trace.at(event, logical) : 0;
    this._look(at - width / 2, at + width / 2);
    if (this.timeChoice) this.timeChoice.checked = logical;
    this.draw();
  }

  /** All of it. */
  fit() {
    const {length} = this.plan;
    this._look(-length * MARGIN, length * (1 + MARGIN));
  }

  /** The last so many seconds. With the option `follow` it stays there while events come. */
  recent(seconds) {
    const {length} = this.plan;
    this._look(length - seconds * 0.95, length + seconds * 0.05);
    this.draw();
  }

  /** To the failure, and to the moments before it. */
  toFailure() {
    const {culprit} = this.state, {verdict} = this.trace;
    const event = verdict?.event ?? this.trace.length - 1;
    if (event < 0) return;
    const at = (number) => this.trace.at(number, this.logical);
    let until = at(event);
    let from = at(culprit?.call ? culprit.call.request : Math.max(0, event - AROUND));
    if (culprit?.newer && until - at(culprit.newer.first) < NEAR * (until - from)) from = Math.min(from, at(culprit.newer.first));
    const proof = this.trace.operations.filter((each) => verdict?.proof?.includes(each.id) && each.answer >= 0);
    if (proof.length) {  // a history is judged at the end, and may have been wrong long before
      const begin = Math.min(from, ...proof.map((each) => at(each.call))), end = Math.max(...proof.map((each) => at(each.answer)));
      if (until - end > NEAR * (end - begin)) [from, until] = [begin, end];
    }
    const last = 1 - Math.min(0.5, WORDS / this.painter.room), width = Math.max(until - from, this.plan.length * 0.004) / (last * TOLD);
    this._look(until - width * last, until + width * (1 - last));
    this._toLane(culprit?.lane);
    this.draw();
  }

  get plan() {
    return this._plans[Number(this.logical)] ??= new Plan(this.trace, this.logical);
  }

  // --- the page -----------------------------------------------------------------------------------------------------

  _build(element) {
    this.element = element;
    element.classList.add("diagram");
    this.canvas = el("canvas", {tabindex: 0, role: "application", "aria-roledescription": "space-time diagram",
      "aria-label": "Space-time diagram: a lane for each process, arrows for messages. Press ? for the keys."});
    this.tip = el("div", {class: "tip", role: "tooltip", hidden: true});
    this.stage = el("div", {class: "stage"}, this.canvas, this.tip);
    this.overview = el("canvas", {class: "overview", tabindex: 0, role: "scrollbar", "aria-orientation": "horizontal",
      "aria-label": "the part of the run that is in sight", "aria-valuemin": 0, "aria-valuemax": 100});
    this.says = el("p", {class: "says", role: "status", "aria-live": "polite"});
    this.about = el("div", {class: "details", "aria-live": "polite"});
    this.painter = new Painter(this.canvas);
    const main = el("div", {class: "main"}, this.stage, this.overview, this.says);
    element.replaceChildren(...(this.options.toolbar ? [this._toolbar()] : []), main);
    if (this.options.list) {
      this.list = new EventList({onPick: (event) => this.select(event), onScroll: (event) => this._scrolledTo(event)});
      element.append(el("div", {class: "side"}, this._listHead(), this.list.element, this.about));
    } else element.append(this.about);
    element.append(this.help = this._help());
    this._listen();
  }

  _toolbar() {
    const choose = (name, label) => {
      const select = el("select", {"aria-label": label, onchange: () => this._filter(name, select.value)});
      return (this.selects ??= {})[name] = select;
    };
    const search = el("input", {type: "search", placeholder: "search messages and logs", "aria-label": "search messages and logs",
      oninput: () => this._filter("text", search.value.toLowerCase()), onkeydown: (key) => {
        key.stopPropagation();
        if (key.key === "Enter") this._match(key.shiftKey ? -1 : 1);
        if (key.key === "Escape") this.canvas.focus();
      }});
    const key = el("input", {type: "search", placeholder: "key", size: 6, "aria-label": "only this key",
      oninput: () => this._filter("key", key.value), onkeydown: (event) => event.stopPropagation()});
    this.search = search;
    this.keyBox = key;
    this.found = el("span", {class: "found"});
    this.timeChoice = el("input", {type: "checkbox", onchange: () => this.time(this.timeChoice.checked)});
    const button = (text, label, does) => el("button", {type: "button", title: label, "aria-label": label, onclick: () => {
      does();
      this.draw();
    }}, text);
    const harness = el("input", {type: "checkbox", onchange: () => {
      if (harness.checked) this.hidden.delete(HARNESS);
      else this.hidden.add(HARNESS);
      this._grown();
      this._update();
    }});
    this.harnessChoice = el("label", {title: "what the test itself asks servers, on a path that no fault touches"}, harness, " the test's own calls");
    this.failureButton = button("to the failure", "to the failure (g)", () => this.toFailure());
    return el("div", {class: "toolbar", role: "toolbar", "aria-label": "search, filters and view"},
      search, choose("server", "only this server"), choose("method", "only this method"), choose("group", "only this kind"), key, this.found,
      el("span", {class: "gap"}), this.harnessChoice,
      el("label", {title: "logical time: what could know of what; distances say nothing (t)"}, this.timeChoice, " logical time"),
      this.failureButton, button("−", "zoom out (−)", () => this.zoom(1 / STEP)), button("+", "zoom in (+)", () => this.zoom(STEP)),
      button("all", "all of it (0)", () => this.fit()), button("?", "keys and signs (?)", () => this._showHelp()));
  }

  _listHead() {
    this.listed = new Set(["log", "operation", "fault", "process", "note"]);
    const boxes = Object.keys(GROUPS).map((group) => {
      const box = el("input", {type: "checkbox", checked: this.listed.has(group), onchange: () => {
        if (box.checked) this.listed.add(group);
        else this.listed.delete(group);
        this._list();
      }});
      return el("label", {}, box, ` ${group}s`.replace("processs", "processes"));
    });
    return el("div", {class: "listhead", role: "group", "aria-label": "what the list shows"}, ...boxes);
  }

  _help() {
    this.samples = LEGEND.map(([draw]) => [el("canvas", {width: 184, height: 88, class: "sample", "aria-hidden": "true"}), draw]);
    const legend = LEGEND.map(([, text], place) => el("li", {}, this.samples[place][0], text));
    return el("dialog", {class: "help", "aria-label": "keys and signs", onclick: (event) => event.target === this.help && this.help.close()},
      el("form", {method: "dialog"}, el("h2", {}, "What the signs mean"), el("ul", {class: "legend"}, ...legend),
        el("h2", {}, "Keys"), el("dl", {}, ...HELP.flatMap(([keys, does]) => [el("dt", {}, keys), el("dd", {}, does)])),
        el("button", {autofocus: true}, "close")));
  }

  _showHelp() {
    if (!this.painter.patterns) this.painter.makePatterns();
    for (const [canvas, draw] of this.samples) {
      const c = canvas.getContext("2d");
      c.setTransform(2, 0, 0, 2, 0, 0);
      c.clearRect(0, 0, 92, 44);
      draw(c, this.painter.colours, this.painter.patterns);
    }
    this.help.showModal();
  }

  // --- input --------------------------------------------------------------------------------------------------------

  _listen() {
    const {canvas} = this;
    canvas.addEventListener("wheel", (event) => this._wheel(event), {passive: false});
    canvas.addEventListener("pointerdown", (event) => this._press(event));
    canvas.addEventListener("pointermove", (event) => this._move(event));
    canvas.addEventListener("pointerup", (event) => this._release(event));
    canvas.addEventListener("pointercancel", (event) => this._release(event));
    canvas.addEventListener("pointerleave", () => this._hover(null));
    canvas.addEventListener("keydown", (event) => this._key(event));
    canvas.addEventListener("dblclick", (event) => this.zoom(STEP * STEP, event.offsetX));
    this._fingers = new Map();
    const drag = (event) => {
      if (event.buttons & 1 || event.type === "pointerdown") this._show((event.offsetX / this.overview.clientWidth) * this.plan.length, 0.5);
    };
    this.overview.addEventListener("pointerdown", (event) => {
      this.overview.setPointerCapture(event.pointerId);
      drag(event);
    });
    this.overview.addEventListener("pointermove", drag);
    this.overview.addEventListener("keydown", (event) => this._key(event));
  }

  _wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1, dx = event.deltaX * unit, dy = event.deltaY * unit;
    if (event.offsetX < this.painter.labels || event.altKey) this._scroll(dy);
    else if (event.shiftKey || Math.abs(dx) > Math.abs(dy)) this._pan((Math.abs(dx) > Math.abs(dy) ? dx : dy) / this.painter.scale);
    else this.zoom(Math.exp(-dy * 0.0022), event.offsetX);
  }

  _press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this._fingers.set(event.pointerId, event);
    this._dragged = 0;
  }

  _move(event) {
    const before = this._fingers.get(event.pointerId);
    if (!before) return this._hover(event);
    const dx = event.offsetX - before.offsetX, dy = event.offsetY - before.offsetY;
    this._dragged += Math.abs(dx) + Math.abs(dy);
    if (this._fingers.size === 2) this._pinch(event);
    else if (this._dragged > 4) {
      this._pan(-dx / this.painter.scale);
      this._scroll(-dy);
    }
    this._fingers.set(event.pointerId, event);
  }

  _pinch(event) {
    const others = [...this._fingers.values()], [other] = others.filter((each) => each.pointerId !== event.pointerId);
    const before = Math.abs(this._fingers.get(event.pointerId).offsetX - other.offsetX), now = Math.abs(event.offsetX - other.offsetX);
    if (before > 10 && now > 10) this.zoom(now / before, (event.offsetX + other.offsetX) / 2);
  }

  _release(event) {
    if (!this._fingers.delete(event.pointerId) || event.type === "pointercancel" || this._dragged > 4) return;
    if (event.offsetX < this.painter.labels) {
      const lane = this.painter.laneAt(event.offsetY);
      if (lane) this._filter("server", this.filter.server === lane.name ? "" : lane.name);
      return;
    }
    const hit = this.painter.hit(event.offsetX, event.offsetY);
    this.select(hit ? hit.event : -1, {centre: false});
    if (hit) this.list?.centre(hit.event);
  }

  _hover(pointer) {
    const hit = pointer && this.painter.hit(pointer.offsetX, pointer.offsetY);
    this.canvas.style.cursor = hit ? "pointer" : "grab";
    this.tip.hidden = !hit;
    if (hit) {
      this.tip.textContent = hit.text.slice(0, 300);
      const left = pointer.offsetX + 14, room = this.stage.clientWidth;
      this.tip.style.left = `${left > room * 0.6 ? Math.max(4, pointer.offsetX - 14 - this.tip.offsetWidth) : left}px`;
      this.tip.style.top = `${pointer.offsetY + 16}px`;
    }
    const hovered = hit ? hit.event : -1;
    if (hovered === this.state.hovered) return;
    this.state.hovered = hovered;
    this.draw();
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const width = this.view.until - this.view.from;
    const keys = {
      ArrowLeft: () => this._pan(-width * PAN), ArrowRight: () => this._pan(width * PAN),
      ArrowUp: () => this._scroll(-40), ArrowDown: () => this._scroll(40),
      PageUp: () => this._pan(-width * 0.8), PageDown: () => this._pan(width * 0.8),
      Home: () => this._show(0, 0.05), End: () => this._show(this.plan.length, 0.95),
      "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP), 0: () => this.fit(),
      g: () => this.toFailure(), t: () => this.time(!this.logical), m: () => this._otherEnd(),
      ",": () => this._step(-1), ".": () => this._step(1), "[": () => this._step(-1, true), "]": () => this._step(1, true),
      n: () => this._match(1), N: () => this._match(-1), "/": () => this.search?.focus(), "?": () => this._showHelp(),
      Escape: () => this.select(-1), Enter: () => this.state.selected >= 0 && this._into(this.state.selected, true),
    };
    const does = keys[event.key];
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
    this.draw();
  }

  /** The next event, of the same lane if that is wanted. */
  _step(by, sameLane = false) {
    const {selected, matches} = this.state, {trace} = this;
    let event = selected < 0 ? this._middle() : selected + by;
    const lane = trace.lane[selected];
    while (event >= 0 && event < trace.length && ((sameLane && selected >= 0 && trace.lane[event] !== lane) || (matches && !matches[event]))) event += by;
    if (event >= 0 && event < trace.length) this.select(event);
  }

  _otherEnd() {
    const {trace} = this, {selected} = this.state, call = trace.calls[trace.call[selected]];
    if (!call) return;
    const ends = {request: call.arrived, arrive: call.request, reply: call.returned, return: call.replied};
    const other = ends[KINDS[trace.kind[selected]]];
    if (other >= 0) this.select(other);
  }

  // --- search and filters -------------------------------------------------------------------------------------------

  _filter(name, value) {
    this.filter[name] = value;
    if (this.selects?.[name]) this.selects[name].value = value;
    this._match(0);
    this._update();
  }

  /** Marks what the filters let through. */
  _sift() {
    const {server, method, group, key, text} = this.filter, {trace} = this;
    if (!(server || method || group || key || text)) return null;
    const lane = server ? trace.laneOf.get(server) ?? -2 : -1, quotedKey = key ? JSON.stringify(key).toLowerCase() : "";
    const matches = new Uint8Array(trace.length);
    for (let i = 0; i < trace.length; i++) {
      if (this._isHidden(i)) continue;
      if (lane !== -1 && trace.src[i] !== lane && trace.dst[i] !== lane) continue;
      if (method && trace.method[i] !== method) continue;
      if (group && groupOf(KINDS[trace.kind[i]]) !== group) continue;
      if (quotedKey && !this._hasKey(i, quotedKey)) continue;
      if (text && !trace.textOf(i).includes(text)) continue;
      matches[i] = 1;
    }
    return matches;
  }

  _isHidden(event) {
    return this.hidden.has(this.trace.lanes[this.trace.src[event]]?.name);
  }

  /** Whether an event speaks of a key; what belongs to a message that does, too. */
  _hasKey(event, key) {
    const {trace} = this, operation = trace.operations[trace.operation[event]], call = trace.calls[trace.call[event]];
    return trace.textOf(operation ? operation.call : call ? call.request : event).includes(key);
  }

  _match(by) {
    if (by === 0) {
      this.state.matches = this._sift();
      return;
    }
    const {matches} = this.state;
    if (!matches) return;
    let event = this.state.selected < 0 ? this._middle() - by : this.state.selected;
    for (let tried = 0; tried < matches.length; tried++) {
      event = (event + by + matches.length) % matches.length;
      if (matches[event]) return this.select(event);
    }
  }

  _choices() {
    const {trace} = this;
    if (!this.selects) return;
    const fill = (name, all, options) => {
      const chosen = this.filter[name], wanted = ["", ...options].join("\n");
      if (this.selects[name].dataset.wanted === wanted) return;
      this.selects[name].dataset.wanted = wanted;
      this.selects[name].replaceChildren(el("option", {value: ""}, all), ...options.map((each) => el("option", {value: each}, each)));
      this.selects[name].value = chosen;
    };
    fill("server", "all processes", trace.lanes.filter((lane) => !lane.isHarness).map((lane) => lane.name));
    fill("method", "all methods", [...trace.methods.keys()].sort());
    fill("group", "all kinds", Object.keys(GROUPS));
    this.harnessChoice.hidden = !trace.laneOf.has(HARNESS);
    this.failureButton.hidden = !trace.verdict || trace.verdict.status === "passed";
  }

  // --- moving -------------------------------------------------------------------------------------------------------

  zoom(by, x = (this.painter.labels + this.painter.width) / 2) {
    const {from, until} = this.view, share = Math.max(0, Math.min(1, (x - this.painter.labels) / this.painter.room));
    const middle = from + share * (until - from);
    const width = Math.max(this.logical ? 4 : CLOSEST, Math.min(this.plan.length * (1 + 2 * MARGIN), (until - from) / by));
    this._look(middle - share * width, middle + (1 - share) * width);
  }

  _pan(by) {
    this._look(this.view.from + by, this.view.until + by);
  }

  _scroll(by) {
    this.view.top = Math.max(0, Math.min(Math.max(0, this.painter.total - this.painter.height), this.view.top + by));
    this.draw();
  }

  /** Shows this window, kept within the run. */
  _look(from, until) {
    const {length} = this.plan, width = Math.min(until - from, length * (1 + 2 * MARGIN)), margin = Math.max(length * MARGIN, width / 2);
    const begin = Math.max(-margin, Math.min(from, length + margin - width));
    this.view.from = begin;
    this.view.until = begin + width;
    this._moved = true;
    this.draw();
  }

  _show(place, share) {
    const width = this.view.until - this.view.from;
    this._look(place - width * share, place + width * (1 - share));
  }

  /** An event into sight, into the middle if it was not. */
  _into(event, always = false) {
    const place = this.trace.at(event, this.logical), {from, until} = this.view, margin = (until - from) * 0.08;
    if (always || place < from + margin || place > until - margin) this._show(place, 0.5);
    this._toLane(this.trace.lane[event]);
  }

  _toLane(lane) {
    const row = this.painter.rows?.[lane];
    if (!row) return;
    const {height} = this.painter;
    if (row.top - this.view.top < AXIS) this._scroll(row.top - this.view.top - AXIS);
    else if (row.top + row.height - this.view.top > height) this._scroll(row.top + row.height - this.view.top - height);
  }

  _middle() {
    if (!this.trace.length) return 0;
    if (this.logical) {
      const place = (this.view.from + this.view.until) / 2, index = this.trace.logical.findIndex((each) => each >= place);
      return index < 0 ? this.trace.length - 1 : index;
    }
    return Math.min(this.trace.length - 1, this.trace.after((this.view.from + this.view.until) / 2));
  }

  _scrolledTo(event) {
    this._show(this.trace.at(event, this.logical), 0.5);
    this._moved = false;
  }

  /** What one sees first: all of a short run, of a long one its failure or its end. */
  _home() {
    this._look(-this.plan.length * MARGIN, this.plan.length * (1 + MARGIN));
    if (this.trace.verdict && this.trace.verdict.status !== "passed") this.toFailure();
  }

  // --- drawing ------------------------------------------------------------------------------------------------------

  _grown() {
    this._plans = [null, null];
    this.state.culprit = this.trace.culprit;
    if (this.state.selected >= 0) this.state.cone = this.trace.cone(this.state.selected);
    this.painter.place(this.trace, this.hidden);
    this._match(0);
    this._resize();
  }

  _resize() {
    const width = this.stage.clientWidth, wanted = this.painter.total || 200;
    const most = this.options.height ?? Math.max(260, Math.min(innerHeight - 230, 900));
    const height = Math.max(120, Math.min(wanted, most));
    if (!width) return;
    this.stage.style.height = `${height}px`;
    this.painter.resize(width, height);
    this._scroll(0);
  }

  _update() {
    this._list();
    const {matches} = this.state;
    if (this.found) {
      const count = matches ? matches.reduce((sum, each) => sum + each, 0) : 0;
      this.found.textContent = matches ? `${count.toLocaleString("en")} match${count === 1 ? "" : "es"}` : "";
    }
    this.draw();
  }

  _list() {
    if (!this.list) return;
    const {trace} = this, {matches, cone, selected} = this.state, events = [];
    for (let i = 0; i < trace.length; i++) {
      if (this._isHidden(i)) continue;
      if (i === selected || (this.listed.has(groupOf(KINDS[trace.kind[i]])) && (!matches || matches[i]))) events.push(i);
    }
    this.list.show(trace, events, cone);
  }

  _tellDetails() {
    const {selected, cone} = this.state;
    this.about.replaceChildren(...(selected < 0 ? [] : [
      el("button", {type: "button", class: "close", "aria-label": "close the details", onclick: () => this.select(-1)}, "×"),
      ...details(this.trace, selected, cone, (event) => this.select(event))]));
  }

  /** Draws, once before the next picture of the screen, however often it is asked for. */
  draw() {
    if (!this._pending && this.painter.colours) this._pending = requestAnimationFrame(() => this._draw());
  }

  _draw() {
    this._pending = 0;
    if (!this.painter.rows || !this.painter.width) return;
    const began = performance.now();
    this.painter.paint(this.plan, this.view, this.state);
    paintOverview(this.overview, this.painter, this.plan, this.view);
    this.frames.push(performance.now() - began);
    if (this.frames.length > 1000) this.frames.shift();
    const {length} = this.plan;
    this.overview.setAttribute("aria-valuenow", String(Math.round(((this.view.from + this.view.until) / 2 / length) * 100)));
    this._tellState();
    if (this._moved) this._syncing ||= setTimeout(() => this._sync(), AFTERWARDS);
    this._moved = false;
  }

  /** The list follows the picture, a little later: it costs more than the picture can wait for. */
  _sync() {
    this._syncing = 0;
    const {selected} = this.state;
    if (this.list && this.trace.length) this.list.centre(selected >= 0 && this._isInSight(selected) ? selected : this._middle());
  }

  _isInSight(event) {
    const place = this.trace.at(event, this.logical);
    return place >= this.view.from && place <= this.view.until;
  }

  _tellState() {
    const {drawn} = this.painter, {from, until} = this.view;
    const unit = this.logical ? "" : " s", show = (place) => (this.logical ? String(Math.round(place)) : place.toFixed(3));
    const many = drawn.standing > 1.2 ? `; each arrow stands for about ${Math.round(drawn.standing)}: zoom in to see all` : "";
    const incomplete = this.trace.header.complete === false ? "; not every message was seen" : "";
    this.says.textContent = `${this.trace.length.toLocaleString("en")} events; in sight ${show(Math.max(0, from))} to ${show(Math.min(this.plan.length, until))}${unit}, `
      + `${drawn.arrows.toLocaleString("en")} arrows${many}${incomplete}`;
  }
}

/** The signs, each drawn as in the picture. */
const LEGEND = [
  [(c, p) => arrow(c, p.request, [], "full"), "a request, from when it was sent to when it arrived"],
  [(c, p) => arrow(c, p.reply, [], "open"), "the reply"],
  [(c, p) => arrow(c, p.bad, [], "cross"), "lost on its way"],
  [(c, p) => arrow(c, p.bad, [6, 4], "ring"), "failed: it could not be sent, or no reply came"],
  [(c, p) => arrow(c, p.request, [1.5, 4], "ring"), "nobody saw it arrive"],
  [(c, p) => role(c, p.primary, [0], 6), "thick line: it thinks that it is the primary, or the leader"],
  [(c, p) => role(c, p.backup, [-2, 2], 1.6), "double line: the backup"],
  [(c, p, patterns) => strip(c, p.cut, patterns.cut), "✂ links are cut: the band says to whom"],
  [(c, p, patterns) => strip(c, p.cut, patterns.deaf), "∅ deaf: its socket file is deleted"],
  [(c, p, patterns) => strip(c, p.cut, patterns.held), "⋯ requests are held back on their way"],
  [(c, p, patterns) => strip(c, p.dead, patterns.dead), "✕ killed (✹ ended by itself); ▶ started"],
  [(c, p, patterns) => strip(c, p.dead, patterns.paused), "‖ paused; ▸ goes on"],
  [(c, p) => bar(c, p.read, p["read-edge"], 5), "a client's get; dashed if no answer came"],
  [(c, p) => bar(c, p.write, p["write-edge"], 0), "a client's put, append or cas"],
  [(c, p) => bar(c, p.read, p.mark, 5, true), "what shows the failure; a number is its place in the proof"],
];

function role(c, colour, offsets, width) {
  c.strokeStyle = colour;
  c.lineWidth = width;
  c.beginPath();
  for (const offset of offsets) {
    c.moveTo(6, 22 + offset);
    c.lineTo(86, 22 + offset);
  }
  c.stroke();
}

function strip(c, colour, pattern) {
  c.fillStyle = pattern;
  c.strokeStyle = colour;
  c.lineWidth = 1;
  c.fillRect(6, 6, 80, 32);
  c.strokeRect(6.5, 6.5, 79, 31);
}

function bar(c, fill, edge, radius, isMarked = false) {
  c.fillStyle = fill;
  c.strokeStyle = edge;
  c.lineWidth = isMarked ? 3.5 : 1.2;
  c.beginPath();
  c.roundRect(8, 12, 76, 20, radius);
  c.fill();
  c.stroke();
  if (!isMarked) return;
  c.fillStyle = edge;
  c.beginPath();
  c.arc(20, 22, 8, 0, 7);
  c.fill();
}

function arrow(c, colour, dash, end) {
  c.strokeStyle = c.fillStyle = colour;
  c.lineWidth = 1.8;
  c.setLineDash(dash);
  c.beginPath();
  c.moveTo(8, 8);
  c.lineTo(70, 34);
  c.stroke();
  c.setLineDash([]);
  c.beginPath();
  if (end === "cross") for (const [x, y] of [[-5, -5], [5, -5]]) {
    c.moveTo(70 + x, 34 + y);
    c.lineTo(70 - x, 34 - y);
  } else if (end === "ring") c.arc(72, 35, 3, 0, 7);
  else {
    c.moveTo(63, 36);
    c.lineTo(71, 34.5);
    c.lineTo(66, 28);
  }
  if (end === "full") c.fill();
  else c.stroke();
}
