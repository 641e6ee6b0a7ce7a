// Clients → queue → pool → database, with what goes on there now. Drawn for the width that there
// is, so that letters keep their size: side by side, or below each other on a phone.

import { attribute, svg, text } from "./dom.js";
import { KINDS, countKinds, isHeld, stateOf } from "./states.js";
import { count, duration, milliseconds, plural, rate } from "./words.js";

const NARROW = 760;
const SMALL = 1000;
const HEIGHT = 164;
const PAD = 16;
const SLOT_SIZES = [22, 18, 15, 12, 10, 8];
const SLOT_GAP = 4;
const SLOTS_TOP = 76;
const MOST_SLOTS = 240;
const MOST_DOTS = 24;

export class Picture {
  constructor(place) {
    this.place = place;
    this.last = null;
    this.layout = "";
    new ResizeObserver(() => this.draw()).observe(place);
  }

  show(message) {
    this.last = message;
    this.draw();
  }

  draw() {
    const proxy = this.last?.proxy;
    if (!proxy) return;
    const width = Math.max(280, Math.floor(this.place.clientWidth));
    const shape = `${width} ${slotCount(proxy)}`;
    if (shape !== this.layout) {
      this.layout = shape;
      this.build(width, slotCount(proxy));
    }
    this.fill(proxy);
  }

  // --- once for each width ---------------------------------------------------------------------

  build(width, slots) {
    const narrow = width < NARROW;
    const parts = narrow ? [1, 1, 1, 1] : [0.9, 0.85, 1.6, 1.1];
    const gap = width < SMALL ? 34 : 56;
    const total = parts.reduce((sum, part) => sum + part);
    const room = narrow ? width : width - 3 * gap;
    const slotWidth = narrow ? width : (room * parts[2]) / total;
    const grid = squares(slots, slotWidth - 2 * PAD, HEIGHT - SLOTS_TOP - 12);
    const poolHeight = Math.max(narrow ? 100 : HEIGHT, SLOTS_TOP + grid.height + 12);
    const heights = narrow ? [128, 140, poolHeight, 150] : Array(4).fill(poolHeight);
    const down = 34;
    const height = narrow ? heights.reduce((sum, each) => sum + each) + 3 * down : poolHeight;

    this.title = svg("title");
    this.root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" }, this.title);
    this.boxes = [];
    let x = 0;
    let y = 0;
    for (const [index, name] of ["Clients", "Queue", "Pool", "Database"].entries()) {
      const boxWidth = narrow ? width : (room * parts[index]) / total;
      const box = { x, y, width: boxWidth, height: heights[index] };
      this.boxes.push(this.box(name, box));
      if (index < 3) {
        if (narrow) this.arrow(x + 34, y + box.height, x + 34, y + box.height + down, index, true);
        else this.arrow(x + boxWidth, y + box.height / 2, x + boxWidth + gap, y + box.height / 2, index, false);
      }
      if (narrow) y += box.height + down;
      else x += boxWidth + gap;
    }
    this.slots(this.boxes[2], slots, grid);
    this.dots(this.boxes[1]);
    this.place.replaceChildren(this.root);
  }

