/** The events as a list beside the picture: only the rows in sight are there, however many there are. */

import {KINDS, groupOf} from "./model.js";
import {el} from "./dom.js";

const ROW = 22;
const SIGNS = {message: "→", operation: "▭", fault: "✂", process: "▶", log: "▪", note: "✎"};

export class EventList {
  /** `onPick(event)` when a row is chosen; `onScroll(event)` when somebody scrolls to other events. */
  constructor({onPick, onScroll}) {
    this.onPick = onPick;
    this.onScroll = onScroll;
    this.events = [];
    this.selected = -1;
    this.space = el("div", {class: "space"});
    this.element = el("div", {class: "events", role: "listbox", tabindex: 0, "aria-label": "events in the order of time",
      onscroll: () => this._scrolled(), onkeydown: (event) => this._key(event), onclick: (event) => this._click(event)}, this.space);
    this._moved = 0;
  }

  show(trace, events, marks) {
    this.trace = trace;
    this.events = events;
    this.marks = marks;
    this.space.style.height = `${events.length * ROW}px`;
    this.draw();
  }

  /** Scrolls so that the first row at or after this event stands in the middle. */
  centre(event) {
    const place = this._placeOf(event), top = Math.max(0, place * ROW - this.element.clientHeight / 2);
    if (Math.abs(this.element.scrollTop - top) < ROW / 2) return;
    this._moved = Math.round(Math.min(top, Math.max(0, this.events.length * ROW - this.element.clientHeight)));
    this.element.scrollTop = top;
    this.draw();
  }

  select(event) {
    this.selected = event;
    this.draw();
  }

  _placeOf(event) {
    let low = 0, high = this.events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.events[middle] < event) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  draw() {
    if (!this.trace) return;
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW) - 4);
    const last = Math.min(this.events.length, first + Math.ceil((this.element.clientHeight || 300) / ROW) + 8);
    const rows = [];
    for (let place = first; place < last; place++) rows.push(this._row(place));
    this.space.replaceChildren(...rows);
  }

  _row(place) {
    const {trace} = this, event = this.events[place], kind = KINDS[trace.kind[event]], group = groupOf(kind);
    const lane = trace.lanes[trace.lane[event]]?.name ?? "";
    const mark = this.marks?.[event] ?? -1;
    const classes = ["row", group, kind === "verdict" ? "verdict" : "", mark === 0 ? "dim" : mark === 1 ? "past" : mark === 2 ? "future" : ""];
    const row = el("div", {class: classes.filter(Boolean).join(" "), role: "option", id: `event-${event}`,
      "aria-selected": event === this.selected, "aria-posinset": place + 1, "aria-setsize": this.events.length},
    el("span", {class: "when"}, trace.t[event].toFixed(3)), el("span", {class: "who"}, lane),
    el("span", {class: "sign", title: group}, SIGNS[group]), el("span", {class: "what"}, trace.describe(event).split("\n", 1)[0].slice(0, 400)));
    row.style.top = `${place * ROW}px`;
    row.dataset.event = event;
    return row;
  }

  _scrolled() {
    this.draw();
    if (Math.abs(this.element.scrollTop - this._moved) <= 1) return;
    this._moved = -1;
    const middle = Math.floor((this.element.scrollTop + this.element.clientHeight / 2) / ROW);
    const event = this.events[Math.min(this.events.length - 1, middle)];
    if (event !== undefined) this.onScroll(event);
  }

  _click({target}) {
    const row = target.closest(".row");
    if (row) this.onPick(Number(row.dataset.event));
  }

  _key(key) {
    const step = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10}[key.key];
    if (!step || !this.events.length) return;
    key.preventDefault();
    key.stopPropagation();
    const place = Math.max(0, Math.min(this.events.length - 1, this._placeOf(this.selected) + step));
    this.onPick(this.events[place]);
    this.element.setAttribute("aria-activedescendant", `event-${this.events[place]}`);
  }
}
