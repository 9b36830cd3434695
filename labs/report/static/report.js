/** The page of a run: one view at a time, and a picture when it is first looked at. */

import {Diagram} from "./diagram.js";
import {copy} from "./dom.js";

const COPIED = 1500;

/** What lies in the page as compressed text. */
async function unpacked(name) {
  const held = document.getElementById(name), bytes = Uint8Array.from(atob(held.textContent), (letter) => letter.charCodeAt(0));
  held.remove();
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

class Report {
  constructor() {
    this.diagrams = new Map();
    this.views = [...document.querySelectorAll(".view")];
    this.theme = document.getElementById("theme");
    this.theme.addEventListener("change", () => this.colour());
    addEventListener("hashchange", () => this.show());
    for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => this.copy(button));
    this.ready = this.show();
  }

  /** The view that the address names: the overview, or a failure. The only failure is shown at once. */
  async show() {
    const named = this.views.find((view) => `#${view.id}` === location.hash);
    const scenes = this.views.filter((view) => view.classList.contains("scene"));
    const view = named ?? (scenes.length === 1 ? scenes[0] : this.views[0]);
    for (const each of this.views) each.hidden = each !== view;
    requestAnimationFrame(() => scrollTo(0, 0));  // after the browser has scrolled to what the address names
    const place = view.querySelector(".picture");
    if (!place || this.diagrams.has(view.id)) return;
    const diagram = new Diagram(place);
    this.diagrams.set(view.id, diagram);
    const {header, columns} = await unpacked(place.dataset.trace);
    diagram.load(header, columns);
    await new Promise(requestAnimationFrame);
    await new Promise((drawn) => setTimeout(drawn));
    /** Milliseconds from the address to the first picture, for those who measure. */
    this.opened ??= performance.now();
  }

  get diagram() {
    return this.diagrams.get(this.views.find((view) => !view.hidden).id);
  }

  colour() {
    if (this.theme.value) document.documentElement.dataset.theme = this.theme.value;
    else delete document.documentElement.dataset.theme;
    for (const diagram of this.diagrams.values()) diagram.theme(null);
  }

  async copy(button) {
    const done = await copy(button.previousElementSibling.textContent);
    button.textContent = done ? "copied" : "not copied";
    setTimeout(() => button.replaceChildren("copy"), COPIED);
  }
}

globalThis.report = new Report();
