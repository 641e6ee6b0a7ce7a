// What a database connection does, and the servers: the words of the node, and the few kinds that
// are drawn.

import { duration } from "./words.js";

export const KINDS = [
  { name: "working", label: "at work" },
  { name: "open", label: "idle in transaction" },
  { name: "pinned", label: "pinned, idle" },
  { name: "stalled", label: "stalled" },
  { name: "cleaned", label: "being cleaned" },
  { name: "unused", label: "unused" },
  { name: "opening", label: "being opened" },
];

/** The kind of a state, which may have words behind it: "idle, pinned (LISTEN)". */
export function kindOf(state) {
  if (state.startsWith("idle in transaction")) return "open";
  if (state.startsWith("idle, pinned")) return "pinned";
  if (state.startsWith("stalled")) return "stalled";
  if (state.startsWith("being cleaned")) return "cleaned";
  if (state === "unused") return "unused";
  if (state === "waiting") return "waiting";
  return "working";
}

/** How many connections are of each kind. */
export function countKinds(proxy) {
  const counts = Object.fromEntries(KINDS.map((kind) => [kind.name, 0]));
  for (const [state, number] of Object.entries(proxy.view?.states ?? {}))
    counts[kindOf(state)] += number;
  counts.unused = proxy.numbers.database_connections_idle ?? 0;
  counts.opening = proxy.numbers.database_connections_opening ?? 0;
  return counts;
}

/** Whether requests wait because it is not known which of several servers writes. */
export function isHeld(target) {
  return Boolean(target) && target.state !== "UP";
}

/** What is known of the servers, and since when: "HOLD for 12.3 s". */
export function stateOf(target) {
  const since = target.since ? ` for ${duration(Math.max(0, Date.now() / 1000 - target.since))}` : "";
  return `${target.state}${since}`;
}
