// Numbers and times in words. Nothing here touches the document.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A count: 12,345; a dash where it is not known. */
export function count(value) {
  return value === null || value === undefined ? "–" : whole.format(value);
}

/** A number with three digits that mean something: 0.123, 1.23, 1,230. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 1000 ? whole.format(value) : three.format(value);
}

/** A rate: whole numbers from ten on. */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value >= 10 ? whole.format(value) : three.format(Math.round(value * 10) / 10);
}

/** A duration of milliseconds: 0.12 ms, 12 ms, 1.2 s. */
export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1000) return duration(value / 1000);
  return `${value >= 100 ? whole.format(value) : three.format(Math.round(value * 100) / 100)} ms`;
}

/** A duration of seconds: 350 ms, 12.3 s, 4 min 12 s, 2 h 05 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${pad(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${pad((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** A limit in seconds as it was written: 120 s, 24 h. */
export function span(seconds) {
  if (seconds >= 3600 && seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds >= 600 && seconds % 60 === 0) return `${seconds / 60} min`;
  return `${number(seconds)} s`;
}

/** The time of day here: 17:04:09. */
export function clock(at) {
  const date = new Date(at * 1000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(":");
}

/** One of something or several. */
export function plural(value, one, several = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : several}`;
}

function pad(value) {
  return String(Math.floor(value)).padStart(2, "0");
}
