// Live queries and live tables of the JavaScript client against the real server, with the `sqlite3` shell as the other process:
// `TABLECAST_BIN=.build/debug/tablecast node --experimental-websocket --test Tests/Browser/server.test.mjs`.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect } from "../../Sources/TablecastWeb/Client/tablecast.js";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BINARY = process.env.TABLECAST_BIN ?? join(ROOT, ".build/debug/tablecast");
const missing = (!existsSync(BINARY) && `there is no ${BINARY}`) || (spawnSync("sqlite3", ["-version"]).error && "there is no sqlite3") || (typeof WebSocket === "undefined" && "node --experimental-websocket");
const options = { skip: missing, timeout: Number(process.env.TABLECAST_PATIENCE_SECONDS ?? 120) * 1_000 };

/** A server on a file of its own, and another process that writes the file. */
async function serve(context, sql, ...parameters) {
  const folder = mkdtempSync(join(tmpdir(), "tablecast-"));
  const file = join(folder, "test.db");
  const shell = (text) => execFileSync("sqlite3", ["-cmd", ".timeout 10000", file], { input: text, encoding: "utf8" });
  shell(`PRAGMA journal_mode = WAL; ${sql}`);
  const server = spawn(BINARY, ["serve", file, "--port", "0", ...parameters], { stdio: ["ignore", "pipe", "inherit"] });
  context.after(() => {
    server.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  let port;
  const lines = createInterface(server.stdout);
  for await (const line of lines) if ((port = Number(/ws:\/\/\S+:(\d+)/.exec(line)?.[1]))) break;
  assert.ok(port, "the server did not start");
  server.stdout.resume();
  return { file, shell, port, address: `ws://127.0.0.1:${port}/ws`, server };
}

function open(context, address, settings = {}) {
  const db = connect(address, { minRetryDelay: 10, maxRetryDelay: 50, ...settings });
  context.after(() => db.close());
  return db;
}

/** Resolves when a condition holds, which is looked at with each event of a source. */
function until(source, condition, event = "change") {
  if (condition()) return Promise.resolve();
  return new Promise((resolve) => {
    const off = source.on(event, () => condition() && (off(), resolve()));
  });
}

/** A connection that can be cut. */
async function relay(context, port) {
  const sockets = new Set();
  let isCut = false;
  const listener = createServer((near) => {
    if (isCut) return near.destroy();
    const far = createConnection(port, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => (near.destroy(), far.destroy(), sockets.delete(socket)));
    }
    near.pipe(far).pipe(near);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  context.after(() => (sockets.forEach((socket) => socket.destroy()), listener.close()));
  return {
    address: `ws://127.0.0.1:${listener.address().port}/ws`,
    cut: () => ((isCut = true), sockets.forEach((socket) => socket.destroy())),
    mend: () => (isCut = false),
  };
}

const MUSIC = existsSync(join(ROOT, "Fixtures/music.sql")) ? readFileSync(join(ROOT, "Fixtures/music.sql"), "utf8") : "";

test("a live query follows another process, a join with groups included", options, async (context) => {
  const { shell, address } = await serve(context, MUSIC);
  const db = open(context, address);
  const live = db.live("SELECT g.genre_id, g.name, count(t.track_id) AS tracks FROM genre g LEFT JOIN track t USING (genre_id) GROUP BY g.genre_id");
  assert.equal((await live.ready).length, 10);
  assert.deepEqual([live.plan, live.columns, live.ordered, live.tables.toSorted()], ["incremental", ["genre_id", "name", "tracks"], false, ["genre", "track"]]);
  const [folk, ...others] = live.rows;
  const changes = [];
  live.on("change", (change) => changes.push(change));
  shell("UPDATE genre SET name = 'Folk music' WHERE genre_id = 1");
  await until(live, () => changes.length > 0);
  assert.deepEqual(live.rows[0], { ...folk, name: "Folk music" });
  assert.equal(changes[0].rows[0].before, folk, "a change names the object that rows had");
  assert.equal(changes[0].rows[0].after, live.rows[0], "and the one that it has");
  assert.ok(others.every((row, index) => row === live.rows[index + 1]), "rows that stay the same stay the same objects");
  shell("INSERT INTO genre VALUES (77, 'Skronk')");
  await until(live, () => live.rows.length === 11);
  assert.deepEqual(live.rows.at(-1), { genre_id: 77, name: "Skronk", tracks: 0 });
});

test("equal live queries and tables of one connection go on when one of them is closed", options, async (context) => {
  const { shell, address } = await serve(context, MUSIC);
  const db = open(context, address);
  for (const make of [() => db.live("SELECT * FROM genre"), () => db.live("SELECT name FROM genre ORDER BY name"), () => db.table("genre")]) {
    const [one, other] = [make(), make()];
    await Promise.all([one.ready, other.ready]);
    const [interrupting, late] = [make(), make()];
    const off = db.on("message", ({ type }) => type.endsWith("subscribed") && (off(), make().close())); // in the middle of their snapshot
    await Promise.all([interrupting.ready, late.ready]);
    interrupting.close();
    shell("INSERT INTO genre (name) VALUES ('Shared')");
    for (const each of [one, other, late]) await until(each, () => each.rows.some(({ name }) => name === "Shared"));
    one.close();
    shell("DELETE FROM genre WHERE name = 'Shared'; INSERT INTO genre (name) VALUES ('For the others')");
    for (const each of [other, late]) await until(each, () => each.rows.some(({ name }) => name === "For the others"));
    assert.equal(late.rows.length, 11);
    assert.ok(one.rows.some(({ name }) => name === "Shared"), "what is closed stays as it was");
    late.close();
    shell("DELETE FROM genre WHERE name = 'For the others'");
    await until(other, () => other.rows.length === 10);
    const next = make();
    assert.equal((await next.ready).length, 10);
    next.close();
    other.close();
  }
});

test("an own write is seen in a live query and in a live table after seen()", options, async (context) => {
  const { address } = await serve(context, MUSIC);
  const db = open(context, address);
  const [live, table] = [db.live("SELECT max(name) AS last FROM genre"), db.table("genre", { where: "name >= :from", params: { from: "Rock" } })];
  await Promise.all([live.ready, table.ready]);
  const { position } = await db.query("INSERT INTO genre (name) VALUES ('Zydeco')").run();
  await db.seen(position);
  assert.deepEqual(live.rows, [{ last: "Zydeco" }]);
  assert.deepEqual(table.rows.map(({ name }) => name).sort(), ["Rock", "Samba", "Zydeco"]);
});

for (const state of [[], ["--state", "none"]]) {
  test(`after a restart ${state.length ? "without state " : ""}nothing has ended, and seen() waits for what was written`, options, async (context) => {
    const rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, hex(zeroblob(50)) FROM n;";
    const service = await serve(context, `CREATE TABLE t (id INTEGER PRIMARY KEY, v); ${rows}`, ...state);
    const db = open(context, service.address, { minRetryDelay: 1, maxRetryDelay: 10, fetch: undefined });
    const [live, table, few] = [db.live("SELECT * FROM t"), db.table("t"), db.table("t", { where: "id > ?", params: [2000] })];
    const ends = [];
    for (const each of [live, table, few]) each.on("end", (error) => ends.push(error?.message));
    await Promise.all([live.ready, table.ready, few.ready]);
    let { server } = service;
    for (const [index, signal] of ["SIGTERM", "SIGKILL", "SIGTERM"].entries()) {
      server.kill(signal);
      await once(server, "exit");
      server = spawn(BINARY, ["serve", service.file, "--port", String(service.port), ...state], { stdio: "ignore" });
      context.after(() => server.kill());
      const { position } = await writeOnce(db, `INSERT INTO t VALUES (${2001 + index}, 'new')`);
      await db.seen(position);
      assert.deepEqual([live.rows.length, table.rows.length, few.rows.length], [2001 + index, 2001 + index, 1 + index], signal);
    }
    assert.deepEqual(ends, []);
  });
}

/** Runs a statement on the next connection that holds. */
async function writeOnce(db, sql) {
  for (;;) {
    await db.ready;
    try {
      return await db.query(sql).run();
    } catch (error) {
      // Not sent, or refused by a server that stops: nothing was written.
      if (!["DISCONNECTED", "CANCELLED", "INTERRUPTED"].includes(error.code)) throw error;
    }
  }
}

test("an ordered live query with a limit has its rows in order", options, async (context) => {
  const { shell, address } = await serve(context, MUSIC);
  const live = open(context, address).live("SELECT genre_id, name FROM genre ORDER BY name DESC LIMIT ?", [3]);
  await live.ready;
  assert.equal(live.ordered, true);
  shell("UPDATE genre SET name = 'ZZ' WHERE name = 'Brass'");
  await until(live, () => live.rows[0].name === "ZZ");
  assert.deepEqual(live.rows.map(({ name }) => name), ["ZZ", "Samba", "Rock"]);
});

test("what happened while the connection was cut is replayed, or sent again where the server was another one", options, async (context) => {
  const service = await serve(context, MUSIC);
  const way = await relay(context, service.port);
  const db = open(context, way.address, { fetch: undefined });
  const [live, table] = [db.live("SELECT * FROM genre"), db.table("genre")];
  await Promise.all([live.ready, table.ready]);
  const kept = live.rows[1];
  const resets = [];
  const resumed = [];
  live.on("change", ({ reset }) => resets.push(reset));
  live.on("live", ({ recovered }) => resumed.push(recovered));
  way.cut();
  await until(db, () => db.state !== "open", "state");
  service.shell("UPDATE genre SET name = 'Folk music' WHERE genre_id = 1; DELETE FROM genre WHERE genre_id = 8; INSERT INTO genre VALUES (50, 'New')");
  way.mend();
  await until(live, () => live.rows.some(({ name }) => name === "New"));
  await until(table, () => table.rows.some(({ name }) => name === "New"));
  assert.deepEqual([resumed, resets.includes(true)], [[true], false]);
  const expected = await db.query("SELECT * FROM genre");
  assert.deepEqual(live.rows.toSorted((one, other) => one.genre_id - other.genre_id), expected);
  assert.deepEqual(table.rows.toSorted((one, other) => one.genre_id - other.genre_id), expected);

  // A server that was started again has no history: the rows come again, and those that are the same stay the same objects.
  service.server.kill();
  await once(service.server, "exit");
  service.shell("INSERT INTO genre VALUES (51, 'Newer')");
  const next = spawn(BINARY, ["serve", service.file, "--port", String(service.port)], { stdio: "ignore" });
  context.after(() => next.kill());
  await until(live, () => live.rows.some(({ name }) => name === "Newer"));
  await until(table, () => table.rows.some(({ name }) => name === "Newer"));
  assert.equal(resumed.at(-1), false);
  assert.equal(live.rows.find(({ genre_id }) => genre_id === kept.genre_id), kept);
});

test("what cannot be live is refused with the reason and the place", options, async (context) => {
  const { shell, address } = await serve(context, "CREATE TABLE a (x PRIMARY KEY); CREATE VIEW v AS SELECT x FROM a; INSERT INTO a VALUES (1)");
  const db = open(context, address);
  const refused = async (source) => {
    const error = await source.ready.then(() => assert.fail("it is live"), (error) => error);
    return [error.code, error.message.split(" (")[0], error.sqlOffset];
  };
  assert.deepEqual(await refused(db.live("SELECT nme FROM a")), ["SQL_ERROR", "no such column: nme", 7]);
  assert.equal((await refused(db.live("SELECT random() FROM a")))[0], "NOT_LIVE");
  assert.equal((await refused(db.live("DELETE FROM a")))[0], "NOT_LIVE");
  assert.equal((await refused(db.table("a", { where: "nme = 1" })))[0], "SQL_ERROR");
  assert.equal((await refused(db.table("v")))[0], "NO_SUCH_TABLE");
  const live = db.live("SELECT x FROM a");
  await live.ready;
  const ended = new Promise((resolve) => live.on("end", resolve));
  shell("DROP VIEW v; DROP TABLE a");
  assert.ok((await ended).code);
  await assert.rejects(async () => {
    for await (const _ of live) continue;
  });
});

test("parameters by name and by place, and names of any form", options, async (context) => {
  const { address } = await serve(context, `CREATE TABLE "we*ird [?] ""name""" (id INTEGER PRIMARY KEY, "op" TEXT, "a'b" INT); INSERT INTO "we*ird [?] ""name""" VALUES (1, 'x', 9223372036854775807), (2, 'y', 2)`);
  const db = open(context, address);
  for (const params of [{ n: 2n }, { ":n": 2 }]) assert.deepEqual(await db.live("SELECT :n + 1 AS m", params).ready, [{ m: 3 }]);
  assert.deepEqual(await db.live("SELECT ?2 AS b, ?1 AS a", [new Uint8Array([1]), null]).ready, [{ b: null, a: new Uint8Array([1]) }]);
  const table = db.table('we*ird [?] "name"', { where: `"a'b" > ? AND op <> ''`, params: [2n ** 62n] });
  assert.deepEqual(await table.ready, [{ id: 1, op: "x", "a'b": 2n ** 63n - 1n }]);
  await table.update(table.rows[0], { op: "changed" });
  await db.seen(db.position);
  assert.equal(table.rows[0].op, "changed");
});

test("a token that is not accepted ends the attempts, and one that may not read a table says so", options, async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "tablecast-"));
  const [tokens, token] = [join(folder, "tokens.json"), "t".repeat(40)];
  writeFileSync(tokens, JSON.stringify([{ token, role: "read-only", tables: ["genre"] }]));
  chmodSync(tokens, 0o600);
  const { address } = await serve(context, MUSIC, "--tokens", tokens);
  rmSync(folder, { recursive: true });
  const stranger = open(context, address, { accessToken: "wrong" });
  const live = stranger.live("SELECT 1");
  await assert.rejects(live.ready, { code: "CLOSED", reason: "unauthorized" });
  assert.deepEqual([stranger.state, stranger.refusal.reason], ["closed", "unauthorized"]);
  const db = open(context, address, { accessToken: token });
  assert.equal((await db.live("SELECT * FROM genre").ready).length, 10);
  await assert.rejects(db.live("SELECT * FROM track").ready, { code: "NOT_AUTHORIZED" });
  await assert.rejects(db.table("track").ready);
  const genres = db.table("genre");
  await genres.ready;
  const refused = genres.insert({ name: "Skronk" });
  assert.equal(genres.rows.length, 11);
  await assert.rejects(refused);
  assert.equal(genres.rows.length, 10, "what was shown ahead of the answer is taken back");
});

