// Who holds, who waits, what pins, the limits. Rows are reused, so that what somebody has selected
// or scrolled to stays.

import { $, attribute, el, fit, text } from "./dom.js";
import { kindOf, stateOf } from "./states.js";
import { clock, count, duration, number, plural, span } from "./words.js";

const who = (row) => `${row.user}@${row.database}`;
const pins = (row) => row.pins.join(", ");

const HOLDERS = [
  { head: "Held for", cell: (row) => duration(row.held_s), numeric: true },
  { head: "State", cell: (row) => row.state, state: true },
  { head: "for", cell: (row) => duration(row.state_s), numeric: true },
  { head: "User@database", cell: who, long: true },
  { head: "Application", cell: (row) => row.application, long: true },
  { head: "Client", cell: (row) => row.address || (row.client ? "Unix socket" : ""), long: true },
  { head: "pid", cell: (row) => String(row.id), numeric: true, title: "The backend's process id, as in pg_stat_activity" },
  { head: "Pinned by", cell: pins, long: true },
];

const WAITERS = [
  { head: "Waits for", cell: (row) => duration(row.state_s), numeric: true },
  { head: "User@database", cell: who, long: true },
  { head: "Application", cell: (row) => row.application, long: true },
  { head: "Client", cell: (row) => row.address || "Unix socket", long: true },
];

const PINS = [
  { head: "Reason", cell: (row) => row.reason, title: (row) => row.sentence },
  { head: "Now", cell: (row) => count(row.now), numeric: true },
  { head: "In all", cell: (row) => count(row.count), numeric: true },
  { head: "Time", cell: (row) => duration(row.total_s), numeric: true },
  { head: "Longest", cell: (row) => duration(row.longest_s), numeric: true },
  { head: "Application", cell: (row) => row.application, long: true },
  { head: "Digest", cell: (row) => row.digest, code: true },
  { head: "How to avoid it", cell: (row) => row.hint, wrap: true },
];

const LIMITS = [
  { head: "What", cell: (row) => row.what, wrap: true },
  { head: "Limit", cell: (row) => amount(row, row.value), numeric: true },
  { head: "Now", cell: (row) => (row.used === null ? "" : amount(row, row.used, true)), numeric: true, full: isNearlyUsed },
  { head: "From", cell: (row) => row.source || (row.is_default ? "default" : "configuration"), wrap: true },
  { head: "Key", cell: (row) => row.key, code: true },
];

const ROLES = { READ_WRITE: "writes", READ_ONLY: "standby", UNKNOWN: "" };

const SERVERS = [
  { head: "Server", cell: (row) => row.address, long: true },
  { head: "Role", cell: (row) => ROLES[row.role] ?? row.role },
  { head: "Health", cell: (row) => row.health + (row.reason ? ` (${row.reason})` : ""), full: (row) => row.health === "UNAVAILABLE" },
  { head: "Timeline", cell: (row) => (row.timeline ? String(row.timeline) : ""), numeric: true },
  { head: "Behind", cell: (row) => (row.lag_s === null ? "" : duration(row.lag_s)), numeric: true },
  { head: "Why", cell: (row) => row.text, wrap: true },
];

function amount(row, value, exact = false) {
  if (value === null) return "not known yet";
  if (row.unit === "s" && value === 0 && !exact) return "none";
  if (row.unit === "s") return exact ? duration(value) : span(value);
  return row.unit ? `${number(value)} ${row.unit}` : count(value);
}

function isNearlyUsed(row) {
  return row.used !== null && row.value > 0 && row.used >= 0.9 * row.value && row.used > 0;
}

export class Tables {
  constructor() {
    this.holders = new Table($("holders"), HOLDERS, "Nobody has a connection.");
    this.waiters = new Table($("waiters"), WAITERS, "Nobody waits.");
    this.pins = new Table($("pins"), PINS, "Nothing has pinned since the worker started.");
    this.limits = new Table($("limits"), LIMITS, "");
    this.servers = new Table($("servers"), SERVERS, "No server is known yet.");
  }

  show(proxy) {
    const view = proxy?.view;
    this.holders.show(view?.holders ?? []);
    this.waiters.show(view?.waiters ?? []);
    this.pins.show(view?.pins ?? []);
    this.limits.show(proxy?.limits ?? []);
    this.showServers(proxy?.status.servers);
    text($("holders-count"), shown(view?.holders_count, view?.holders.length));
    text($("waiters-count"), shown(view?.waiters_count, view?.waiters.length));
    const now = (view?.pins ?? []).reduce((sum, pin) => sum + pin.now, 0);
    text($("pins-count"), now ? `${plural(now, "pin")} now` : "");
  }

  /** Of a target with several; there is nothing to be told of a single one. */
  showServers(target) {
    $("servers-panel").hidden = !target;
    if (!target) return;
    this.servers.show(target.servers);
    text($("servers-state"), `${stateOf(target)}, epoch ${count(target.epoch)}${target.trouble ? `: ${target.trouble}` : ""}`);
  }
}

function shown(all, some) {
  if (all === undefined) return "";
  return all > some ? `${count(all)}, the first ${count(some)}` : count(all);
}

class Table {
  constructor(table, columns, nothing) {
    this.columns = columns;
    this.body = el("tbody");
    const heads = columns.map((column) =>
      el("th", { scope: "col", class: column.numeric ? "numeric" : "", title: typeof column.title === "string" ? column.title : "" }, column.head),
    );
    table.append(el("thead", {}, el("tr", {}, ...heads)), this.body);
    this.nothing = el("p", { class: "nothing" }, nothing);
    table.after(this.nothing);
  }

  show(rows) {
    this.nothing.hidden = rows.length > 0;
    const elements = fit(this.body, rows.length, () => this.make());
    for (const [index, row] of rows.entries()) this.fill(elements[index], row);
  }

  make() {
    const cells = this.columns.map((column, index) => {
      const inner = column.code ? el("code") : el("span");
      const name = index === 0 ? "th" : "td";
      const cell = el(name, { class: classOf(column), "data-head": column.head }, inner);
      if (index === 0) cell.setAttribute("scope", "row");
      return cell;
    });
    return el("tr", {}, ...cells);
  }

  fill(element, row) {
    for (const [index, column] of this.columns.entries()) {
      const cell = element.children[index];
      const value = column.cell(row);
      text(cell.firstChild, value);
      if (column.long) attribute(cell, "title", value);
      if (typeof column.title === "function") attribute(cell, "title", column.title(row));
      if (column.state) attribute(cell.firstChild, "class", `does ${kindOf(row.state)}`);
      if (column.full) attribute(cell.firstChild, "class", column.full(row) ? "warns" : "");
    }
  }
}

function classOf(column) {
  return ["numeric", "long", "wrap", "code"].filter((name) => column[name]).join(" ");
}

/** The latest events, the newest first. */
export class EventList {
  constructor(list) {
    this.list = list;
    this.last = 0;
  }

  add(events) {
    for (const event of events) {
      if (event.number <= this.last) continue;
      this.last = event.number;
      this.list.prepend(
        el(
          "li",
          { class: event.level === "INFO" ? "" : event.level === "WARNING" ? "warning" : "error" },
          el("time", { dateTime: new Date(event.at * 1000).toISOString() }, clock(event.at)),
          el("span", { class: "level" }, event.level === "INFO" ? "" : event.level.toLowerCase()),
          el("span", { class: "text" }, event.text),
        ),
      );
    }
    while (this.list.children.length > 200) this.list.lastElementChild.remove();
  }

  clear() {
    this.last = 0;
    this.list.replaceChildren();
  }
}
