/** What is selected, and what can be done to it. All that is done is a command, as it would be typed. */

import {el} from "/diagram/dom.js";
import {keyOf, linkWords, serverWords, SIGNS} from "./graph.js";
import {line, partsOf, quote} from "./words.js";

const LINKS_SHOWN = 8;

/** A button that carries out a command. */
function act(does, text, ...words) {
  return el("button", {type: "button", "data-act": words.join(" "), title: line(...words), onclick: () => does(line(...words))}, text);
}

/** The selected server or link. */
export class About {
  constructor(element, {does, select}) {
    this.element = element;
    this.does = does;
    this.select = select;
    this.what = null;
    this.shown = "";
    /** A button that is being pressed must not be made anew before it is let go: it would not have been clicked. */
    this.pressed = false;
    this.newer = null;
    const press = () => { this.pressed = true; };
    const letGo = () => setTimeout(() => this._letGo());  // the click comes first
    element.addEventListener("pointerdown", press);
    element.addEventListener("keydown", (event) => { if (event.key === " ") press(); });
    for (const ending of ["pointerup", "pointercancel", "keyup", "blur"]) window.addEventListener(ending, letGo);
  }

  _letGo() {
    const newer = this.newer;
    [this.pressed, this.newer] = [false, null];
    if (newer) this.show(...newer);
  }

  show(picture, what) {
    if (this.pressed) {
      this.newer = [picture, what];
      return;
    }
    const shown = JSON.stringify(what?.server ? this._serverData(picture, what.server) : what?.link ? this._find(picture, what.link) && {...this._find(picture, what.link), requests: 0} : null);
    if (JSON.stringify(what) === JSON.stringify(this.what) && shown === this.shown) {
      this._count(picture, what);
      return;
    }
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    const changed = JSON.stringify(what) !== JSON.stringify(this.what);
    if (changed) this.tap = null;
    [this.what, this.shown] = [what, shown];
    const content = what?.server ? this._server(picture, what.server) : what?.link ? this._link(picture, what.link) : [el("p", {class: "hint"},
      "Click a server or a link, or go there with Tab: kill, pause, cut, hold back, lose …")];
    this.element.replaceChildren(...content.filter(Boolean));
    if (focused) ([...this.element.querySelectorAll("[data-act]")].find((each) => each.dataset.act === focused) ?? this.element.querySelector("button"))?.focus();
    this._count(picture, what);
  }

  _serverData(picture, name) {
    return [picture.servers.find((each) => each.name === name),
      picture.links.filter((each) => each.src === name || each.dst === name).map((each) => [each.src, each.dst, each.up, each.holds, each.odds])];
  }

  _find(picture, key) {
    return picture.links.find((each) => keyOf(each) === key);
  }

  _count(picture, what) {
    const link = what?.link && this._find(picture, what.link);
    const counter = this.element.querySelector(".requests");
    if (link && counter) counter.textContent = `${link.requests} requests have passed`;
  }

  _head(title, words) {
    return el("div", {class: "head"}, el("h2", {}, title), el("button", {type: "button", class: "close", "aria-label": "select nothing",
      onclick: () => this.select(null)}, "✕"), el("p", {}, words));
  }

  // --- a server -----------------------------------------------------------------------------------------------------

  _server(picture, name) {
    const server = picture.servers.find((each) => each.name === name);
    if (!server) return [];
    const dead = server.state === "dead";
    const others = picture.servers.filter((each) => each.name !== name && !(server.is_clerk && each.is_clerk));
    return [
      this._head(`${SIGNS[server.state]} ${name}`, [server.state, serverWords(server), server.detail].filter(Boolean).join("; ")),
      el("div", {class: "buttons"},
        dead ? act(this.does, "Restart", "restart", name) : act(this.does, "Kill", "kill", name),
        dead ? null : server.state === "paused" ? act(this.does, "Resume", "resume", name) : act(this.does, "Pause", "pause", name),
        server.deaf ? act(this.does, "Undeafen", "undeafen", name) : act(this.does, "Deafen", "deafen", name),
        act(this.does, "Isolate", "isolate", name),
        el("button", {type: "button", onclick: () => this.does(null, {log: name})}, "Log")),
      el("table", {class: "links"},
        el("thead", {}, el("tr", {}, el("th", {scope: "col"}, "other"), el("th", {scope: "col"}, "calls it"), el("th", {scope: "col"}, "is called by it"))),
        el("tbody", {}, ...others.map((other) => el("tr", {}, el("th", {scope: "row"}, other.name),
          this._linkCell(picture, name, other.name), this._linkCell(picture, other.name, name))))),
    ];
  }

