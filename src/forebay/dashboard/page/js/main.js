// The page: brings what the feed tells to its parts.

import { Charts, Samples } from "./charts.js";
import { $, attribute, el, fit, text } from "./dom.js";
import { Feed } from "./feed.js";
import { Picture } from "./picture.js";
import { KINDS, countKinds, isHeld, stateOf } from "./states.js";
import { EventList, Tables } from "./tables.js";
import { count, duration } from "./words.js";

const LINK = {
  live: "",
  slow: "Too many pages are open: this one is told what goes on every few seconds only.",
  lost: "Connection lost, trying again. What is shown is old.",
};

const samples = new Samples();
const charts = new Charts(samples);
const picture = new Picture($("picture"));
const tables = new Tables();
const events = new EventList($("events"));
let paused = false;
let latest = null;
let started = 0; // of the node whose figures these are
let link = "";
let fetching = false;

const feed = new Feed(receive, (state) => {
  link = state;
  tellLink();
});

// --- what comes ----------------------------------------------------------------------------------

function receive(message) {
  if (message.started_at !== started) {
    // Another node is there, or this one was started anew: nothing of before holds.
    started = message.started_at;
    samples.clear();
    events.clear();
  }
  latest = message;
  catchUp(message);
  if (message.proxy?.sample && !fetching) samples.add(message.last_sample, message.proxy.sample);
  if (!paused) show(message);
}

/** Asks for what was missed: at the beginning, and after a while out of sight. */
async function catchUp(message) {
  const behind = message.last_sample - samples.last > 1.9;
  const news = message.last_event > events.last;
  if (fetching || (!behind && !news)) return;
  fetching = true;
  try {
    if (news) {
      const answer = await fetch(`api/events?since=${events.last}`);
      if (answer.ok) events.add((await answer.json()).events);
    }
    if (behind) {
      const proxy = encodeURIComponent(message.proxy?.status.name ?? "");
      const answer = await fetch(`api/history?proxy=${proxy}&since=${samples.last}`);
      if (answer.ok && latest.proxy?.status.name === message.proxy?.status.name) samples.addAll(await answer.json());
    }
  } catch {
    // The next message asks again.
  } finally {
    fetching = false;
  }
  if (!paused) charts.show();
}

// --- what is shown -------------------------------------------------------------------------------

function show(message) {
  showHead(message);
  showProxies(message);
  showSentence(message);
  picture.show(message);
  charts.show();
  if (message.proxy) showLegend(message.proxy);
  tables.show(message.proxy);
  text(
    $("source"),
    `Forebay ${message.version}, process ${message.processes.node?.pid ?? "?"}, configured by ${message.configuration}`,
  );
  tellLink();
}

function showHead(message) {
  const state = message.ok ? "ok" : message.state === "serving" ? "bad" : message.state;
  attribute($("state"), "class", `state ${state}`);
  text($("state"), message.ok ? "serving" : message.state === "serving" ? "not ready" : message.state);
  const facts = [`up ${duration(Date.now() / 1000 - message.started_at)}`];
  if (message.worker && message.worker_cpu !== null) facts.push(`worker at ${Math.round(100 * message.worker_cpu)} % of a core`);
  if (message.worker_restarts) facts.push(`${count(message.worker_restarts)} × replaced`);
  text($("about"), facts.join(" · "));
  document.title = message.proxy?.numbers.clients_waiting
    ? `(${message.proxy.numbers.clients_waiting} wait) Forebay`
    : "Forebay";
}

function showProxies(message) {
  const list = $("proxies");
  list.parentElement.hidden = message.proxies.length < 2;
  const items = fit(list, message.proxies.length, () => el("li", {}, el("a")));
  for (const [index, proxy] of message.proxies.entries()) {
    const anchor = items[index].firstChild;
    text(anchor, proxy.waiting ? `${proxy.name} (${count(proxy.waiting)} wait)` : proxy.name);
    attribute(anchor, "href", `#proxy=${encodeURIComponent(proxy.name)}`);
    if (proxy.name === message.proxy?.status.name) attribute(anchor, "aria-current", "page");
    else anchor.removeAttribute("aria-current");
  }
}

function showSentence(message) {
  const view = message.proxy?.view;
  const problems = message.worker ? message.problems : ["The worker is being replaced: its figures are back in a moment.", ...message.problems];
  const waits = (message.proxy?.numbers.clients_waiting ?? 0) > 0;
  const said = $("said");
  const servers = message.proxy?.status.servers;
  const held = isHeld(servers) ? `${stateOf(servers)}: ${servers.cause}` : "";
  attribute(said, "class", !message.ok ? "bad" : waits || held ? "waits" : "");
  const warnings = message.proxy?.status.warnings ?? [];
  // Who they are stands in the table.
  const sentence = (view?.sentence ?? "").split(" Longest: ")[0];
  text($("sentence"), message.ok ? held || sentence || "\u00a0" : problems.join(" "));
  text($("hint"), (message.ok && waits && (held ? sentence : view?.hint)) || "\u00a0");
  const items = fit($("warnings"), warnings.length, () => el("li"));
  for (const [index, warning] of warnings.entries()) text(items[index], `Warning: ${warning}.`);
}

function showLegend(proxy) {
  const counts = countKinds(proxy);
  const limit = proxy.status.max_database_connections_allowed;
  const items = fit($("legend"), KINDS.length + 1, (index) =>
    el("li", { class: KINDS[index]?.name ?? "free" }, el("b"), ` ${KINDS[index]?.label ?? "may be opened"}`),
  );
  for (const [index, kind] of KINDS.entries()) {
    text(items[index].firstChild, count(counts[kind.name]));
    attribute(items[index], "data-none", String(counts[kind.name] === 0));
  }
  const open = (proxy.numbers.database_connections ?? 0) + counts.opening;
  text(items[KINDS.length].firstChild, limit === null ? "–" : count(Math.max(0, limit - open)));
}

function tellLink() {
  const lines = [LINK[link] ?? ""];
  if (paused) lines.push("Frozen: what is shown stands still.");
  const said = lines.filter((line) => line).join(" ");
  text($("link"), said);
  $("link").hidden = !said;
  attribute($("link"), "class", link === "lost" ? "link lost" : "link");
  document.body.classList.toggle("old", link === "lost");
}

// --- what people do ------------------------------------------------------------------------------

function chosen() {
  return new URLSearchParams(location.hash.slice(1)).get("proxy") ?? "";
}

window.addEventListener("hashchange", () => {
  samples.clear();
  feed.look(chosen());
});

$("pause").addEventListener("click", () => {
  paused = !paused;
  attribute($("pause"), "aria-pressed", String(paused));
  text($("pause"), paused ? "Go on" : "Freeze");
  if (!paused && latest) show(latest);
  tellLink();
});

feed.look(chosen());