  box(name, { x, y, width, height }) {
    const group = svg("g", { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    const frame = svg("rect", { class: "box", width: width.toFixed(1), height, rx: 8 });
    const title = svg("text", { class: "title", x: PAD, y: 24 });
    title.textContent = name;
    const big = svg("text", { class: "big", x: PAD, y: 58 });
    const lines = [0, 1, 2, 3].map((index) => svg("text", { class: "line", x: PAD, y: 80 + 19 * index }));
    group.append(frame, title, big, ...lines);
    this.root.append(group);
    return { group, frame, big, lines, width, height };
  }

  arrow(x1, y1, x2, y2, index, narrow) {
    const end = narrow ? `M${x2 - 5} ${y2 - 8}L${x2} ${y2 - 2}L${x2 + 5} ${y2 - 8}` : `M${x2 - 8} ${y2 - 5}L${x2 - 2} ${y2}L${x2 - 8} ${y2 + 5}`;
    const line = svg("path", { class: "flow", d: `M${x1} ${y1}L${narrow ? x2 : x2 - 3} ${narrow ? y2 - 3 : y2}` });
    this.root.append(line, svg("path", { class: "head", d: end }));
    this.flows = index === 0 ? [line] : [...this.flows, line];
  }

  slots(box, number, { size, columns }) {
    this.squares = [];
    for (let index = 0; index < number; index += 1) {
      const square = svg("rect", {
        class: "slot",
        x: PAD + (index % columns) * (size + SLOT_GAP),
        y: SLOTS_TOP + Math.floor(index / columns) * (size + SLOT_GAP),
        width: size,
        height: size,
        rx: Math.min(4, size / 4),
      });
      box.group.append(square);
      this.squares.push(square);
    }
  }

  dots(box) {
    this.waiting = [];
    const columns = Math.max(1, Math.floor((box.width - 2 * PAD + 4) / 12));
    const most = Math.min(MOST_DOTS, columns * 2);
    const top = box.height - (most > columns ? 30 : 20);
    for (let index = 0; index < most; index += 1) {
      const dot = svg("circle", {
        class: "dot",
        cx: PAD + 4 + (index % columns) * 12,
        cy: top + Math.floor(index / columns) * 12,
        r: 4,
      });
      box.group.append(dot);
      this.waiting.push(dot);
    }
  }

  // --- each second -----------------------------------------------------------------------------

  fill(proxy) {
    const { numbers, sample, status } = proxy;
    const [clients, queue, pool, database] = this.boxes;
    const known = Object.keys(numbers).length > 0;
    const waiting = numbers.clients_waiting;
    const limit = status.max_database_connections_allowed;
    const kinds = countKinds(proxy);

    say(clients, count(numbers.client_connections), [
      `of at most ${count(status.max_client_connections)}`,
      known ? `${count(numbers.clients_pinned)} pinned` : "",
      sample ? `${rate(sample.logins_s)} logins/s` : "",
    ]);
    say(queue, count(waiting), [
      waiting ? `first: ${duration(numbers.clients_waiting_longest_s)}` : known ? "nobody waits" : "",
      sample && waiting ? `p99 ${milliseconds(sample.wait_p99_ms)}` : "",
    ]);
    attribute(queue.frame, "class", waiting ? "box waits" : "box");
    say(pool, known ? `${count(numbers.database_connections_borrowed)} of ${count(limit)} in use` : "–", []);
    this.fillSlots(kinds, limit);
    const held = isHeld(status.servers);
    const answers = sample && sample.queries_s > 0;
    say(database, sample ? rate(sample.queries_s) : "–", [
      "queries per second",
      status.servers && (held || status.servers.epoch > 1) ? stateOf(status.servers) : "",
      known && !numbers.target_available && !held ? "can't be reached" : "",
      answers ? `p50 ${milliseconds(sample.database_p50_ms)}, p99 ${milliseconds(sample.database_p99_ms)}` : "",
      status.servers?.writer || (status.target[0] ?? ""),
      numbers.server_max_connections ? `max_connections ${count(numbers.server_max_connections)}` : "",
    ]);
    attribute(database.frame, "class", held || (known && numbers.target_available === 0) ? "box waits" : "box");
    for (const [index, dot] of this.waiting.entries())
      attribute(dot, "class", index < (waiting ?? 0) ? "dot on" : "dot");
    this.flow(sample, waiting);
    text(this.title, describe(proxy, kinds));
  }

  fillSlots(kinds, limit) {
    const each = Math.max(1, Math.ceil((limit ?? 0) / MOST_SLOTS));
    const classes = [];
    for (const kind of KINDS)
      for (let left = Math.ceil(kinds[kind.name] / each); left > 0; left -= 1) classes.push(kind.name);
    for (const [index, square] of this.squares.entries())
      attribute(square, "class", `slot ${classes[index] ?? "free"}`);
  }

  /** Dashes run where something moves; how fast says how much. */
  flow(sample, waiting) {
    const moves = sample ? sample.queries_s : 0;
    const pace = moves > 0 ? (moves > 1000 ? "fast" : moves > 50 ? "brisk" : "slow") : "still";
    for (const [index, line] of this.flows.entries())
      attribute(line, "class", `flow ${pace}${index === 0 && waiting ? " waits" : ""}`);
  }
}

/** Squares as large as fit there. */
function squares(number, width, height) {
  for (const size of SLOT_SIZES) {
    const columns = Math.max(1, Math.floor((width + SLOT_GAP) / (size + SLOT_GAP)));
    const used = Math.ceil(number / columns) * (size + SLOT_GAP);
    if (used <= height || size === SLOT_SIZES.at(-1)) return { size, columns, height: used };
  }
  return null;
}

/** As many squares as connections are allowed; of very many each stands for some. */
function slotCount(proxy) {
  const limit = proxy.status.max_database_connections_allowed ?? 0;
  return Math.ceil(limit / Math.max(1, Math.ceil(limit / MOST_SLOTS)));
}

function say(box, big, lines) {
  text(box.big, big);
  const shown = lines.filter((line) => line);
  const characters = Math.max(8, Math.floor((box.width - 2 * PAD) / 6.5));
  for (const [index, line] of box.lines.entries()) {
    const whole = shown[index] ?? "";
    text(line, whole.length > characters ? `${whole.slice(0, characters - 1)}…` : whole);
  }
}

/** The picture in a sentence, for those who do not see it. */
function describe(proxy, kinds) {
  const { numbers, status } = proxy;
  if (!Object.keys(numbers).length) return "Nothing is known at the moment.";
  const doing = KINDS.filter((kind) => kinds[kind.name]).map((kind) => `${count(kinds[kind.name])} ${kind.label}`);
  return (
    `${plural(numbers.client_connections, "client")}, ${count(numbers.clients_waiting)} of them in the queue;` +
    ` ${plural(numbers.database_connections, "database connection")}` +
    ` of at most ${count(status.max_database_connections_allowed)}: ${doing.join(", ") || "none"}.` +
    (isHeld(status.servers) ? ` The database: ${stateOf(status.servers)}.` : "")
  );
}
