/** What there is to say about one event: its message from end to end, its body, and the state of whoever had it. */

import {KINDS, operationText} from "./model.js";
import {el} from "./dom.js";

const LONGEST = 20000;

export function details(trace, event, cone, go) {
  const kind = KINDS[trace.kind[event]], lane = trace.lane[event], call = kind === "call" || kind === "answer" ? null : trace.calls[trace.call[event]];
  const name = trace.lanes[lane]?.name ?? "";
  const parts = [el("h3", {}, name ? `${name} ` : "", trace.describe(event).slice(0, 2000))];
  parts.push(el("p", {class: "at"}, `${trace.t[event].toFixed(6)} s, ${kind}${lane < 0 ? "" : `, logical time ${trace.logical[event]}`}`));
  if (lane >= 0) {
    const states = trace.stateAt(lane, event);
    if (states.length) parts.push(el("p", {class: "state"}, el("b", {}, `${name} then: `), states.map((band) => band.text).join("; ")));
  }
  if (call) parts.push(journey(trace, call, event, go));
  const operation = trace.operations[trace.operation[event]];
  if (operation) parts.push(asked(trace, operation, event, go));
  if (call && call.request !== event && trace.body[call.request] !== null) parts.push(body("the request", trace.body[call.request]));
  if (trace.body[event] !== null) parts.push(body(call ? kind === "request" ? "the request" : "the reply" : "", trace.body[event]));
  else if (kind === "return" && call?.replied >= 0 && trace.body[call.replied] !== null) parts.push(body("the reply", trace.body[call.replied]));
  if (cone) {
    let before = 0, after = 0;
    for (const mark of cone) before += mark === 1, after += mark === 2;
    parts.push(el("p", {class: "cone"}, el("span", {class: "past"}, `◀ ${before.toLocaleString("en")} events it can know of`), " ",
      el("span", {class: "future"}, `${after.toLocaleString("en")} that can know of it ▶`)));
  }
  return parts;
}

/** The steps of a message, each a button that leads there. */
function journey(trace, call, event, go) {
  const steps = [["asked", call.request], ["arrived", call.arrived], ["answered", call.replied], ["lost", call.lost],
    ["has the reply", call.returned], ["gave up", call.failed]].filter(([, each]) => each >= 0);
  steps.sort(([, one], [, other]) => one - other);
  const begin = trace.t[call.request];
  return el("ol", {class: "journey"}, ...steps.map(([said, each]) => el("li", {},
    el("button", {type: "button", class: each === event ? "here" : "", onclick: () => go(each)},
      `${said}${trace.lane[each] >= 0 ? ` (${trace.lanes[trace.lane[each]].name})` : ""}`),
    ` ${each === call.request ? `${begin.toFixed(4)} s` : `+${((trace.t[each] - begin) * 1000).toFixed(2)} ms`}`)));
}

function asked(trace, operation, event, go) {
  const steps = [["called", operation.call], ["answered", operation.answer]].filter(([, each]) => each >= 0);
  return el("div", {}, el("p", {}, operationText(operation, operation.answer >= 0) + (operation.answer < 0 ? ": no answer came" : "")),
    el("ol", {class: "journey"}, ...steps.map(([said, each]) => el("li", {},
      el("button", {type: "button", class: each === event ? "here" : "", onclick: () => go(each)}, said), ` ${trace.t[each].toFixed(4)} s`))));
}

function body(title, value) {
  let text = typeof value === "string" ? JSON.stringify(value) : JSON.stringify(value, null, 1);
  if (Array.isArray(value) && text.length < 400) text = JSON.stringify(value);
  if (text.length > LONGEST) text = `${text.slice(0, LONGEST)}…`;
  return el("div", {class: "body"}, title ? el("h4", {}, title) : "", el("pre", {}, text));
}