test("a live table waits for its table to be created, and says that it was dropped or renamed", options, async (context) => {
  const { shell, address } = await serve(context, "CREATE TABLE other (x)");
  const table = open(context, address).table("Late");
  await assert.rejects(table.ready, { code: "NO_SUCH_TABLE" });
  shell("CREATE TABLE late (id INTEGER PRIMARY KEY, v); INSERT INTO late VALUES (1, 'x')");
  await until(table, () => table.rows.length === 1);
  assert.deepEqual([table.error, table.name, table.isLive], [undefined, "late", true]);
  for (const [sql, message] of [["ALTER TABLE late RENAME TO later", /renamed to later/], ["DROP TABLE late", /dropped/]]) {
    const reported = new Promise((resolve) => table.on("error", resolve));
    shell(sql);
    assert.match((await reported).message, message);
    assert.deepEqual(table.rows, []);
    shell("CREATE TABLE late (id INTEGER PRIMARY KEY, v); INSERT INTO late VALUES (2, 'y')");
    await until(table, () => table.rows.length === 1);
  }
});

for (const [kind, definition] of [
  ["INTEGER PRIMARY KEY", "id INTEGER PRIMARY KEY, v"],
  ["a key of two columns", "a TEXT, b INT, v, PRIMARY KEY (a, b)"],
  ["WITHOUT ROWID", "a TEXT, b INT, v, PRIMARY KEY (a, b)) WITHOUT ROWID; SELECT (1"],
  ["no key", "v, w"],
  ["a key that may be NULL", "k TEXT PRIMARY KEY, v"],
]) {
  test(`the first thing that happens to a live table with ${kind} can be an own write`, options, async (context) => {
    const { address } = await serve(context, `CREATE TABLE t (${definition}); INSERT INTO t SELECT 1, 'one' ${/a TEXT/.test(definition) ? ", 'v'" : ""}; INSERT INTO t SELECT 2, 'two' ${/a TEXT/.test(definition) ? ", 'v'" : ""}`);
    const db = open(context, address);
    const table = db.table("t");
    await table.ready;
    const column = table.columns.at(-1);
    const updated = table.update(table.rows[0], { [column]: "mine" });
    assert.equal(table.rows[0][column], "mine", "it shows before the server has answered");
    assert.equal((await updated)[column], "mine");
    await table.delete(table.rows[1]);
    await table.insert(Object.fromEntries(table.columns.map((name, index) => [name, name === "id" || name === "b" ? 7 + index : "new"])));
    await db.seen(db.position);
    assert.deepEqual(table.rows, await db.query("SELECT * FROM t"));
    await assert.rejects(table.update(table.rows[0], { [column]: 1, nothing: 2 }));
    assert.deepEqual(table.rows, await db.query("SELECT * FROM t"), "what was refused is taken back");
  });
}