  _linkCell(picture, src, dst) {
    const link = this._find(picture, `${src} ${dst}`);
    const state = link.up ? (link.holds ? "holds" : link.odds ? "tapped" : "up") : "cut";
    return el("td", {}, el("button", {type: "button", class: `state ${state}`, "data-act": `select ${src} ${dst}`,
      "aria-label": `link from ${src} to ${dst}: ${state}`, onclick: () => this.select({link: `${src} ${dst}`})}, state),
    act(this.does, link.up ? "cut" : "join", link.up ? "cut" : "join", src, dst));
  }

  // --- a link -------------------------------------------------------------------------------------------------------

  _link(picture, key) {
    const link = this._find(picture, key);
    if (!link) return [];
    const {src, dst} = link;
    this.tap ??= this._tapForm(src, dst);
    return [
      this._head(`${src} → ${dst}`, linkWords({...link, requests: 0}).replace(/, 0 requests$/, "")),
      el("p", {class: "requests"}),
      el("div", {class: "buttons"},
        link.up ? act(this.does, "Cut", "cut", src, dst) : act(this.does, "Join", "join", src, dst),
        link.holds ? act(this.does, "Release all", "release", src, dst) : act(this.does, "Hold", "hold", src, dst),
        act(this.does, "Part both ways", "partition", src, "|", dst),
        el("button", {type: "button", "data-act": `select ${dst} ${src}`, onclick: () => this.select({link: `${dst} ${src}`})}, "The way back")),
      link.held.length ? this._held(link) : null,
      this.tap,
      link.odds ? act(this.does, "No faults", "untap", dst, "from", src) : null,
    ];
  }

  _held({src, dst, held}) {
    const more = held.length - LINKS_SHOWN;
    return el("section", {"aria-label": "held requests"}, el("h3", {}, `Held requests (${held.length})`),
      el("ol", {class: "held"}, ...held.slice(0, LINKS_SHOWN).map((each) => el("li", {},
        el("code", {title: each.params}, `${each.number}: ${each.method}(${each.params})`),
        act(this.does, "Deliver", "deliver", src, dst, each.number), act(this.does, "Drop", "drop", src, dst, each.number)))),
      more > 0 ? el("p", {}, `and ${more} more`) : null);
  }

  _tapForm(src, dst) {
    const field = (name, label, given) => el("label", {}, label, el("input", {name, type: "number", min: 0, step: "any", ...given}));
    const form = el("form", {class: "tap", "aria-label": "faults", onsubmit: (event) => {
      event.preventDefault();
      const data = new FormData(form), words = [];
      for (const name of ["loss", "reply-loss", "duplicate", "reorder"]) if (Number(data.get(name))) words.push(`${name}=${Number(data.get(name))}%`);
      if (Number(data.get("delay"))) words.push(`delay=${Number(data.get("delay"))}`);
      if (data.get("silent")) words.push("silent");
      this.does(words.length ? line("tap", dst, "from", src, ...words) : line("untap", dst, "from", src));
    }}, el("h3", {}, "Faults"),
    field("loss", "request lost %", {max: 100}), field("reply-loss", "reply lost %", {max: 100}), field("duplicate", "twice %", {max: 100}),
    field("reorder", "out of order %", {max: 100}), field("delay", "delay in s", {max: 60}),
    el("label", {class: "check"}, el("input", {name: "silent", type: "checkbox"}), "the caller learns nothing"),
    el("button", {}, "Set"));
    return form;
  }
}

