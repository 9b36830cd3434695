/** Where servers stand in the picture, and how the links between them run. Numbers in, numbers out. */

export const NODE = {width: 132, height: 58};
const GAP = 26, MARGIN = 14, HEADING = 24, ZIGZAG = 34;
/** Between two rows, at most. */
const FAR = 120;
const ABOVE = new Set(["viewserver", "shardmaster"]);

/** The rows of the picture, from the top: who watches, who serves, who asks. */
function rowsOf(servers) {
  const clerks = servers.filter((each) => each.is_clerk);
  const watch = servers.filter((each) => !each.is_clerk && ABOVE.has(each.role));
  const serve = servers.filter((each) => !each.is_clerk && !ABOVE.has(each.role));
  return [serve.length ? watch : [], serve.length ? serve : watch, clerks];
}

/** Places for all servers: {width, height, places: Map(name → {x, y}), boxes: [{gid, x, y, width, height}]}. */
export function layout(servers, wanted = {width: 900, height: 500}) {
  const [watch, serve, clerks] = rowsOf(servers);
  const groups = Map.groupBy(serve, (each) => each.group);
  const grouped = serve.length > 0 && !groups.has(null);
  const widthOf = (count) => count * NODE.width + (count - 1) * GAP;
  const columns = grouped ? [...groups.values()].map((each) => Math.min(each.length, each.length > 3 ? Math.ceil(each.length / 2) : 2)) : [serve.length];
  const middle = grouped ? columns.reduce((sum, count) => sum + widthOf(count) + 2 * GAP, GAP * (groups.size - 1)) : ring(serve.length).width;
  const width = Math.max(wanted.width, middle + 2 * MARGIN, widthOf(clerks.length) + 2 * MARGIN, widthOf(watch.length) + 2 * MARGIN);
  const places = new Map(), boxes = [];
  const rows = grouped ? Math.max(...[...groups.values()].map((each, number) => Math.ceil(each.length / columns[number]))) : 1;
  const heights = [watch.length ? NODE.height + ZIGZAG : 0, grouped ? rows * (NODE.height + GAP) + HEADING + GAP : ring(serve.length).height, clerks.length ? NODE.height : 0];
  const used = heights.filter(Boolean);
  const height = Math.max(wanted.height, used.reduce((sum, each) => sum + each, 0) + (used.length - 1) * 2 * GAP + 2 * MARGIN);
  const filled = used.reduce((sum, each) => sum + each, 0);
  const space = Math.min(FAR, (height - 2 * MARGIN - filled) / Math.max(1, used.length - 1));
  let top = (height - filled - space * (used.length - 1)) / 2;
  inRow(watch, width, top + NODE.height / 2, places, watch.length > 2 ? ZIGZAG : 0);
  if (watch.length) top += heights[0] + space;
  if (grouped) inBoxes(groups, columns, {width, middle, top, height: heights[1]}, places, boxes);
  else inRing(serve, width / 2, top + heights[1] / 2, places);
  if (serve.length) top += heights[1] + space;
  inRow(clerks, width, top + NODE.height / 2, places, 0);
  return {width, height, places, boxes};
}

/** A few stand in a row that is no straight line, so that no link runs through a third; many stand in a ring. */
function ring(count) {
  if (count <= 4) return {width: count * NODE.width + (count - 1) * 4 * GAP, height: NODE.height + (count > 2 ? 2 * ZIGZAG : 0)};
  const across = Math.max(2.6, count / 2.6) * (NODE.width + GAP);
  return {width: across + NODE.width, height: Math.max(4.4 * NODE.height, (count / 4) * (NODE.height + GAP)) + NODE.height};
}

function inRing(servers, x, y, places) {
  const {width, height} = ring(servers.length), count = servers.length;
  servers.forEach((server, number) => {
    if (count <= 4) {
      const from = x - width / 2 + NODE.width / 2, low = count > 2 ? (number % 2 ? -ZIGZAG : ZIGZAG) : 0;
      places.set(server.name, {x: from + number * (NODE.width + 4 * GAP), y: y + low});
    } else {
      const turn = (2 * Math.PI * number) / count - Math.PI / 2;
      places.set(server.name, {x: x + Math.cos(turn) * (width - NODE.width) / 2, y: y + Math.sin(turn) * (height - NODE.height) / 2});
    }
  });
}

