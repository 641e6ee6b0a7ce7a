// An application in Node.js: node foreign.mjs DRIVER; see this package.
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import postgres from "postgres";

const PAUSE_MS = 30;
const ZONE = "Asia/Kathmandu";
const PATH = "apart, public";
const INSERT = "INSERT INTO writes (client, seq, part) VALUES ($1, $2, $3)";
const LOOK =
  "SELECT current_setting('TimeZone') AS zone, current_schema() AS place," +
  " what || ' ' || $1::int AS kept FROM kept WHERE n = $2";
const say = (record) => process.stdout.write(JSON.stringify(record) + "\n");

/** node-postgres; `named`: its statements have names, and so are kept. */
class NodePostgres {
  constructor({ host, port, user, password, database }, named) {
    const door = { host, port, user, password, database };
    this.named = named;
    this.pool = new pg.Pool(door);
    this.resting = new pg.Pool({ ...door, options: `-c TimeZone=${ZONE}` });
    for (const pool of [this.pool, this.resting]) pool.on("error", () => {}); // as its docs demand
    this.resting.on("connect", (client) => client.query(`SET search_path TO ${PATH}`));
  }
  asked(text, values) {
    return this.named ? { name: text.slice(0, 12), text, values } : { text, values };
  }
  async alone(client, seq, step) {
    step.at = "statement";
    await this.pool.query(this.asked(INSERT, [client, seq, 0]));
  }
  async together(client, seq, step) {
    const connection = await this.pool.connect();
    let failure;
    try {
      step.at = "begin";
      await connection.query("BEGIN");
      step.at = "statement";
      for (const part of [0, 1]) await connection.query(this.asked(INSERT, [client, seq, part]));
      step.at = "commit";
      await connection.query("COMMIT");
    } catch (error) {
      failure = error;
      await connection.query("ROLLBACK").catch((second) => (failure.second = second));
      throw failure;
    } finally {
      connection.release(failure?.second); // as its docs do: gone if it could not roll back
    }
  }
  async rest(count) {
    const all = await Promise.all(Array.from({ length: count }, () => this.resting.connect()));
    try {
      const found = [];
      for (const one of all) {
        const { rows } = await one.query({ name: "look", text: LOOK, values: [7, 1] });
        found.push({ id: String(one.processID), ...rows[0] });
      }
      return found.sort((one, other) => one.id.localeCompare(other.id));
    } finally {
      for (const one of all) one.release();
    }
  }
  async close() {
    await Promise.all([this.pool.end(), this.resting.end()]);
  }
}

class PostgresJs {
  constructor({ host, port, user, password, database }) {
    const door = { host, port, user, password, database, onnotice: () => {} };
    this.sql = postgres(door);
    this.resting = postgres({ ...door, connection: { TimeZone: ZONE, search_path: PATH } });
  }
  async alone(client, seq, step) {
    step.at = "statement";
    await this.sql.unsafe(INSERT, [client, seq, 0], { prepare: true });
  }
  async together(client, seq, step) {
    step.at = "begin";
    await this.sql.begin(async (sql) => {
      step.at = "statement";
      for (const part of [0, 1]) await sql.unsafe(INSERT, [client, seq, part], { prepare: true });
      step.at = "commit";
    });
  }
  async rest(count) {
    const all = await Promise.all(Array.from({ length: count }, () => this.resting.reserve()));
    try {
      const found = [];
      for (const one of all) {
        const [row] = await one.unsafe(LOOK, [7, 1], { prepare: true });
        const [{ pid }] = await one`SELECT 1 AS pid`; // it does not tell which connection it is
        found.push({ id: String(pid), ...row });
      }
      return found;
    } finally {
      for (const one of all) one.release();
    }
  }
  async close() {
    await Promise.all([this.sql.end({ timeout: 5 }), this.resting.end({ timeout: 5 })]);
  }
}

const DRIVERS = {
  "node-postgres": (given) => new NodePostgres(given, false),
  "node-postgres-named": (given) => new NodePostgres(given, true),
  "postgres.js": (given) => new PostgresJs(given),
};

let ending = false;

async function write(application, kind, client) {
  for (let seq = 0; !ending; seq += 1) {
    const began = performance.now();
    const step = { at: "connect" };
    let record = { at: "" };
    try {
      await (kind === "autocommit" ? application.alone : application.together).call(
        application, client, seq, step,
      );
    } catch (error) {
      const code = /^[0-9A-Z]{5}$/.test(error.code ?? "") ? error.code : "";
      const name = code ? error.constructor.name : `${error.constructor.name} ${error.code ?? ""}`;
      record = { at: step.at, class: name, sqlstate: code, message: String(error.message) };
      if (error.second) record.class += ` (ROLLBACK: ${error.second.code ?? error.second.message})`;
    }
    say({ client, seq, kind, took_s: (performance.now() - began) / 1000, ...record });
    await sleep(PAUSE_MS);
  }
}

async function rest(application, count) {
  try {
    return await application.rest(count);
  } catch (error) {
    return [{ error: `${error.code}: ${error.message}` }];
  }
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const given = JSON.parse((await lines.next()).value);
const application = DRIVERS[process.argv[2]](given);
let found;
for (let turn = 0; turn < 7; turn += 1) found = await rest(application, given.resting);
say({ rest: found });
const kinds = ["autocommit", "transaction"];
const lives = Array.from({ length: given.writers }, (_, number) =>
  write(application, kinds[number % 2], given.first + number),
);
for (let line = await lines.next(); !line.done && line.value !== "end"; line = await lines.next()) {
  say({ rest: await rest(application, given.resting) });
}
ending = true;
await Promise.all(lives);
say({ end: true });
await application.close();
process.exit(0);