test("a write of a row that another process has changed is a conflict", options, async (context) => {
  const { shell, address } = await serve(context, "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a')");
  const table = open(context, address).table("t");
  const [row] = await table.ready;
  shell("UPDATE t SET v = 'theirs'");
  await until(table, () => table.rows[0].v === "theirs");
  await assert.rejects(table.update(row, { v: "mine" }), (error) => error.code === "CONFLICT" && error.row.v === "theirs");
  assert.deepEqual(table.rows, [{ id: 1, v: "theirs" }]);
});

test("random writes of another process leave live queries and tables as SQL has them", options, async (context) => {
  const seed = Number(process.env.TABLECAST_CLIENT_SEED ?? Math.floor(Math.random() * 2 ** 31));
  context.diagnostic(`TABLECAST_CLIENT_SEED=${seed}`);
  let state = seed;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const { shell, address } = await serve(
    context,
    `CREATE TABLE t (id INTEGER PRIMARY KEY, g INT, v); CREATE TABLE u (k TEXT PRIMARY KEY NOT NULL, n INT UNIQUE) WITHOUT ROWID; CREATE TABLE bag (v, w); CREATE TABLE mark (n);
     INSERT INTO mark VALUES (0); INSERT INTO t SELECT value, value % 5, value % 3 FROM generate_series(1, 30); INSERT INTO u SELECT 'k' || value, value FROM generate_series(1, 10)`,
  );
  const db = open(context, address);
  const queries = [
    ["SELECT v FROM t WHERE g > ?", [1]],
    ["SELECT v, g FROM t ORDER BY v, id", []],
    ["SELECT g, count(*) AS n, max(v) AS most FROM t GROUP BY g", []],
    ["SELECT t.id, u.k FROM t LEFT JOIN u ON u.n = t.g", []],
    ["SELECT DISTINCT v FROM t", []],
    ["SELECT * FROM bag", []],
    ["SELECT id, v FROM t ORDER BY v DESC, id LIMIT 4", []],
    ["SELECT * FROM u WHERE n IN (SELECT g FROM t)", []],
  ].map(([sql, params]) => ({ sql, params, live: db.live(sql, params) }));
  const tables = [["t", "1"], ["u", "1"], ["bag", "1"], ["t", "g = 2"], ["bag", "v < 3"], ["u", "n % 2"]].map(([name, where]) => ({ name, where, table: db.table(name, { where }) }));
  await Promise.all([...queries.map(({ live }) => live.ready), ...tables.map(({ table }) => table.ready)]);
  assert.ok(queries.some(({ live }) => live.plan === "incremental") && queries.some(({ live }) => live.plan === "rerun"));
  const value = () => ["NULL", "''", "x'00ff'", "9007199254740993", "1.5", "'a'", "1", "2", "3"][random(9)];
  const statement = () =>
    [
      () => `INSERT INTO t (g, v) VALUES (${random(5)}, ${value()})`,
      () => `UPDATE t SET v = ${value()} WHERE id % 7 = ${random(7)}`,
      () => `UPDATE t SET g = ${random(5)} WHERE id % 5 = ${random(5)}`,
      () => `DELETE FROM t WHERE id = ${random(40)}`,
      () => `UPDATE OR IGNORE t SET id = id + 100 WHERE id = ${random(40)}`,
      () => `UPDATE OR IGNORE u SET n = -n; UPDATE OR IGNORE u SET n = 1 - n`,
      () => `UPDATE OR IGNORE u SET k = 'k' || ${random(12)} WHERE n = ${random(10)}`,
      () => `UPDATE OR IGNORE u SET k = CASE k WHEN 'k1' THEN 'swap' ELSE k END; UPDATE OR IGNORE u SET k = 'k1' WHERE k = 'k2'; UPDATE OR IGNORE u SET k = 'k2' WHERE k = 'swap'`,
      () => `INSERT OR REPLACE INTO u VALUES ('k${random(12)}', ${random(12)})`,
      () => `INSERT INTO bag VALUES (${value()}, ${value()}), (1, 1)`,
      () => `DELETE FROM bag WHERE rowid = ${random(20)}`,
      () => `UPDATE bag SET v = ${value()} WHERE w = 1`,
    ][random(12)]();
  const text = (row) => JSON.stringify(row, (_, each) => (typeof each === "bigint" ? `${each}n` : each));
  const sorted = (rows) => rows.map(text).sort();
  let checks = 0;
  for (let round = 0; round < 40; round++) {
    const script = Array.from({ length: 1 + random(6) }, () => (random(2) ? statement() : `BEGIN; ${statement()}; ${statement()}; COMMIT`)).join(";\n");
    shell(`${script};`);
    const { position } = await db.query("UPDATE mark SET n = n + 1").run();
    await db.seen(position);
    for (const { sql, params, live } of queries) {
      const expected = await db.query(sql, { params });
      assert.deepEqual(live.ordered ? live.rows.map(text) : sorted(live.rows), live.ordered ? expected.map(text) : sorted(expected), `seed ${seed}, round ${round}: ${sql}\n${script}`);
      checks += 1;
    }
    for (const { name, where, table } of tables) {
      assert.deepEqual(sorted(table.rows), sorted(await db.query(`SELECT * FROM ${name} WHERE ${where}`)), `seed ${seed}, round ${round}: ${name} where ${where}\n${script}`);
      checks += 1;
    }
  }
  context.diagnostic(`${checks} results compared`);
});
