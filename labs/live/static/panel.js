/** The page of a live cluster: keeps in touch with the session, and shows what it says. */

import {Diagram} from "/diagram/diagram.js";
import {el} from "/diagram/dom.js";
import {Console} from "./console.js";
import {Graph} from "./graph.js";
import {About, Doing} from "./side.js";

const $ = (id) => document.getElementById(id);
const THEMES = ["system", "light", "dark"];
const LOG_EVERY = 1000;
/** Seconds of the diagram that are in sight at first; and the width from which its list of events has a place beside it. */
const RECENT = 4, WIDE = 1000;

class Connection {
  constructor(onMessage, onLost) {
    const address = new URL("/ws", location.href);
    address.protocol = "ws:";
    address.search = location.search;
    this.waiting = new Map();
    this.asked = 0;
    this.socket = new WebSocket(address);
    this.socket.onmessage = ({data}) => {
      const message = JSON.parse(data);
      if ("answer" in message) {
        this.waiting.get(message.answer)?.(message);
        this.waiting.delete(message.answer);
      } else onMessage(message);
    };
    this.socket.onclose = onLost;
  }

  ask(what) {
    const id = ++this.asked;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.socket.send(JSON.stringify({id, ...what}));
    });
  }
}

class Page {
  constructor() {
    this.selected = null;
    this.events = [];
    this.connection = new Connection((message) => this._hear(message), () => this._lost());
    this.graph = new Graph($("graph"), {onSelect: (what) => this._select(what)});
    const does = (line, other) => (other?.log ? this._openLog(other.log) : this._do(line));
    this.about = new About($("about"), {does, select: (what) => this._select(what)});
    this._buildTabs();
    this._legend();
    $("save-lab").onclick = () => this._save("lab");
    $("save-py").onclick = () => this._save("py");
    $("theme").onclick = () => this._theme(THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length]);
    this._theme(sessionStorage.getItem("theme") ?? "system");
    document.addEventListener("keydown", (event) => this._key(event));
  }

  // --- what the session says ----------------------------------------------------------------------------------------

  _hear({hello, picture, choices, now, events, transcript, refused}) {
    if (hello) this._hello(hello);
    if (picture) this._show(picture);
    else if (now !== undefined) this.graph.calm();
    if (choices) this.doing.update(choices);
    if (now !== undefined) $("clock").textContent = `${now.toFixed(1)} s`;
    if (events?.length) this._happened(events);
    if (transcript && !hello) this.console.note(transcript);
    if (refused) this.console.note({notice: `refused: ${refused}`, failed: true});
  }

  _hello({suite, title, commands, experiments, transcript, header, events}) {
    document.title = `lab up ${suite}`;
    $("title").textContent = title;
    this.suite = suite;
    const does = (line) => this._do(line);
    this.doing = new Doing($("doing"), {does, commands, experiments, show: (line) => {
      this._tab("console");
      this._do(line);
    }});
    this.console = new Console(this.panes.console, {does, complete: async (words) => (await this.connection.ask({complete: words})).completions});
    transcript.forEach((each) => this.console.note(each));
    this.header = header;
    this.events = events;
  }

  _show(picture) {
    this.picture = picture;
    $("headline").textContent = picture.headline;
    this.graph.show(picture);
    this.about.show(picture, this.selected);
    this._fillHistory(picture.operations);
    this._fillShards(picture);
    this._fillLogNames(picture.servers);
  }

  _lost() {
    $("lost").hidden = false;
    document.body.classList.add("lost");
  }

  // --- what the user does -------------------------------------------------------------------------------------------

  async _do(line) {
    const answer = await this.connection.ask({line});
    if (!answer.recorded) this.console.note({line, said: answer.said, failed: answer.failed});
    return answer;
  }

  _select(what) {
    this.selected = what;
    this.graph.select(what);
    this.graph.show(this.picture);
    this.about.show(this.picture, what);
  }

  async _save(as) {
    const {text} = await this.connection.ask({save: as});
    const link = el("a", {href: URL.createObjectURL(new Blob([text], {type: "text/plain"})), download: as === "py" ? "session_test.py" : "session.lab"});
    link.click();
    URL.revokeObjectURL(link.href);
  }

  _theme(name) {
    this.theme = name;
    sessionStorage.setItem("theme", name);
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    $("theme").textContent = `Theme: ${name}`;
    this.diagram?.theme(name === "system" ? null : name);
  }

  _key(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "Escape" && !this.panes.diagram.contains(event.target)) {
      if (typing) event.target.blur();
      else this._select(null);
    } else if (event.key === "/" && !typing && !this.panes.diagram.contains(event.target)) {
      event.preventDefault();
      this._tab("console");
      this.console.input.focus();
    }
  }

  // --- what is below ------------------------------------------------------------------------------------------------

  _buildTabs() {
    this.panes = {};
    this.tabs = {};
    const names = {console: "Console", diagram: "Space-time diagram", history: "History", shards: "Shards", logs: "Logs"};
    for (const [name, label] of Object.entries(names)) {
      this.panes[name] = el("div", {id: `pane-${name}`, class: `pane ${name}`, role: "tabpanel", "aria-labelledby": `tab-${name}`, hidden: true});
      this.tabs[name] = el("button", {id: `tab-${name}`, type: "button", role: "tab", "aria-controls": `pane-${name}`,
        onclick: () => this._tab(name), onkeydown: (event) => this._turn(event, name)}, label);
      $("tabs").append(this.tabs[name]);
      $("panes").append(this.panes[name]);
    }
    this.tabs.shards.hidden = true;
    this.panes.history.append(el("table", {}, el("thead", {}, el("tr", {}, ...["client", "operation", "answer", "asked at", "took"]
      .map((each) => el("th", {scope: "col"}, each)))), this.historyBody = el("tbody")));
    this.panes.shards.append(this.shardTable = el("table"));
    this.logName = el("select", {"aria-label": "server", onchange: () => this._readLog()});
    this.logText = el("pre", {tabindex: 0, "aria-label": "log"});
    this.panes.logs.append(el("label", {}, "log of ", this.logName), this.logText);
    setInterval(() => !this.panes.logs.hidden && this._readLog(), LOG_EVERY);
    this._tab("console");
  }

  _tab(name) {
    for (const each of Object.keys(this.panes)) {
      this.panes[each].hidden = each !== name;
      this.tabs[each].setAttribute("aria-selected", String(each === name));
      this.tabs[each].tabIndex = each === name ? 0 : -1;
    }
    document.querySelector("main").classList.toggle("tall", name === "diagram");
    if (name === "diagram") this._openDiagram();
    if (name === "logs") this._readLog();
  }

  _turn(event, name) {
    const shown = Object.keys(this.tabs).filter((each) => !this.tabs[each].hidden);
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const next = shown[(shown.indexOf(name) + step + shown.length) % shown.length];
    this._tab(next);
    this.tabs[next].focus();
  }

  _openDiagram() {
    if (this.diagram || !this.header) return;
    const list = this.panes.diagram.clientWidth > WIDE;
    this.diagram = new Diagram(this.panes.diagram, {theme: this.theme === "system" ? null : this.theme, follow: true, list});
    this.diagram.load(this.header, this.events);
    this.diagram.recent(RECENT);
    this.events = [];
  }

  _happened(events) {
    if (this.diagram) this.diagram.append(events);
    else this.events.push(...events);
  }

  _fillHistory(operations) {
    const rows = operations.toReversed().map((each) => {
      const took = each.return === undefined ? null : each.return - each.call;
      const asked = each.op === "get" ? `get ${each.key}` : `${each.op} ${each.key} ${JSON.stringify(each.value)}`;
      const answer = took === null ? "no answer yet" : each.op === "get" ? JSON.stringify(each.result) : "done";
      return el("tr", {class: took === null ? "open" : ""}, el("th", {scope: "row"}, each.client), el("td", {}, asked), el("td", {}, answer),
        el("td", {}, `${(each.call ?? 0).toFixed(3)} s`), el("td", {}, took === null ? "…" : took < 1 ? `${(took * 1000).toFixed(1)} ms` : `${took.toFixed(2)} s`));
    });
    this.historyBody.replaceChildren(...rows);
  }

  _fillShards({shards, servers, config}) {
    this.tabs.shards.hidden = !shards.length;
    if (!shards.length) return;
    const groups = Map.groupBy(servers.filter((each) => each.group !== null), (each) => each.group);
    const cell = (told, members) => {
      const states = [...new Set(members.filter((each) => told[each.name]).map((each) => told[each.name].join(", keys: ")))];
      const state = members.map((each) => told[each.name]?.[0]).find(Boolean) ?? "";
      return el("td", {class: `shard-${state}`}, states.join(" / ") || "?");
    };
    this.shardTable.replaceChildren(
      el("caption", {}, config ? `configuration ${config[0]}` : ""),
      el("thead", {}, el("tr", {}, ...["shard", "owner", ...[...groups.keys()].map((gid) => `group ${gid}`)].map((each) => el("th", {scope: "col"}, each)))),
      el("tbody", {}, ...shards.map(([shard, owner, told]) => el("tr", {}, el("th", {scope: "row"}, String(shard)), el("td", {}, owner ? `group ${owner}` : "nobody"),
        ...[...groups.values()].map((members) => cell(told, members))))));
  }

  _fillLogNames(servers) {
    if (this.logName.children.length === servers.length) return;
    const chosen = this.logName.value;
    this.logName.replaceChildren(...servers.map((each) => el("option", {}, each.name)));
    if (chosen) this.logName.value = chosen;
  }

  _openLog(name) {
    this.logName.value = name;
    this._tab("logs");
  }

  async _readLog() {
    if (!this.logName.value) return;
    const {said} = await this.connection.ask({line: `log ${this.logName.value} 200`});
    if (this.logText.textContent === said) return;
    this.logText.textContent = said;
    this.logText.scrollTop = this.logText.scrollHeight;
  }

  _legend() {
    const all = el("input", {type: "checkbox", onchange: () => this.graph.all(all.checked)});
    $("legend").append(
      ...[["●", "runs"], ["‖", "paused"], ["✕", "dead, or a link that is cut"], ["‖3", "holds three requests"], ["≈", "faults"]]
        .map(([sign, means]) => el("span", {}, el("b", {}, sign), ` ${means}`)),
      el("label", {}, all, " all links"));
  }
}

globalThis.panel = new Page();