function inRow(servers, width, y, places, zigzag) {
  const step = Math.min(NODE.width + 4 * GAP, (width - 2 * MARGIN) / Math.max(1, servers.length));
  servers.forEach((server, number) => {
    places.set(server.name, {x: width / 2 + (number - (servers.length - 1) / 2) * step, y: y + (number % 2 ? zigzag : 0)});
  });
}

function inBoxes(groups, columns, room, places, boxes) {
  const gap = (room.width - 2 * MARGIN - (room.middle - GAP * (groups.size - 1))) / (groups.size + 1);
  let left = MARGIN + gap;
  [...groups].forEach(([gid, servers], number) => {
    const count = columns[number], inner = count * NODE.width + (count - 1) * GAP, width = inner + 2 * GAP;
    boxes.push({gid, x: left, y: room.top, width, height: room.height});
    servers.forEach((server, place) => {
      const row = Math.floor(place / count), inRow = Math.min(count, servers.length - row * count);
      const from = left + GAP + (inner - (inRow * NODE.width + (inRow - 1) * GAP)) / 2;
      places.set(server.name, {
        x: from + (place % count) * (NODE.width + GAP) + NODE.width / 2,
        y: room.top + HEADING + GAP / 2 + row * (NODE.height + GAP) + NODE.height / 2,
      });
    });
    left += width + gap;
  });
}

/** By how much a link may bend, in parts of its length: the first that passes by everybody else is taken. */
const BENDS = [0.06, 0.16, -0.16, 0.28, -0.28, 0.4, -0.4];

/**
 * The way of a link: {path, middle, head}. Both directions of a pair bend to their own right, so neither hides the other.
 * `others` are the places of those that it should not run through, and `room` is all that there is.
 */
export function route(from, to, others = [], room = {width: Infinity, height: Infinity}) {
  const ways = BENDS.map((bend) => way(from, to, bend));
  const inside = ({x, y}) => x > 4 && y > 4 && x < room.width - 4 && y < room.height - 4;
  const isFree = ({points}) => points.every((point) => inside(point) && !others.some((place) => covers(place, point)));
  return ways.find(isFree) ?? ways.find(({points}) => points.every(inside)) ?? ways[0];
}

function way(from, to, bend) {
  const [dx, dy] = [to.x - from.x, to.y - from.y], length = Math.hypot(dx, dy) || 1;
  const aside = Math.sign(bend) * 9 + length * bend;
  const control = {x: (from.x + to.x) / 2 - (dy / length) * aside, y: (from.y + to.y) / 2 + (dx / length) * aside};
  const start = leave(from, control, 2), end = leave(to, control, 9);
  const angle = Math.atan2(end.y - control.y, end.x - control.x);
  const tip = {x: end.x + Math.cos(angle) * 7, y: end.y + Math.sin(angle) * 7};
  const side = (turn) => `${tip.x + Math.cos(angle + turn) * 10},${tip.y + Math.sin(angle + turn) * 10}`;
  const at = (share) => ({
    x: start.x * (1 - share) ** 2 + control.x * 2 * share * (1 - share) + end.x * share ** 2,
    y: start.y * (1 - share) ** 2 + control.y * 2 * share * (1 - share) + end.y * share ** 2,
  });
  return {
    path: `M${start.x},${start.y} Q${control.x},${control.y} ${end.x},${end.y}`,
    points: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9].map(at),
    middle: at(0.5),
    head: `${tip.x},${tip.y} ${side(Math.PI * 0.86)} ${side(-Math.PI * 0.86)}`,
  };
}

const covers = (place, point) => Math.abs(place.x - point.x) < NODE.width / 2 + 4 && Math.abs(place.y - point.y) < NODE.height / 2 + 4;

/** Where a line from a server's middle towards a point leaves its box, and a bit more. */
function leave(place, towards, more) {
  const [dx, dy] = [towards.x - place.x, towards.y - place.y], length = Math.hypot(dx, dy) || 1;
  const share = Math.min(NODE.width / 2 / Math.abs(dx || 1e-9), NODE.height / 2 / Math.abs(dy || 1e-9));
  const way = Math.min(share + more / length, 0.95);
  return {x: place.x + dx * way, y: place.y + dy * way};
}
