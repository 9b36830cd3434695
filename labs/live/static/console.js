/** The transcript of the session, and the command line below it. */

import {el} from "/diagram/dom.js";
import {commonStart, quote, wordsOf} from "./words.js";

const KEPT = 500;

export class Console {
  constructor(element, {does, complete}) {
    this.does = does;
    this.complete = complete;
    this.typed = [];
    this.place = 0;
    this.log = el("ol", {class: "transcript", role: "log", "aria-label": "what was done and said", tabindex: 0});
    this.input = el("input", {type: "text", "aria-label": "command", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
      placeholder: "a command, such as: put a 1   (Tab completes, ↑ brings back, help explains)", onkeydown: (event) => this._key(event)});
    this.offers = el("p", {class: "offers", "aria-live": "polite"});
    const form = el("form", {onsubmit: (event) => {
      event.preventDefault();
      this._enter();
    }}, el("span", {"aria-hidden": "true"}, ">"), this.input);
    element.replaceChildren(this.log, this.offers, form);
  }

  /** A line of the transcript: a command with what was said, or something that happened by itself. */
  note({at, line, said, failed, notice}) {
    const below = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 30;
    this.log.append(el("li", {class: failed ? "failed" : notice ? "notice" : ""},
      line === undefined ? null : el("code", {class: "typed"}, `> ${line}`), at === undefined ? null : el("span", {class: "at"}, `${at.toFixed(2)} s`),
      el("pre", {}, notice ?? said)));
    while (this.log.children.length > KEPT) this.log.firstChild.remove();
    if (below) this.log.scrollTop = this.log.scrollHeight;
  }

  async _enter() {
    const line = this.input.value.trim();
    if (!line) return;
    this.typed = [...this.typed.filter((each) => each !== line), line];
    this.place = this.typed.length;
    this.input.value = this.offers.textContent = "";
    await this.does(line);
  }

  _key(event) {
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      this.place = Math.max(0, Math.min(this.typed.length, this.place + (event.key === "ArrowUp" ? -1 : 1)));
      this.input.value = this.typed[this.place] ?? "";
    } else if (event.key === "Tab" && !event.shiftKey && this.input.value) {
      event.preventDefault();
      this._complete();
    }
  }

  async _complete() {
    const text = this.input.value, words = wordsOf(text), begun = /\s$/.test(text) ? "" : (words.pop() ?? "");
    const fitting = (await this.complete(words)).filter((each) => each.startsWith(begun));
    if (this.input.value !== text) return;
    const start = commonStart(fitting);
    if (start) this.input.value = [...words.map(quote), fitting.length === 1 ? `${quote(start)} ` : start].join(" ");
    this.offers.textContent = fitting.length > 1 ? fitting.join("   ") : "";
  }
}
