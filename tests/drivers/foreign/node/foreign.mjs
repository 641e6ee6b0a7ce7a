// Carries out scenes with drivers of Node.js: node foreign.mjs DRIVER < script
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import postgres from "postgres";

const LIMIT_MS = 60_000;

const KINDS = {
  int8: (value) => (Number.isSafeInteger(value) ? value : BigInt(value)),
  timestamp: (value) => new Date(value + "Z"),
  timestamptz: (value) => new Date(value),
  bytea: (value) => Buffer.from(value, "hex"),
  json: (value) => JSON.parse(value),
};
const values = (args) => args.map(([kind, value]) => (KINDS[kind] ?? ((given) => given))(value));

function shown(value) {
  if (value === null || value === undefined) return "null";
  if (Buffer.isBuffer(value)) return `Buffer:${value.toString("hex")}`;
  if (value instanceof Date) return `Date:${value.getTime()}`;
  if (typeof value === "object") return `${value.constructor.name}:${JSON.stringify(value)}`;
  return `${typeof value}:${value}`;
}
const table = (columns, rows) => ({ columns, rows: rows.map((row) => row.map(shown)) });
const lines = function* (count) {
  for (let number = 0; number < count; number += 1) yield `${number}\tline ${number}\n`;
};
const total = (rows) => rows.reduce((sum, row) => sum + Number(row), 0);

class PostgresJs {
  constructor(door) {
    // One connection: a session. All else as it comes.
    this.sql = postgres({
      host: door.host,
      port: door.port,
      user: door.user,
      password: door.password,
      database: door.database,
      ssl: door.tls ? "require" : false,
      max: 1,
      onnotice: () => {},
    });
    this.heardSoFar = [];
  }
  // What a tagged template would send; as users of unsafe() ask for it to be prepared.
  run(sql, args) {
    return this.sql.unsafe(sql, values(args), { prepare: true });
  }
  async query({ sql, args }) {
    const result = await this.run(sql, args).values();
    return table((result.columns ?? []).map((column) => column.name), [...result]);
  }
  async plain({ sql }) {
    await this.sql.unsafe(sql).simple();
    return {};
  }
  begin = () => this.plain({ sql: "BEGIN" });
  commit = () => this.plain({ sql: "COMMIT" });
  rollback = () => this.plain({ sql: "ROLLBACK" });
  async batch({ items }) {
    const settled = await Promise.allSettled(items.map(([sql, args]) => this.run(sql, args)));
    return { batch: settled.map(({ reason }) => (reason ? failure(reason).error : "ok")) };
  }
  async copy_in({ table: name, count }) {
    const writable = await this.sql.unsafe(`COPY ${name} FROM STDIN`).writable();
    await pipeline(Readable.from(lines(count)), writable);
    return {};
  }
  async listen({ channel }) {
    await this.sql.listen(channel, (payload) => this.heardSoFar.push(payload));
    return {};
  }
  heard = ({ count }) => hear(this.heardSoFar, count);
  async cursor({ sql, size }) {
    const rows = [];
    for await (const some of this.sql.unsafe(sql, [], { prepare: true }).cursor(size)) {
      rows.push(...some.map((row) => row.n));
    }
    return { count: rows.length, sum: total(rows) };
  }
  async in_time({ sql, ms }) {
    const query = this.sql.unsafe(sql, [], { prepare: true });
    const timer = setTimeout(() => query.cancel(), ms);
    try {
      await query;
    } finally {
      clearTimeout(timer);
    }
    return {};
  }
  close = () => this.sql.end({ timeout: 5 });
}

class NodePostgres {
  constructor(door) {
    this.door = door;
    this.heardSoFar = [];
  }
  async open() {
    const { tls, more, ...door } = this.door; // more: in the driver's own words
    const ssl = tls ? { rejectUnauthorized: false } : false;
    this.client = new pg.Client({ ...door, ssl, ...more });
    this.client.on("error", () => {});
    this.client.on("notification", ({ payload }) => this.heardSoFar.push(payload));
    await this.client.connect();
  }
  asked(sql, args) {
    return { text: sql, values: values(args), rowMode: "array" };
  }
  async query({ sql, args }) {
    const result = await this.client.query(this.asked(sql, args));
    return table(result.fields.map((field) => field.name), result.rows);
  }
  async plain({ sql }) {
    await this.client.query(sql);
    return {};
  }
  begin = () => this.plain({ sql: "BEGIN" });
  commit = () => this.plain({ sql: "COMMIT" });
  rollback = () => this.plain({ sql: "ROLLBACK" });
  async batch({ items }) {
    const queries = items.map(([sql, args]) => this.client.query(this.asked(sql, args)));
    const settled = await Promise.allSettled(queries);
    return { batch: settled.map(({ reason }) => (reason ? failure(reason).error : "ok")) };
  }
  listen = ({ channel }) => this.plain({ sql: `LISTEN ${channel}` });
  heard = ({ count }) => hear(this.heardSoFar, count);
  close = () => this.client.end();
}

// As those use it who want prepared statements: they give each text a name.
class NodePostgresNamed extends NodePostgres {
  asked(sql, args) {
    const name = createHash("sha1").update(sql).digest("hex");
    return { name, ...super.asked(sql, args) };
  }
}

async function hear(heard, count) {
  while (heard.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
  return { heard: [...heard].sort() };
}

function failure(error) {
  const server = /^[0-9A-Z]{5}$/.test(error.code ?? "");
  const message = String(error.message).slice(0, 300);
  return { error: error.code ?? "client", class: server ? "server" : error.name, message };
}

const DRIVERS = {
  "postgres.js": PostgresJs,
  "node-postgres": NodePostgres,
  "node-postgres-named": NodePostgresNamed,
};

function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("no answer")), LIMIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function carryOut(Driver, steps, script) {
  const sessions = {};
  const records = [];
  for (const step of steps) {
    try {
      if (!sessions[step.who]) {
        const session = new Driver(step.who === "beside" ? script.beside : script.through);
        await session.open?.();
        sessions[step.who] = session;
      }
      const session = sessions[step.who];
      const done = session[step.op] ? session[step.op](step) : { unsupported: true };
      records.push(await inTime(done));
    } catch (error) {
      records.push(failure(error));
    }
  }
  for (const session of Object.values(sessions)) await session.close();
  return records;
}

const script = JSON.parse(readFileSync(0, "utf8"));
const reports = {};
for (const [name, steps] of Object.entries(script.scenes)) {
  reports[name] = await carryOut(DRIVERS[process.argv[2]], steps, script);
}
process.stdout.write(JSON.stringify(reports), () => process.exit(0));