/** A form for every command: made from its usage. */
export class Doing {
  constructor(element, {does, commands, experiments, show}) {
    this.does = does;
    this.commands = commands;
    this.choices = {};
    this.pick = el("select", {"aria-label": "command", onchange: () => this._form()});
    const topics = [...new Set(commands.map((each) => each.topic))];
    for (const topic of topics) {
      this.pick.append(el("optgroup", {label: topic}, ...commands.map((each, number) => [each, number]).filter(([each]) => each.topic === topic && !["help", "experiments", "save", "run"].includes(each.usage.split(" ")[0]))
        .map(([each, number]) => el("option", {value: number}, each.usage.replace(/ .*/, "") + (each.usage.startsWith("until") ? each.usage.slice(5).toLowerCase() : "")))));
    }
    this.pick.value = commands.findIndex((each) => each.recorded);
    this.fields = el("div", {class: "fields"});
    this.says = el("p", {class: "hint"});
    this.answer = el("output", {class: "answer", "aria-live": "polite"});
    this.form = el("form", {onsubmit: (event) => {
      event.preventDefault();
      this._submit();
    }}, el("div", {class: "fields"}, el("label", {}, "command", this.pick)), this.fields, el("button", {class: "go"}, "Do it"));
    element.replaceChildren(el("h2", {}, "Do something"), this.form, this.says, this.answer, this._experiments(experiments, show));
    this._form();
  }

  _experiments(experiments, show) {
    return el("details", {class: "experiments"}, el("summary", {}, "Experiments"), ...experiments.map((each) => el("details", {},
      el("summary", {}, `${each.name}: ${each.question}`),
      el("ol", {}, ...each.steps.map((step) => el("li", {}, el("button", {type: "button", class: "step", title: "carry out",
        onclick: (event) => {
          event.currentTarget.classList.add("done");
          show(step.line);
        }}, step.line), " ", step.see))))));
  }

  /** What arguments may be, as it is now. */
  update(choices) {
    this.choices = choices;
    for (const list of this.fields.querySelectorAll("datalist")) {
      const known = choices[list.dataset.word] ?? [];
      if (list.dataset.known === known.join()) continue;
      list.dataset.known = known.join();
      list.replaceChildren(...known.map((value) => el("option", {value})));
    }
  }

  _form() {
    const command = this.commands[this.pick.value];
    const before = new Map([...this.fields.querySelectorAll("input")].map((each) => [each.name, each.value]));
    this.parts = partsOf(command.usage);
    this.fields.replaceChildren(...this.parts.filter((part) => !part.literal).map((part) => {
      const id = `choices-${part.word}`;
      return el("label", {}, part.word.toLowerCase() + (part.many ? " …" : "") + (part.optional ? " (optional)" : ""),
        el("input", {name: part.word, list: id, autocomplete: "off", spellcheck: "false", required: !part.optional, value: before.get(part.word) ?? ""}),
        el("datalist", {id, "data-word": part.word}));
    }));
    this.says.textContent = `${command.does} For example: ${command.example}`;
    this.update(this.choices);
  }

  async _submit() {
    const command = this.commands[this.pick.value], values = new FormData(this.form);
    const given = (part) => String(values.get(part.word) ?? "").trim();
    const taken = new Set(this.parts.filter((part) => part.optional && !part.literal && given(part)).map((part) => part.optional));
    const words = [command.usage.split(" ")[0]];
    for (const part of this.parts) {
      if (part.optional && !taken.has(part.optional)) continue;
      if (part.literal) words.push(part.word);
      else words.push(...(part.many ? given(part).split(/\s+/) : [String(values.get(part.word))]).map(String));
    }
    const {said, failed} = await this.does(words.map(quote).join(" "));
    this.answer.className = `answer ${failed ? "failed" : ""}`;
    this.answer.textContent = said;
  }
}
