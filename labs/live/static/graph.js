/** The picture of a live cluster: servers, and the links that are used or not as usual. Click one, or go there by Tab. */

import {layout, NODE, route} from "./layout.js";

const SVG = "http://www.w3.org/2000/svg";
export const SIGNS = {running: "●", paused: "‖", dead: "✕"};
const SHARD = {width: 9, height: 9};
/** Of so many servers every link is drawn that was ever used; of more only those that were used lately, in seconds. */
const FEW = 8, LATELY = 6;

/** An SVG element. What is no attribute but text stays text. */
function svg(name, given = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(given)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** What there is to say of a link in a few words. */
export function linkWords(link) {
  return [link.up ? "up" : "cut", link.holds ? `holds ${link.held.length}` : "", link.odds, `${link.requests} requests`]
    .filter(Boolean).join(", ");
}

/** What there is to say of a server in a few words. */
export function serverWords(server) {
  return [server.state === "running" ? "" : server.state, server.deaf ? "deaf" : "", server.duty || server.role].filter(Boolean).join(", ");
}

export const keyOf = (link) => `${link.src} ${link.dst}`;

export class Graph {
  /** `onSelect({server})` or `onSelect({link})` when something is clicked. */
  constructor(element, {onSelect}) {
    this.onSelect = onSelect;
    this.showAll = false;
    this.selected = null;
    this.nodes = new Map();
    this.links = new Map();
    this.root = svg("svg", {role: "group", "aria-label": "servers and links"});
    this.layers = {boxes: svg("g"), links: svg("g"), headings: svg("g"), nodes: svg("g")};
    this.root.append(...Object.values(this.layers));
    element.replaceChildren(this.root);
    this.element = element;
    this.before = new Map();
    this.used = new Map();
    new ResizeObserver(() => this.picture && this._place()).observe(element);
  }

  show(picture) {
    const known = this.picture?.servers.map((each) => each.name).join();
    this.picture = picture;
    if (known !== picture.servers.map((each) => each.name).join()) this._place();
    else this._fill();
  }

  /** Nothing has passed since the last picture. */
  calm() {
    for (const link of this.links.values()) link.group.classList.remove("busy");
  }

  select(what) {
    this.selected = what;
    for (const [name, node] of this.nodes) node.classList.toggle("selected", what?.server === name);
    for (const [key, link] of this.links) link.group.classList.toggle("selected", what?.link === key);
  }

  all(showAll) {
    this.showAll = showAll;
    this._fill();
  }

  _place() {
    const room = this.element.getBoundingClientRect();
    this.plan = layout(this.picture.servers, {width: Math.max(320, room.width), height: Math.max(200, room.height)});
    this.root.classList.toggle("many", this.picture.servers.length > FEW);
    this.root.setAttribute("viewBox", `0 0 ${this.plan.width} ${this.plan.height}`);
    this.layers.boxes.replaceChildren(...this.plan.boxes.map((box) => svg("rect",
      {class: "box", x: box.x, y: box.y, width: box.width, height: box.height, rx: 10})));
    this.layers.headings.replaceChildren(...this.plan.boxes.map((box) => svg("text",
      {class: "heading", x: box.x + 12, y: box.y + 18, "data-gid": box.gid})));
    for (const link of this.links.values()) link.group.remove();
    this.links.clear();
    this._fill();
  }

  _fill() {
    for (const text of this.layers.headings.children) text.textContent = this._groupWords(Number(text.dataset.gid));
    for (const server of this.picture.servers) this._node(server);
    for (const link of this.picture.links) this._link(link);
    this.select(this.selected);
  }

  _groupWords(gid) {
    const shards = this.picture.shards.filter(([, owner]) => owner === gid).map(([shard]) => shard);
    return `group ${gid}` + (this.picture.config ? ` · owner of ${shards.length ? shards.join(" ") : "no shard"}` : "");
  }

  // --- servers ------------------------------------------------------------------------------------------------------

  _node(server) {
    let node = this.nodes.get(server.name);
    if (!node) {
      node = svg("g", {tabindex: 0, role: "button"},
        svg("rect", {x: -NODE.width / 2, y: -NODE.height / 2, width: NODE.width, height: NODE.height, rx: 9, class: "body"}),
        svg("text", {class: "sign", x: -NODE.width / 2 + 10, y: -8}),
        svg("text", {class: "name", x: -NODE.width / 2 + 28, y: -8}),
        svg("text", {class: "duty", x: -NODE.width / 2 + 10, y: 10}),
        svg("g", {class: "shards", transform: `translate(${-NODE.width / 2 + 10}, 16)`}),
        svg("title"));
      this._listen(node, () => ({server: server.name}));
      this.nodes.set(server.name, node);
      this.layers.nodes.append(node);
    }
    const place = this.plan.places.get(server.name);
    node.setAttribute("transform", `translate(${place.x}, ${place.y})`);
    const first = server.duty.split(",")[0].split(" ")[0];
    node.setAttribute("class", ["node", server.state, server.is_clerk ? "clerk" : "server", `is-${first || "nothing"}`].join(" "));
    node.setAttribute("aria-label", `${server.name}: ${serverWords(server)}${server.detail ? `, ${server.detail}` : ""}`);
    const [, sign, name, duty, shards, title] = node.children;
    sign.textContent = SIGNS[server.state];
    name.textContent = server.name;
    duty.textContent = cut(server.is_clerk ? server.detail || "clerk" : [server.deaf ? "deaf" : "", dutyWords(server)].filter(Boolean).join(", "));
    title.textContent = node.getAttribute("aria-label");
    this._shards(shards, server.name);
  }

  _shards(group, name) {
    const states = this.picture.shards.map(([, , told]) => told[name]?.[0]).filter(Boolean);
    if (group.dataset.states === states.join()) return;
    group.dataset.states = states.join();
    group.replaceChildren(...states.map((state, shard) => svg("rect", {
      x: shard * (SHARD.width + 2), y: 0, width: SHARD.width, height: SHARD.height, class: `shard ${state}`,
    }, svg("title", {}, `shard ${shard}: ${state}`))));
  }

  // --- links --------------------------------------------------------------------------------------------------------

  _link(link) {
    const key = keyOf(link), asked = link.requests - (this.before.get(key) ?? link.requests);
    this.before.set(key, link.requests);
    const toClerk = this.picture.servers.find((each) => each.name === link.dst)?.is_clerk;
    const unusual = link.holds || link.odds || (!link.up && !toClerk);
    if (asked > 0) this.used.set(key, this.picture.now);
    const isUsed = link.requests > 0 && (this.picture.servers.length <= FEW || this.picture.now - (this.used.get(key) ?? -Infinity) < LATELY);
    let known = this.links.get(key);
    if (!(this.showAll || isUsed || unusual || this.selected?.link === key)) {
      known?.group.remove();
      this.links.delete(key);
      return;
    }
    known ??= this._newLink(link, key);
    const state = link.up ? (link.holds ? "holds" : link.odds ? "tapped" : "usual") : "cut";
    known.group.setAttribute("class", `link ${state} ${asked > 0 ? "busy" : ""} ${link.requests ? "" : "idle"}`);
    known.group.setAttribute("aria-label", `link from ${link.src} to ${link.dst}: ${linkWords(link)}`);
    known.title.textContent = `${link.src} → ${link.dst}: ${linkWords(link)}`;
    known.mark.textContent = link.up ? (link.holds ? `‖${link.held.length}` : link.odds ? "≈" : "") : "✕";
    known.badge.setAttribute("visibility", known.mark.textContent ? "visible" : "hidden");
  }

  _newLink(link, key) {
    const others = [...this.plan.places].filter(([name]) => name !== link.src && name !== link.dst).map(([, place]) => place);
    const way = route(this.plan.places.get(link.src), this.plan.places.get(link.dst), others, this.plan);
    const title = svg("title"), mark = svg("text", {class: "mark", x: way.middle.x, y: way.middle.y + 4});
    const badge = svg("circle", {class: "badge", cx: way.middle.x, cy: way.middle.y, r: 10});
    const group = svg("g", {tabindex: 0, role: "button", "data-link": key},
      svg("path", {class: "reach", d: way.path}), svg("path", {class: "line", d: way.path}),
      svg("polygon", {class: "head", points: way.head}), badge, mark, title);
    this._listen(group, () => ({link: key}));
    this.layers.links.append(group);
    const made = {group, title, mark, badge};
    this.links.set(key, made);
    return made;
  }

  _listen(element, what) {
    element.addEventListener("click", () => this.onSelect(what()));
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      this.onSelect(what());
    });
  }
}

function dutyWords(server) {
  return server.duty.replace(/^owner of nothing$/, "no shard").replace(/,? ?owner of .*$/, (owns) => (owns.startsWith(",") ? "" : "owner")) || server.role;
}

const cut = (text, most = 19) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
