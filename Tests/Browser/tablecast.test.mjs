// The JavaScript client against a server made of code: `node --test Tests/Browser`. Node 20 and later, nothing to install.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { test } from "node:test";
import { connect, decodeValue, encodeValue, InvalidText, Real } from "../../Sources/TablecastWeb/Client/tablecast.js";

/** A server of one test: every socket that the client opens, and what was sent on each. */
class FakeServer {
  sockets = [];
  #waiting = [];
  answers = true;
  /** Fields of `connection:ack` besides the usual ones. */
  acknowledgement = {};

  constructor({ answers = true } = {}) {
    const server = this;
    this.answers = answers;
    this.WebSocket = class {
      sent = [];
      texts = [];
      constructor(url, protocols) {
        Object.assign(this, { url: new URL(url), protocols });
        server.sockets.push(this);
        queueMicrotask(() => server.answers && this.push("connection:ack", "notifications", { ...ack, ...server.acknowledgement }));
        server.#wake();
      }
      send(text) {
        const message = JSON.parse(text);
        this.texts.push(text);
        this.sent.push(message);
        if (message.type === "heartbeat" && server.heartbeats !== false) {
          queueMicrotask(() => this.push("heartbeat", "notifications", {}, { replyTo: message.id }));
        }
        server.#wake();
      }
      push(type, channel, data, fields = {}) {
        this.onmessage?.({ data: JSON.stringify({ id: "s", timestamp: 1, type, channel, data, ...fields }) });
      }
      drop(code, reason = "") {
        this.onclose?.({ code, reason });
      }
      close(code) {
        this.closedWith = code ?? 1005;
        server.#wake();
      }
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** The next message of a type that the client sends on a socket, or has sent and that was not yet consumed. */
  async sent(type) {
    return this.until(() => {
      const { sent } = this.socket ?? { sent: [] };
      const index = sent.findIndex((message) => message.type === type);
      return index < 0 ? undefined : sent.splice(index, 1)[0];
    });
  }

  async until(found) {
    for (;;) {
      const value = found();
      if (value) return value;
      await new Promise((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake() {
    this.#waiting.splice(0).forEach((resolve) => resolve());
  }

  connect(options = {}) {
    return connect("ws://server/ws", { WebSocket: this.WebSocket, minRetryDelay: 1, maxRetryDelay: 4, fetch: away, ...options });
  }
}

/** Says nothing of why a handshake failed. */
const away = async () => {
  throw new TypeError("fetch failed");
};

const ack = { clientId: "me", serverInfo: { version: "1" }, heartbeatInterval: 30_000, database: "music.db", position: "e:7" };
const next = (emitter, event) => new Promise((resolve) => { const off = emitter.on(event, (detail) => (off(), resolve(detail))); });
const change = (tableName, position, last, extra = {}) => ({ tableName, change: "rows", inserted: 1, transaction: { position, last }, ...extra });

test("connects with the subprotocol and knows itself once acknowledged", async () => {
  const server = new FakeServer();
  const client = server.connect({ username: "Ada L", accessToken: "s&cret" });
  assert.equal(client.state, "connecting");
  await client.ready;
  assert.deepEqual([client.state, client.clientId, client.database, client.position], ["open", "me", "music.db", "e:7"]);
  assert.deepEqual(server.socket.protocols, ["tablecast.v2", "tablecast.v1"]);
  assert.equal(server.socket.url.searchParams.get("username"), "Ada L");
  assert.equal(server.socket.url.searchParams.get("access_token"), "s&cret");
  client.close();
});

test("an address of http becomes one of ws", async () => {
  const server = new FakeServer();
  connect("https://host/ws", { WebSocket: server.WebSocket }).close();
  assert.equal(server.socket.url.protocol, "wss:");
});

for (const [name, wire, value] of [
  ["the largest integer", { $int64: "9223372036854775807" }, 9223372036854775807n],
  ["the smallest integer", { $int64: "-9223372036854775808" }, -9223372036854775808n],
  ["bytes", { $base64: "AP+A" }, new Uint8Array([0, 255, 128])],
  ["no bytes", { $base64: "" }, new Uint8Array()],
  ["infinity", { $real: "Infinity" }, Infinity],
  ["negative infinity", { $real: "-Infinity" }, -Infinity],
  ["text that is not UTF-8", { $text: "/w==" }, new InvalidText(new Uint8Array([255]))],
  ["null", null, null],
  ["a real", 0.1, 0.1],
  ["text that looks like JSON", '{"$int64":"1"}', '{"$int64":"1"}'],
]) {
  test(`${name} survives both ways`, () => {
    assert.deepEqual(decodeValue(wire), value);
    assert.deepEqual(encodeValue(value), wire);
  });
}

test("parameters that SQLite can't hold are refused before they are sent", () => {
  assert.throws(() => encodeValue(2n ** 63n), RangeError);
  assert.throws(() => encodeValue({}), TypeError);
  assert.throws(() => encodeValue(() => 1), TypeError);
  assert.equal(encodeValue(true), 1);
  assert.equal(encodeValue(undefined), null);
  assert.equal(encodeValue(NaN), null);
  assert.deepEqual(encodeValue(new Uint16Array([1]).subarray(0, 1)), { $base64: "AQA=" });
});

test("a subscription sends its filters and hands over decoded rows", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const subscription = client.subscribe("tables", { tables: ["a*"], rows: "values" });
  const request = await server.sent("subscribe");
  assert.deepEqual([request.channel, request.data], ["tables", { tables: ["a*"], rows: "values" }]);
  server.socket.push("subscribed", "tables", { channel: "tables", position: "e:7" }, { replyTo: request.id });
  assert.equal((await subscription.ready).position, "e:7");
  const message = next(subscription, "message");
  const rows = [{ op: "insert", key: { id: { $int64: "9007199254740993" } }, after: { id: { $int64: "9007199254740993" }, b: { $base64: "AQ==" } } }];
  server.socket.push("table:modified", "tables", change("a", "e:8", true, { rows }), { position: "e:8" });
  const [row] = (await message).data.rows;
  assert.equal(row.key.id, 9007199254740993n);
  assert.deepEqual(row.after.b, new Uint8Array([1]));
  assert.equal(subscription.position, "e:8");
  client.close();
});

test("a transaction is handed over once it is complete", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const subscription = client.subscribe("tables");
  await server.sent("subscribe");
  const seen = [];
  subscription.on("message", ({ data }) => seen.push(data.tableName));
  server.socket.push("table:modified", "tables", change("a", "e:8", false));
  assert.deepEqual(seen, []);
  server.socket.push("table:modified", "tables", change("b", "e:8", true));
  assert.deepEqual(seen, ["a", "b"]);
  client.close();
});

test("a lost connection resumes after the last complete transaction and delivers nothing twice", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const subscription = client.subscribe("tables");
  const first = await server.sent("subscribe");
  const seen = [];
  subscription.on("message", ({ data }) => seen.push(data.tableName));
  server.socket.push("subscribed", "tables", { channel: "tables", position: "e:7" }, { replyTo: first.id });
  server.socket.push("table:modified", "tables", change("a", "e:8", true));
  server.socket.push("table:modified", "tables", change("b", "e:9", false)); // and then the line is cut
  const live = next(subscription, "live");
  server.socket.drop(1006);
  assert.equal(client.state, "waiting");
  const second = await server.sent("subscribe");
  assert.equal(second.data.since, "e:8");
  server.socket.push("subscribed", "tables", { channel: "tables", position: "e:8", recovered: true }, { replyTo: second.id });
  server.socket.push("table:modified", "tables", change("b", "e:9", false));
  server.socket.push("table:modified", "tables", change("c", "e:9", true));
  assert.deepEqual(await live, { position: "e:8", recovered: true, resumed: true });
  assert.deepEqual(seen, ["a", "b", "c"]);
  client.close();
});

test("the answer to a subscribe that was replaced is no error of anybody's", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const errors = [];
  client.on("error", ({ code }) => errors.push(code));
  const subscription = client.subscribe("tables", { snapshot: true });
  const first = await server.sent("subscribe");
  subscription.update({ tables: ["a"] });
  const second = await server.sent("subscribe");
  server.socket.push("subscribed", "tables", { channel: "tables", position: "e:7" }, { replyTo: second.id });
  server.socket.push("error", "notifications", { message: "replaced", code: "INTERRUPTED" }, { replyTo: first.id });
  await subscription.ready;
  server.socket.push("error", "notifications", { message: "gone", code: "DATABASE_GONE" });
  assert.deepEqual(errors, ["DATABASE_GONE"]);
  client.close();
});

/** Answers a `subscribe` with `snapshot`, and sends the rows. */
function pushSnapshot(server, request, subscription, position, rows, { isWhole = true, tables = ["a"] } = {}) {
  server.socket.push("subscribed", "tables", { channel: "tables", subscription, position, tables }, { replyTo: request.id, position });
  server.socket.push("table:snapshot", "tables", { subscription, tableName: tables[0], columns: ["x"], rows, last: true }, { position });
  if (isWhole) server.socket.push("snapshot:end", "tables", { subscription, tables, unreadable: [], position }, { position });
}

test("a gap that cannot be replayed is reported, and a new snapshot is requested", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const subscription = client.subscribe("tables", { tables: ["a"], snapshot: true });
  const events = [];
  for (const event of ["reset", "gap", "snapshot", "complete"]) subscription.on(event, () => events.push(event));
  const first = await server.sent("subscribe");
  assert.equal(first.data.snapshot, true);
  pushSnapshot(server, first, "s1", "e:7", [[1]]);
  server.socket.drop(1001);
  const resume = await server.sent("subscribe");
  assert.deepEqual([resume.data.since, resume.data.snapshot], ["e:7", undefined]);
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s1", position: "f:1", recovered: false }, { replyTo: resume.id });
  const again = await server.sent("subscribe");
  assert.deepEqual([again.data.since, again.data.snapshot, again.data.replaces], [undefined, true, "s1"]);
  pushSnapshot(server, again, "s1", "f:2", [[1]]);
  assert.deepEqual(events, ["reset", "snapshot", "complete", "gap", "reset", "snapshot", "complete"]);
  assert.equal(subscription.position, "f:2");
  // The same without a reconnect: the server says of each subscription that it is another epoch.
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s1", position: "g:0", recovered: false });
  assert.equal((await server.sent("subscribe")).data.snapshot, true);
  client.close();
});

test("after a connection loss an incomplete snapshot is repeated, a complete one is resumed", async () => {
  for (const [isWhole, expected] of [[false, { snapshot: true }], [true, { since: "e:7", resumes: "s1" }]]) {
    const server = new FakeServer();
    const client = server.connect();
    client.subscribe("tables", { tables: ["a"], snapshot: true });
    pushSnapshot(server, await server.sent("subscribe"), "s1", "e:7", [[1]], { isWhole });
    server.socket.drop(1006);
    assert.deepEqual((await server.sent("subscribe")).data, { tables: ["a"], ...expected });
    client.close();
  }
});

test("several subscriptions go on side by side, each with what it asked for", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const a = client.subscribe("tables", { tables: ["a"] });
  const first = await server.sent("subscribe");
  const b = client.subscribe("tables", { tables: ["b"], rows: "keys" });
  const second = await server.sent("subscribe");
  assert.deepEqual(second.data, { tables: ["b"], rows: "keys" });
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s1", position: "e:7" }, { replyTo: first.id });
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s2", position: "e:7" }, { replyTo: second.id });
  const seen = [];
  a.on("transaction", ([{ data }]) => seen.push(`a ${data.tableName}`));
  b.on("transaction", ([{ data }]) => seen.push(`b ${data.tableName}`));
  server.socket.push("table:modified", "tables", change("a", "e:8", true, { subscription: "s1" }));
  server.socket.push("table:modified", "tables", change("b", "e:8", true, { subscription: "s2" }));
  server.socket.push("transaction:end", "tables", { position: "e:8" }, { position: "e:8" });
  assert.deepEqual(seen, ["a a", "b b"]);
  a.close();
  assert.deepEqual((await server.sent("unsubscribe")).data, { subscription: "s1" });
  server.socket.push("table:modified", "tables", change("b", "e:9", true, { subscription: "s2" }));
  server.socket.drop(1006);
  const resumed = await server.sent("subscribe");
  assert.deepEqual(resumed.data, { tables: ["b"], rows: "keys", since: "e:9", resumes: "s2" });
  client.close();
});

test("two subscriptions of one filter share what the server sends, and neither misses or repeats a transaction", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const one = client.subscribe("tables", { tables: ["a"] });
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s", position: "e:7" }, { replyTo: (await server.sent("subscribe")).id });
  const seen = { one: [], other: [] };
  one.on("transaction", ([{ data }]) => seen.one.push(data.transaction.position));
  server.socket.push("table:modified", "tables", change("a", "e:8", true, { subscription: "s" }));
  const other = client.subscribe("tables", { tables: ["a"], since: "e:6" });
  other.on("transaction", ([{ data }]) => seen.other.push(data.transaction.position));
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s", position: "e:6", recovered: true }, { replyTo: (await server.sent("subscribe")).id });
  for (const position of ["e:7", "e:8", "e:9"]) server.socket.push("table:modified", "tables", change("a", position, true, { subscription: "s" }));
  assert.deepEqual(seen, { one: ["e:8", "e:9"], other: ["e:7", "e:8", "e:9"] });
  one.close();
  server.socket.push("table:modified", "tables", change("a", "e:10", true, { subscription: "s" }));
  assert.equal(seen.other.at(-1), "e:10");
  assert.equal(server.socket.sent.filter(({ type }) => type === "unsubscribe").length, 0); // the other one needs it
  other.update({ tables: ["b"] });
  const replaced = await server.sent("subscribe");
  assert.deepEqual(replaced.data, { tables: ["b"], since: "e:10", replaces: "s" });
  client.close();
});

test("a subscription that begins behind another of its filter does not cut a hole into it", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const late = client.subscribe("tables", { tables: ["a"], since: "e:2" });
  const seen = [];
  late.on("transaction", ([{ data }]) => seen.push(data.transaction.position));
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s", position: "e:2", recovered: true }, { replyTo: (await server.sent("subscribe")).id });
  server.socket.push("table:modified", "tables", change("a", "e:3", true, { subscription: "s" }));
  client.subscribe("tables", { tables: ["a"], since: "e:6" });
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s", position: "e:6", recovered: true }, { replyTo: (await server.sent("subscribe")).id });
  const again = await server.sent("subscribe");
  assert.deepEqual(again.data, { tables: ["a"], since: "e:3", resumes: "s" });
  client.close();
});

test("a subscription that is closed before its answer is ended by it", async () => {
  const server = new FakeServer();
  const client = server.connect();
  await client.ready;
  const subscription = client.subscribe("tables", { tables: ["a"] });
  const request = await server.sent("subscribe");
  subscription.close();
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s", position: "e:7" }, { replyTo: request.id });
  assert.deepEqual((await server.sent("unsubscribe")).data, { subscription: "s" });
  client.close();
});

test("close codes decide whether to come back", async () => {
  for (const code of [1002, 1003, 1007, 1009, 4400, 4401, 4403]) {
    const server = new FakeServer();
    const client = server.connect();
    await client.ready;
    server.socket.drop(code, "because");
    assert.equal(client.state, "closed", String(code));
    await assert.rejects(client.ready, { code: "CLOSED", closeCode: code, message: "because" });
  }
  for (const code of [1001, 1006, 1011, 4408, 4413, 4429]) {
    const server = new FakeServer();
    const client = server.connect();
    await client.ready;
    server.socket.drop(code);
    assert.equal(client.state, "waiting", String(code));
    await client.ready;
    client.close();
  }
});

test("too slow and timed out come back at once, the others after a delay that grows", async () => {
  const server = new FakeServer();
  const client = server.connect({ minRetryDelay: 10_000, maxRetryDelay: 60_000 });
  await client.ready;
  server.socket.drop(4413);
  await client.ready;
  const delays = [];
  for (let attempt = 0; attempt < 3; attempt++) {
    server.socket.drop(1011);
    delays.push(client.retryAt - Date.now());
    client.retry();
    await client.ready;
  }
  assert.ok(delays[0] > 9_000 && delays[1] > 19_000 && delays[2] > 29_000, String(delays));
  assert.ok(delays.every((delay) => delay <= 60_000));
  client.close();
});

test("rows of a query come as objects, and the figures at the end", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const query = client.query("SELECT :a AS x, 2 AS __proto__", { params: { ":a": 5n }, maxRows: 10 });
  const request = await server.sent("query:execute");
  assert.deepEqual(request.data, { maxRows: 10, sql: query.sql, params: { ":a": { $int64: "5" } }, queryId: query.id, rowFormat: "arrays" });
  const rows = (async () => {
    const all = [];
    for await (const row of query) all.push(row);
    return all;
  })();
  const push = (type, data) => server.socket.push(type, "queries", { queryId: query.id, ...data });
  push("query:rows", { statementIndex: 0, columns: ["x", "__proto__"], rows: [[{ $base64: "AQ==" }, 2]], offset: 0 });
  push("query:rows", { statementIndex: 0, columns: ["x", "__proto__"], rows: [[null, 3]], offset: 1 });
  push("query:complete", { rowCount: 2, duration: 1, changes: 0 });
  const [one, two] = await rows;
  assert.deepEqual(one.x, new Uint8Array([1]));
  assert.equal(Object.getOwnPropertyDescriptor(two, "__proto__").value, 3); // a column of that name is a value like any other
  assert.equal((await query.result).rowCount, 2);
  client.close();
});

test("an abort cancels on the server and rejects with its reason", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const controller = new AbortController();
  const query = client.query("SELECT 1", { signal: controller.signal });
  await server.sent("query:execute");
  controller.abort(new Error("enough"));
  assert.equal((await server.sent("query:cancel")).data.queryId, query.id);
  await assert.rejects(query.result, { message: "enough" });
  await assert.rejects(async () => { for await (const _ of query); }, { message: "enough" });
  client.close();
});

test("an abort before sending sends nothing", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const query = client.query("SELECT 1", { signal: AbortSignal.abort() });
  await assert.rejects(query.result, { name: "AbortError" });
  await client.ready;
  assert.ok(!server.socket.sent.some(({ type }) => type === "query:execute"));
  client.close();
});

test("leaving a loop early cancels the query", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const query = client.query("SELECT 1");
  await server.sent("query:execute");
  server.socket.push("query:rows", "queries", { queryId: query.id, statementIndex: 0, columns: ["a"], rows: [[1], [2]], offset: 0 });
  for await (const row of query) {
    assert.deepEqual(row, { a: 1 });
    break;
  }
  await server.sent("query:cancel");
  client.close();
});

test("an error carries the server's code and the place in the SQL", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const query = client.query("SELEC 1");
  await server.sent("query:execute");
  server.socket.push("query:error", "queries", { queryId: query.id, error: "near SELEC", code: "SQL_ERROR", sqliteCode: 1, sqlOffset: 0 });
  await assert.rejects(query.result, { name: "TablecastError", code: "SQL_ERROR", sqlOffset: 0, sqliteCode: 1, message: "near SELEC" });
  client.close();
});

test("an error or a cancel after a commit of the query carries its position", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const failing = client.query("BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT nope");
  await server.sent("query:execute");
  server.socket.push("query:error", "queries", { queryId: failing.id, error: "no such column", code: "SQL_ERROR", position: "a-b:7" });
  await assert.rejects(failing.result, { code: "SQL_ERROR", position: "a-b:7" });
  const cancelled = client.query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", { atomic: false });
  server.socket.push("query:cancelled", "queries", { queryId: cancelled.id, reason: "client", rowCount: 0, duration: 0, position: "a-b:8" });
  await assert.rejects(cancelled.result, { code: "CANCELLED", position: "a-b:8" });
  client.close();
});

test("an error that answers a request fails that request, any other is reported", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const query = client.query("SELECT 1");
  const request = await server.sent("query:execute");
  server.socket.push("error", "notifications", { code: "TOO_MANY_QUERIES", message: "later" }, { replyTo: request.id });
  await assert.rejects(query.result, { code: "TOO_MANY_QUERIES" });
  const reported = next(client, "error");
  server.socket.push("error", "notifications", { code: "FORBIDDEN", message: "no" });
  assert.equal((await reported).code, "FORBIDDEN");
  client.close();
});

test("a query that ran when the connection was lost fails, one that waited is sent later", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const running = client.query("SELECT 1");
  await server.sent("query:execute");
  server.socket.drop(1006);
  await assert.rejects(running.result, { code: "DISCONNECTED" });
  const waiting = client.query("SELECT 2");
  assert.equal((await server.sent("query:execute")).data.sql, "SELECT 2");
  server.socket.push("query:complete", "queries", { queryId: waiting.id, rowCount: 0, duration: 0, changes: 0 });
  await waiting.result;
  client.close();
});

test("heartbeats measure the latency and notice a dead connection", async (context) => {
  const alive = setInterval(() => {}, 1_000); // a real socket would keep the process alive; the client's heartbeat does not
  context.after(() => clearInterval(alive));
  const server = new FakeServer();
  const client = server.connect({ heartbeatInterval: 5 });
  assert.ok((await next(client, "latency")) >= 0);
  const dead = server.socket;
  server.heartbeats = false;
  await server.until(() => dead.closedWith !== undefined);
  await client.ready;
  assert.notEqual(server.socket, dead);
  client.close();
});

test("presence follows who comes, moves and leaves, and sends the latest cursor alone", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { presence } = client;
  assert.equal((await server.sent("subscribe")).channel, "collaboration");
  const push = (type, data) => server.socket.push(type, "collaboration", data);
  push("user:list", { users: [{ userId: "me", username: "Me", joinedAt: 1 }] });
  push("user:joined", { userId: "u", username: "Ada", connectedUsers: 2 });
  push("user:cursor", { userId: "u", username: "Ada", position: { line: 1, column: 2 } });
  assert.deepEqual(presence.people.get("u").cursor, { position: { line: 1, column: 2 } });
  push("user:cursor", { userId: "u", username: "Ada", position: { line: 0, column: 8 }, text: "SELECT 1" });
  push("user:cursor", { userId: "u", username: "Ada", table: "genre" });
  assert.equal(presence.people.get("u").text, "SELECT 1", "what Ada writes is still there while she looks at a table");
  push("user:cursor", { userId: "u", username: "Ada", position: { line: 0, column: 0 }, textOf: "me" });
  assert.equal(presence.people.get("u").text, "SELECT 1", "and while she reads another's text");
  push("user:cursor", { userId: "u", username: "Ada", position: { line: 0, column: 0 } });
  assert.equal(presence.people.get("u").text, undefined, "until she shares it no more");
  push("user:left", { userId: "u", username: "Ada", connectedUsers: 1 });
  assert.deepEqual([...presence.people.keys()], ["me"]);
  for (let line = 0; line < 50; line++) presence.moveCursor({ position: { line, column: 0 } });
  assert.equal((await server.sent("user:cursor")).data.position.line, 49);
  client.identify("Grace");
  assert.equal((await server.sent("user:identify")).data.username, "Grace");
  assert.equal((await server.sent("user:cursor")).data.position.line, 49, "under the new name, too");
  server.socket.drop(1001);
  await client.ready;
  assert.equal(server.socket.url.searchParams.get("username"), "Grace");
  client.close();
});

test("a subscription is an async iterator that ends when it is closed", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const subscription = client.subscribe("queries");
  await server.sent("subscribe");
  const types = (async () => {
    const all = [];
    for await (const { type } of subscription) {
      all.push(type);
      if (all.length === 2) subscription.close();
    }
    return all;
  })();
  await Promise.resolve();
  server.socket.push("query:started", "queries", { queryId: "x" });
  server.socket.push("query:complete", "queries", { queryId: "x" });
  assert.deepEqual(await types, ["query:started", "query:complete"]);
  assert.equal((await server.sent("unsubscribe")).channel, "queries");
  client.close();
});

test("a listener that throws is reported and does not stop others", async (context) => {
  const server = new FakeServer();
  const client = server.connect();
  await client.ready;
  const reported = [];
  context.mock.method(globalThis, "queueMicrotask", (task) => {
    try {
      task();
    } catch (error) {
      reported.push(error.message);
    }
  });
  client.on("message", () => {
    throw new Error("mine");
  });
  let heard = 0;
  client.on("message", () => (heard += 1));
  server.socket.push("heartbeat", "notifications", {});
  assert.deepEqual([reported, heard], [["mine"], 1]);
  client.close();
});

test("a handshake that failed with an error alone, as in Node 20, is tried again", async () => {
  const server = new FakeServer({ answers: false });
  const client = server.connect();
  server.socket.onerror({});
  assert.equal(await next(client, "state"), "waiting");
  await server.until(() => server.sockets.length === 2);
  server.socket.onopen();
  server.socket.onerror({});
  assert.equal(client.state, "connecting", "of an open connection the close event will tell");
  server.socket.push("connection:ack", "notifications", ack);
  await client.ready;
  client.close();
});

test("Node's own WebSocket comes back to a server that was away", { skip: typeof WebSocket === "undefined" && "node --experimental-websocket" }, async () => {
  const closed = createServer();
  await new Promise((resolve) => closed.listen(0, "127.0.0.1", resolve));
  const { port } = closed.address();
  await new Promise((resolve) => closed.close(resolve));
  const client = connect(`ws://127.0.0.1:${port}/ws`, { minRetryDelay: 1, maxRetryDelay: 4 });
  for (let attempt = 1; attempt <= 3; attempt++) {
    while (client.state !== "waiting") await next(client, "state");
    assert.equal(client.attempt, attempt);
    await next(client, "state");
  }
  client.close();
});

test("a connection that is never acknowledged counts as lost", async () => {
  const server = new FakeServer({ answers: false });
  const client = server.connect({ connectTimeout: 5 });
  const silent = server.socket;
  silent.onopen();
  await server.until(() => silent.closedWith !== undefined && server.sockets.length === 2);
  assert.equal(client.lastClose.reason, "the server did not answer in time");
  server.socket.push("connection:ack", "notifications", ack);
  await client.ready;
  client.close();
});

test("a table whose columns are called op and key is a table like any other", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const subscription = client.subscribe("tables", { tables: ["odd"], snapshot: true });
  const request = await server.sent("subscribe");
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s", position: "e:7", tables: ["odd"] }, { replyTo: request.id });
  const snapshot = next(subscription, "snapshot");
  const row = { op: "insert", key: null, data: { $base64: "AQ==" }, n: { $int64: "9007199254740993" } };
  server.socket.push("table:snapshot", "tables", { subscription: "s", tableName: "odd", columns: ["op", "key", "data", "n"], rows: [row], last: true });
  assert.deepEqual((await snapshot).rows, [{ op: "insert", key: null, data: new Uint8Array([1]), n: 9007199254740993n }]);
  client.close();
});

test("a query that ended before its cancel arrived is no error; a cancel of an unknown one is", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const errors = [];
  client.on("error", ({ code, message }) => errors.push([code, message]));
  const query = client.query("SELECT 1");
  await server.sent("query:execute");
  query.cancel();
  const late = await server.sent("query:cancel");
  server.socket.push("query:complete", "queries", { queryId: query.id, rowCount: 0, duration: 0, changes: 0 });
  server.socket.push("error", "notifications", { code: "QUERY_NOT_FOUND", message: "over" }, { replyTo: late.id });
  client.cancel("nothing");
  const unknown = await server.sent("query:cancel");
  server.socket.push("error", "notifications", { code: "QUERY_NOT_FOUND", message: "unknown" }, { replyTo: unknown.id });
  assert.deepEqual(errors, [["QUERY_NOT_FOUND", "unknown"]]);
  client.close();
});

test("an abort stops the iteration of rows that are here already", async () => {
  for (const rowFormat of ["arrays", "objects"]) {
    const server = new FakeServer();
    const client = server.connect();
    const controller = new AbortController();
    const query = client.query("SELECT 1", { signal: controller.signal, rowFormat });
    await server.sent("query:execute");
    for (const offset of [0, 2]) {
      server.socket.push("query:rows", "queries", { queryId: query.id, statementIndex: 0, columns: ["a"], rows: [[offset], [offset + 1]], offset });
    }
    server.socket.push("query:complete", "queries", { queryId: query.id, rowCount: 4, duration: 0, changes: 0 });
    await query.result;
    let rows = 0;
    const iteration = (async () => {
      for await (const _ of query) {
        rows += 1;
        controller.abort(new Error("enough"));
      }
    })();
    await assert.rejects(iteration, { message: "enough" });
    assert.equal(rows, 1);
    client.close();
  }
});

test("the iteration of a subscription that is refused, or closed for good, ends with the error", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const refused = client.subscribe("tables", { rows: "bogus" });
  const request = await server.sent("subscribe");
  const before = refused[Symbol.asyncIterator]().next();
  server.socket.push("error", "notifications", { code: "INVALID_MESSAGE", message: "rows" }, { replyTo: request.id });
  await assert.rejects(before, { code: "INVALID_MESSAGE" });
  await assert.rejects(refused[Symbol.asyncIterator]().next(), { code: "INVALID_MESSAGE" });
  const other = client.subscribe("queries");
  const message = other[Symbol.asyncIterator]().next();
  server.socket.drop(4401, "expired");
  await assert.rejects(message, { code: "CLOSED", closeCode: 4401 });
});

test("a whole number arrives as REAL where it is asked for", async () => {
  const server = new FakeServer();
  const client = server.connect();
  client.query("SELECT ?, ?, ?, ?, ?, ?", { params: [new Real(3), new Real("-0"), new Real(0.5), new Real(1e21), 3, "3.0"] }).result.catch(() => {});
  await server.sent("query:execute");
  assert.match(server.socket.texts.find((text) => text.includes("query:execute")), /"params":\[3\.0,-0\.0,0\.5,1e\+21,3,"3\.0"\]/);
  assert.deepEqual(encodeValue(new Real(Infinity)), { $real: "Infinity" });
  client.close();
});

test("the rows of a query are awaited, all or the first, and its figures", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const answer = async (rows) => {
    const { data } = await server.sent("query:execute");
    const { queryId } = data;
    server.socket.push("query:rows", "queries", { queryId, statementIndex: 0, columns: ["a"], rows, offset: 0 });
    server.socket.push("query:complete", "queries", { queryId, rowCount: rows.length, duration: 1, changes: 3, position: "e:8" });
  };
  const awaited = client.query("SELECT a").then((rows) => rows);
  await answer([[1], [2]]);
  assert.deepEqual(await awaited, [{ a: 1 }, { a: 2 }]);
  const all = client.query("SELECT a", { rowFormat: "arrays" }).all();
  await answer([[1], [2]]);
  assert.deepEqual(await all, [[1], [2]]);
  const first = client.query("SELECT a").first();
  await answer([[1], [2]]);
  assert.deepEqual(await first, { a: 1 });
  const none = client.query("SELECT a").first();
  await answer([]);
  assert.equal(await none, undefined);
  const query = client.query("UPDATE t SET a = 1 RETURNING a");
  const figures = query.run();
  await answer([[1]]);
  assert.equal((await figures).changes, 3);
  await assert.rejects(query.all(), { code: "ALREADY_READ" });
  client.close();
});

test("the failure of a query that no code waits for is not silent", () => {
  // In a process of its own: this one's test runner takes an unhandled rejection for a failure.
  const script = `
    import { connect } from ${JSON.stringify(new URL("../../Sources/TablecastWeb/Client/tablecast.js", import.meta.url).href)};
    const reported = [];
    process.on("unhandledRejection", (error) => reported.push(error.code));
    class FailingSocket {
      constructor() {
        queueMicrotask(() => this.push("connection:ack", { clientId: "me" }));
      }
      push(type, data) {
        this.onmessage({ data: JSON.stringify({ type, channel: "queries", data }) });
      }
      send(text) {
        const { type, data } = JSON.parse(text);
        if (type === "query:execute" && data.sql !== "SELECT") queueMicrotask(() => this.push("query:error", { queryId: data.queryId, error: "no", code: "CONSTRAINT" }));
      }
      close() {}
    }
    const client = await connect("ws://server/ws", { WebSocket: FailingSocket }).ready;
    const codes = [];
    for (const wait of [(query) => query.result, (query) => query.run(), (query) => query, (query) => query.first()]) {
      try {
        await wait(client.query("INSERT"));
      } catch (error) {
        codes.push(error.code);
      }
    }
    client.query("SELECT").cancel(); // given up
    client.query("SELECT"); // and with the client
    client.query("INSERT"); // no code awaits it
    setTimeout(() => {
      client.close();
      setTimeout(() => console.log(JSON.stringify({ codes, reported })));
    });`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8" });
  assert.equal(stdout.trim(), JSON.stringify({ codes: Array(4).fill("CONSTRAINT"), reported: ["CONSTRAINT"] }), stderr);
});

test("a row is written by its key, and a conflict says what there is", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const written = client.writeRow({ table: "t", op: "update", key: { id: 2n ** 60n }, before: { b: new Uint8Array([1]) }, values: { b: null } });
  const request = await server.sent("row:write");
  assert.deepEqual(request.data, { table: "t", op: "update", key: { id: { $int64: String(2n ** 60n) } }, before: { b: { $base64: "AQ==" } }, values: { b: null } });
  server.socket.push("row:written", "queries", { queryId: "q", tableName: "t", op: "update", row: { id: { $int64: String(2n ** 60n) } }, changes: 1, duration: 1, position: "e:8" }, { replyTo: request.id });
  assert.equal((await written).row.id, 2n ** 60n);
  const refused = client.writeRow({ table: "t", op: "delete", rowid: 1 });
  const { id } = await server.sent("row:write");
  server.socket.push("error", "notifications", { message: "changed", code: "CONFLICT", details: { row: { b: { $base64: "AQ==" } } } }, { replyTo: id });
  await assert.rejects(refused, { code: "CONFLICT", row: { b: new Uint8Array([1]) } });
  const lost = client.writeRow({ table: "t", op: "delete", rowid: 1 });
  await server.sent("row:write");
  server.socket.drop(1006);
  await assert.rejects(lost, { code: "DISCONNECTED" });
  client.close();
});

/** A live query that the server has answered. */
async function liveQuery(server, client, rows, { ordered = false, ...options } = {}) {
  const live = client.live("SELECT …", [1], options);
  const request = await server.sent("query:subscribe");
  server.socket.push("query:subscribed", "queries", { subscription: "q1", columns: ["id", "v"], plan: "incremental", tables: ["t"], ordered, position: "e:7" }, { replyTo: request.id });
  server.socket.push("query:snapshot", "queries", { subscription: "q1", rows: rows.slice(0, 1), last: false }, { position: "e:7" });
  server.socket.push("query:snapshot", "queries", { subscription: "q1", rows: rows.slice(1), last: true }, { position: "e:7" });
  await live.ready;
  return { live, request };
}

const delta = (server, position, rows, extra = {}) => server.socket.push("query:changed", "queries", { subscription: "q1", rows, last: true, ...extra }, { position });

test("a live query keeps its rows, and leaves those alone that stay", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { live, request } = await liveQuery(server, client, [{ id: 1, v: "a" }, { id: 2, v: "b" }, { id: 3, v: "b" }]);
  assert.deepEqual(request.data, { sql: "SELECT …", params: [1] });
  assert.deepEqual([live.plan, live.columns, live.position], ["incremental", ["id", "v"], "e:7"]);
  const [first, second] = live.rows;
  assert.equal(live.rows, live.rows);
  const seen = [];
  live.on("change", (change) => seen.push(change));
  delta(server, "e:8", [
    { op: "update", before: { id: 2, v: "b" }, after: { id: 2, v: { $int64: String(2n ** 60n) } } },
    { op: "delete", before: { id: 3, v: "b" } },
    { op: "insert", after: { id: 4, v: null } },
  ]);
  assert.deepEqual(live.rows, [{ id: 1, v: "a" }, { id: 2, v: 2n ** 60n }, { id: 4, v: null }]);
  assert.equal(live.rows[0], first);
  assert.notEqual(live.rows[1], second);
  assert.deepEqual([seen[0].rows.length, seen[0].transactions, seen[0].position], [3, 1, "e:8"]);
  assert.throws(() => live.rows.push(1), TypeError);
  live.close();
  assert.deepEqual((await server.sent("query:unsubscribe")).data, { subscription: "q1" });
  client.close();
});

test("a row that changed in a result without a key stays in its place", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { live } = await liveQuery(server, client, [{ id: "a", v: 1 }, { id: "b", v: 2 }, { id: "c", v: 3 }]);
  const [first] = live.rows;
  const change = next(live, "change");
  delta(server, "e:8", [
    { op: "delete", before: { id: "a", v: 1 } },
    { op: "delete", before: { id: "b", v: 2 } },
    { op: "insert", after: { id: "x", v: 9 } },
    { op: "insert", after: { id: "a", v: 7 } },
  ]);
  assert.deepEqual(live.rows, [{ id: "a", v: 7 }, { id: "c", v: 3 }, { id: "x", v: 9 }]);
  const { rows } = await change;
  assert.deepEqual(rows.map(({ op }) => op), ["update", "delete", "insert"]);
  assert.equal(rows[0].before, first);
  client.close();
});

test("equal rows of a live query differ only by their number", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { live } = await liveQuery(server, client, [{ id: 1, v: "a" }, { id: 1, v: "a" }, { id: 1, v: "a" }]);
  delta(server, "e:8", [{ op: "delete", before: { id: 1, v: "a" } }, { op: "update", before: { id: 1, v: "a" }, after: { id: 1, v: "b" } }]);
  assert.deepEqual(live.rows.map(({ v }) => v).sort(), ["a", "b"]);
  client.close();
});

test("a live query from which most rows go keeps the others in their places", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const rows = Array.from({ length: 100 }, (_, id) => ({ id, v: "a" }));
  const { live } = await liveQuery(server, client, rows);
  const expected = [...live.rows];
  for (let id = 0; id < 90; id++) {
    delta(server, `e:${8 + id}`, [{ op: "delete", before: { id, v: "a" } }]);
    expected.shift();
    assert.deepEqual(live.rows, expected);
    assert.ok(live.rows.every((row, index) => row === expected[index]));
  }
  delta(server, "e:99", [{ op: "update", before: { id: 95, v: "a" }, after: { id: 95, v: "b" } }, { op: "insert", after: { id: 0, v: "new" } }]);
  assert.deepEqual(live.rows.map(({ id, v }) => `${id}${v}`), ["90a", "91a", "92a", "93a", "94a", "95b", "96a", "97a", "98a", "99a", "0new"]);
  client.close();
});

test("an ordered live query puts each row into its place", async () => {
  for (const scale of [1, 100]) {
    const server = new FakeServer();
    const client = server.connect();
    const rows = Array.from({ length: 5 * scale }, (_, index) => ({ id: index, v: "a" }));
    const { live } = await liveQuery(server, client, rows, { ordered: true });
    // The first becomes the last, everything at an odd place goes, and one comes in front.
    const changes = [{ op: "update", before: rows[0], after: { id: 0, v: "z" }, oldIndex: 0, index: Math.ceil((5 * scale) / 2) }, { op: "insert", after: { id: -1, v: "new" }, index: 0 }];
    for (let index = 1; index < rows.length; index += 2) changes.push({ op: "delete", before: rows[index], oldIndex: index });
    delta(server, "e:8", changes);
    const kept = rows.filter(({ id }) => id % 2 === 0 && id > 0).map(({ id }) => id);
    assert.deepEqual(live.rows.map(({ id }) => id), [-1, ...kept, 0]);
    client.close();
  }
});

test("a live query resumes, begins again where it must, and ends with the server's reason", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { live } = await liveQuery(server, client, [{ id: 1, v: "a" }, { id: 2, v: "b" }]);
  server.socket.push("query:reached", "queries", {}, { position: "e:9" });
  server.socket.drop(1006);
  const resumed = await server.sent("query:subscribe");
  assert.equal(resumed.data.since, "e:9");
  server.socket.push("query:subscribed", "queries", { subscription: "q2", columns: ["id", "v"], plan: "rerun", tables: ["t"], position: "e:9", recovered: true }, { replyTo: resumed.id });
  server.socket.push("query:changed", "queries", { subscription: "q2", rows: [{ op: "delete", before: { id: 1, v: "a" } }], last: true, transactions: 4 }, { position: "e:12" });
  assert.deepEqual(live.rows, [{ id: 2, v: "b" }]);
  server.socket.push("query:snapshot", "queries", { subscription: "q2", rows: [{ n: 1 }], columns: ["n"], reset: true, last: true }, { position: "e:13" });
  assert.deepEqual([live.rows, live.columns], [[{ n: 1 }], ["n"]]);
  const ended = next(live, "end");
  server.socket.push("query:unsubscribed", "queries", { subscription: "q2", reason: "its table was dropped", code: "NOT_LIVE" });
  assert.equal((await ended).message, "its table was dropped");
  const refused = client.live("SELECT random()");
  const request = await server.sent("query:subscribe");
  server.socket.push("error", "notifications", { message: "random() is not deterministic", code: "NOT_LIVE" }, { replyTo: request.id });
  await assert.rejects(refused.ready, { code: "NOT_LIVE" });
  client.close();
});

test("what is replayed for another live query that the server knows by the same id is applied once", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const answer = async (fields) => {
    const request = await server.sent("query:subscribe");
    server.socket.push("query:subscribed", "queries", { subscription: "q1", columns: ["id", "v"], plan: "incremental", tables: ["t"], ordered: false, position: "e:7", ...fields }, { replyTo: request.id });
  };
  const lives = [client.live("SELECT :n", { n: 1 }), client.live("SELECT :n", { ":n": 1 })];
  await answer();
  await answer();
  server.socket.push("query:snapshot", "queries", { subscription: "q1", rows: [], last: true }, { position: "e:7" });
  server.socket.drop(1001);
  await client.ready;
  for (const _ of lives) {
    await answer({ recovered: true });
    delta(server, "e:8", [{ op: "insert", after: { id: 1, v: "missed" } }]);
  }
  for (const live of lives) assert.deepEqual(live.rows, [{ id: 1, v: "missed" }]);
  client.close();
});

test("a live query is an async iterator of its newest rows, until its signal is aborted", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const controller = new AbortController();
  const { live } = await liveQuery(server, client, [{ id: 1, v: "a" }], { signal: controller.signal });
  const lengths = [];
  for await (const rows of live) {
    lengths.push(rows.length);
    if (rows.length === 1) for (const id of [2, 3]) delta(server, `e:${6 + id}`, [{ op: "insert", after: { id, v: "x" } }]);
    if (rows.length === 3) controller.abort();
  }
  assert.deepEqual(lengths, [1, 3]);
  client.close();
});

test("what was written is seen once everything up to its position has come", async () => {
  const server = new FakeServer();
  server.heartbeats = false;
  const client = server.connect();
  const { live } = await liveQuery(server, client, [{ id: 1, v: "a" }]);
  let isSeen = false;
  await server.sent("heartbeat"); // the one that measures the latency
  const seen = client.seen("e:9").then(() => (isSeen = true));
  const { id } = await server.sent("heartbeat");
  server.socket.push("heartbeat", "notifications", {}, { replyTo: id });
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(isSeen, false, "the live query is not there yet");
  server.socket.push("query:reached", "queries", {}, { position: "e:9" });
  await seen;
  assert.equal(live.position, "e:9");
  client.close();
});

test("a position of another epoch is seen once the live queries are in the epoch of the connection", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { live } = await liveQuery(server, client, [{ id: 1, v: "a" }]);
  server.acknowledgement = { position: "f:3" };
  server.socket.drop(1006);
  await client.ready;
  const request = await server.sent("query:subscribe");
  const seen = [];
  for (const position of ["f:4", "e:6"]) client.seen(position).then(() => seen.push(position));
  const positions = [];
  live.on("change", ({ position }) => positions.push(position));
  await server.sent("heartbeat");
  await server.sent("heartbeat");
  await settled();
  assert.deepEqual(seen, [], "its rows are those of before the restart");
  server.socket.push("query:subscribed", "queries", { subscription: "q1", columns: ["id", "v"], plan: "incremental", tables: ["t"], ordered: false, position: "f:3", recovered: false }, { replyTo: request.id });
  server.socket.push("query:snapshot", "queries", { subscription: "q1", rows: [{ id: 1, v: "a" }], last: true }, { position: "f:3" });
  await settled();
  assert.deepEqual(seen, ["e:6"], "the rows are later than all of the earlier epoch");
  delta(server, "f:4", [{ op: "insert", after: { id: 2, v: "b" } }]);
  await settled();
  assert.deepEqual([seen, positions], [["e:6", "f:4"], ["f:3", "f:4"]]);
  client.close();
});

test("what was written is not seen in a table before its snapshot, and what followed it, have come", async () => {
  const server = new FakeServer();
  server.heartbeats = false;
  const client = server.connect();
  const answer = ({ id }) => server.socket.push("heartbeat", "notifications", {}, { replyTo: id });
  client.table("a");
  const request = await server.sent("subscribe");
  await server.sent("heartbeat"); // the one that measures the latency
  let isSeen = false;
  client.seen("e:8").then(() => (isSeen = true));
  const first = await server.sent("heartbeat");
  assert.deepEqual(first.data, { afterReplay: true });
  answer(first);
  await settled();
  assert.equal(isSeen, false, "the snapshot is on its way");
  pushSnapshot(server, request, "s", "e:7", [[1]]);
  const second = await server.sent("heartbeat");
  await settled();
  assert.equal(isSeen, false, "the snapshot may be older");
  answer(second);
  await settled();
  assert.equal(isSeen, true);
  client.close();
});

test("waiting for what was written goes on over a lost connection, until the client is closed", async () => {
  const server = new FakeServer();
  server.heartbeats = false;
  const client = server.connect();
  await client.ready;
  const [one, other] = [client.seen("e:9"), client.seen("e:9")];
  for (let count = 0; count < 3; count += 1) await server.sent("heartbeat");
  server.heartbeats = true;
  server.socket.drop(1006);
  await Promise.all([one, other]);
  server.heartbeats = false;
  const never = client.seen("e:9");
  client.close();
  await assert.rejects(never, { code: "CLOSED" });
});

for (const code of ["BUSY", "DATABASE_GONE", "INTERRUPTED"]) {
  test(`a live query and a table that ${code} refuses are requested again, and end with it neither before nor after`, async () => {
    const server = new FakeServer();
    const client = server.connect();
    const errors = [];
    const refuse = ({ id }) => server.socket.push("error", "notifications", { message: "not now", code }, { replyTo: id });

    const live = client.live("SELECT 1");
    live.on("error", (error) => errors.push([error.code, error.willRetry, live.isEnded]));
    refuse(await server.sent("query:subscribe"));
    const again = await server.sent("query:subscribe");
    assert.deepEqual(again.data, { sql: "SELECT 1" });
    server.socket.push("query:subscribed", "queries", { subscription: "q2", columns: ["1"], plan: "rerun", tables: [], ordered: false, position: "e:7" }, { replyTo: again.id });
    server.socket.push("query:snapshot", "queries", { subscription: "q2", rows: [{ 1: 1 }], last: true }, { position: "e:7" });
    assert.deepEqual(await live.ready, [{ 1: 1 }]);
    assert.equal(live.error, undefined);
    server.socket.push("query:unsubscribed", "queries", { subscription: "q2", reason: "not now", code });
    assert.deepEqual([live.rows, live.error.code], [[{ 1: 1 }], code]);
    assert.deepEqual((await server.sent("query:subscribe")).data, { sql: "SELECT 1", since: "e:7", resumes: "q2" });
    assert.deepEqual(errors, [[code, true, false], [code, true, false]]);

    const table = client.table("a");
    refuse(await server.sent("subscribe"));
    assert.equal(table.error.willRetry, true);
    pushSnapshot(server, await server.sent("subscribe"), "s", "e:7", [[1]]);
    assert.deepEqual(await table.ready, [{ x: 1 }]);
    assert.equal(table.error, undefined);
    client.close();
  });
}

test("what waits to be requested again is requested once by the next connection", async () => {
  const server = new FakeServer();
  const client = server.connect({ minRetryDelay: 20, maxRetryDelay: 20 });
  const live = client.live("SELECT 1");
  const { id } = await server.sent("query:subscribe");
  server.socket.push("error", "notifications", { message: "stopped", code: "DATABASE_GONE" }, { replyTo: id });
  server.socket.drop(4408); // comes back at once
  await server.until(() => server.sockets.length === 2);
  await server.sent("query:subscribe");
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.equal(server.socket.sent.filter(({ type }) => type === "query:subscribe").length, 0);
  assert.equal(live.isEnded, false);
  client.close();
});

test("a limit ends a new live query, and not one that was live before", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const refuse = ({ id }) => server.socket.push("error", "notifications", { message: "too many", code: "TOO_MANY_QUERIES" }, { replyTo: id });
  const { live } = await liveQuery(server, client, [{ id: 1, v: "a" }]);
  server.socket.drop(1006);
  await client.ready;
  refuse(await server.sent("query:subscribe"));
  assert.equal(live.isEnded, false);
  await server.sent("query:subscribe");
  const other = client.live("SELECT 2");
  refuse(await server.sent("query:subscribe"));
  await assert.rejects(other.ready, { code: "TOO_MANY_QUERIES" });
  assert.equal(other.isEnded, true);
  client.close();
});

const settled = () => new Promise((resolve) => setTimeout(resolve));

/** A collection of table `a` with these rows, by its key unless `part` gives rowids. */
async function collection(server, client, rows, options = {}) {
  const table = client.table("a", options);
  const request = await server.sent("subscribe");
  server.socket.push("subscribed", "tables", { channel: "tables", subscription: "s", position: "e:7", tables: ["a"] }, { replyTo: request.id });
  const columns = ["id", "v"];
  server.socket.push("table:snapshot", "tables", { subscription: "s", tableName: "a", columns, rows, last: true, ...(options.part ?? { key: ["id"] }) }, { position: "e:7" });
  server.socket.push("snapshot:end", "tables", { subscription: "s", tables: ["a"], unreadable: [], position: "e:7" }, { position: "e:7" });
  await table.ready;
  return { table, request };
}

const rowsChanged = (server, position, rows, author = {}) =>
  server.socket.push("table:modified", "tables", change("a", position, true, { subscription: "s", rows, ...author }), { position });

test("a collection follows its table by key and by rowid", async () => {
  for (const part of [{ key: ["id"] }, { rowids: [5, 6] }]) {
    const server = new FakeServer();
    const client = server.connect();
    const { table, request } = await collection(server, client, [[1, "a"], [2, "b"]], { where: "v > ?", params: ["A"], part });
    assert.deepEqual(request.data, { tables: ["a"], rows: "values", where: "v > ?", params: ["A"], snapshot: true });
    const rowid = (number) => (part.rowids ? { rowid: number } : {});
    rowsChanged(server, "e:8", [
      { op: "update", key: { id: 9 }, ...rowid(5), before: { id: 1, v: "a" }, after: { id: 9, v: "c" } },
      { op: "delete", key: { id: 2 }, ...rowid(6), before: { id: 2, v: "b" } },
      { op: "insert", key: { id: 3 }, ...rowid(7), after: { id: 3, v: "n" }, filter: "entered" },
    ]);
    assert.deepEqual(table.rows, [{ id: 9, v: "c" }, { id: 3, v: "n" }]);
    client.close();
  }
});

test("rows of a collection can exchange their keys", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { table } = await collection(server, client, [[1, "a"], [2, "b"]]);
  rowsChanged(server, "e:8", [
    { op: "update", key: { id: 2 }, before: { id: 1, v: "a" }, after: { id: 2, v: "a" } },
    { op: "update", key: { id: 1 }, before: { id: 2, v: "b" }, after: { id: 1, v: "b" } },
  ]);
  assert.deepEqual(table.rows, [{ id: 2, v: "a" }, { id: 1, v: "b" }]);
  client.close();
});

test("an own write shows at once, is taken back when it is refused, and gives way to what the server says", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { table } = await collection(server, client, [[1, "a"], [2, "b"]]);
  rowsChanged(server, "e:8", [{ op: "update", key: { id: 2 }, before: { id: 2, v: "b" }, after: { id: 2, v: "bb" } }]);

  const refused = table.update(table.rows[0], { v: "mine" });
  assert.deepEqual(table.rows[0], { id: 1, v: "mine" });
  const request = await server.sent("row:write");
  const { queryId, ...sent } = request.data;
  assert.equal(typeof queryId, "string");
  assert.deepEqual(sent, { table: "a", op: "update", key: { id: 1 }, before: { v: "a" }, values: { v: "mine" } });
  server.socket.push("error", "notifications", { message: "changed", code: "CONFLICT", details: { row: { id: 1, v: "theirs" } } }, { replyTo: request.id });
  await assert.rejects(refused, { code: "CONFLICT" });
  assert.deepEqual(table.rows[0], { id: 1, v: "a" });

  const added = table.insert({ v: "new" });
  assert.deepEqual(table.rows.at(-1), { v: "new" });
  const insertion = await server.sent("row:write");
  server.socket.push("row:written", "queries", { queryId: "q", tableName: "a", op: "insert", row: { id: 3, v: "new" }, changes: 1, duration: 1, position: "e:9" }, { replyTo: insertion.id });
  assert.deepEqual(await added, { id: 3, v: "new" });
  assert.equal(table.rows.length, 3);
  rowsChanged(server, "e:9", [{ op: "insert", key: { id: 3 }, after: { id: 3, v: "new" } }]);
  assert.deepEqual(table.rows, [{ id: 1, v: "a" }, { id: 2, v: "bb" }, { id: 3, v: "new" }]);

  const deleted = table.delete(table.rows[1]);
  assert.equal(table.rows.length, 2);
  const deletion = await server.sent("row:write");
  assert.deepEqual(deletion.data.before, { id: 2, v: "bb" });
  server.socket.push("row:written", "queries", { queryId: "q", tableName: "a", op: "delete", row: null, changes: 1, duration: 1, position: "e:10" }, { replyTo: deletion.id });
  assert.equal(await deleted, undefined);
  rowsChanged(server, "e:10", [{ op: "delete", key: { id: 2 }, before: { id: 2, v: "bb" } }]);
  assert.deepEqual(table.rows.map(({ id }) => id), [1, 3]);
  client.close();
});

test("an own insert is shown once where its change arrives before its answer", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const { table } = await collection(server, client, [[1, "a"]]);
  const added = table.insert({ v: "new" });
  const { id, data } = await server.sent("row:write");
  rowsChanged(server, "e:9", [{ op: "insert", key: { id: 2 }, after: { id: 2, v: "new" } }], { queryId: data.queryId });
  assert.deepEqual(table.rows, [{ id: 1, v: "a" }, { id: 2, v: "new" }]);
  server.socket.push("row:written", "queries", { queryId: data.queryId, tableName: "a", op: "insert", row: { id: 2, v: "new" }, changes: 1, duration: 1, position: "e:9" }, { replyTo: id });
  await added;
  assert.equal(table.rows.length, 2);
  client.close();
});

for (const [what, status, text, reason, message] of [
  ["an origin", 403, "origin https://a is not allowed", "forbidden", "origin https://a is not allowed"],
  ["a token", 401, "a token is required", "unauthorized", "a token is required"],
  ["a path", 404, "<html>", "not-found", "there is no Tablecast at this address"],
  ["some other server", 200, "<html>", "not-found", "there is no Tablecast at this address"],
]) {
  test(`${what} that is refused before the handshake ends the attempts with its reason`, async () => {
    const server = new FakeServer({ answers: false });
    const asked = [];
    const fetch = async (url) => {
      asked.push(url);
      return new Response(text, { status });
    };
    const client = server.connect({ fetch, accessToken: "t" });
    const refused = assert.rejects(client.ready, { code: "CLOSED", reason, message });
    server.socket.onerror({});
    server.socket.drop(1006);
    await refused;
    assert.deepEqual([client.state, client.refusal], ["closed", { reason, message }]);
    assert.deepEqual(asked, ["http://server/ws?access_token=t"]);
    assert.equal(server.sockets.length, 1);
  });
}

test("a server that is busy, or upgrades by now, is tried again", async () => {
  for (const status of [503, 426, 500]) {
    const server = new FakeServer({ answers: false });
    const client = server.connect({ fetch: async () => new Response("", { status }) });
    server.socket.drop(1006);
    await server.until(() => server.sockets.length === 2);
    client.close();
  }
});

test("a snapshot that fails on its way is an error of its subscription", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const subscription = client.subscribe("tables", { tables: ["a"], snapshot: true });
  const request = await server.sent("subscribe");
  pushSnapshot(server, request, "s", "e:7", [[1]], { isWhole: false });
  const error = next(subscription, "error");
  server.socket.push("error", "notifications", { message: "took too long", code: "TOO_BIG" }, { replyTo: request.id });
  assert.equal((await error).code, "TOO_BIG");
  client.close();
});

test("a snapshot of a server of version 1 ends with the last row of its tables", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const table = client.table("a[b");
  const request = await server.sent("subscribe");
  assert.deepEqual(request.data.tables, ["a[[]b"]);
  server.socket.push("subscribed", "tables", { channel: "tables", position: "e:7" }, { replyTo: request.id, position: "e:7" });
  server.socket.push("table:snapshot", "tables", { tableName: "a[b", columns: ["id"], rows: [[1]], last: true }, { position: "e:7" });
  assert.deepEqual(await table.ready, [{ id: 1 }]);
  server.socket.push("table:modified", "tables", change("a[b", "e:8", true, { rows: [{ op: "insert", key: { id: 2 }, after: { id: 2 } }] }));
  assert.deepEqual(table.rows, [{ id: 1 }, { id: 2 }]);
  client.close();
});

test("columns of one name have names of their own in objects", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const rows = client.query("SELECT 1 AS n, 2 AS n, 3 AS n").all();
  const { queryId } = (await server.sent("query:execute")).data;
  server.socket.push("query:rows", "queries", { queryId, statementIndex: 0, columns: ["n", "n", "n"], rows: [[1, 2, 3]], offset: 0 });
  server.socket.push("query:complete", "queries", { queryId, rowCount: 1, duration: 1, changes: 0 });
  assert.deepEqual(await rows, [{ n: 1, "n:1": 2, "n:2": 3 }]);
  client.close();
});

const SHORT = { connectedAt: 1_000, expiresAt: 1_040 }; // of the server's clock, which is not this one's

test("a token is replaced in place, and used from then on", async () => {
  const server = new FakeServer();
  const client = await server.connect({ accessToken: "first" }).ready;
  const renewed = client.renew("second");
  const request = await server.sent("token:renew");
  assert.deepEqual(request.data, { token: "second" });
  server.socket.push("token:renewed", "notifications", { expiresAt: 9_000 }, { replyTo: request.id });
  assert.deepEqual(await renewed, { expiresAt: 9_000 });
  assert.equal(client.expiresAt, 9_000);
  const reopened = next(client, "state");
  server.socket.drop(1001);
  await reopened;
  await client.ready;
  assert.equal(server.socket.url.searchParams.get("access_token"), "second");
  client.close();
});

test("a refused token rejects, and the previous one stays", async () => {
  const server = new FakeServer();
  const client = await server.connect({ accessToken: "first" }).ready;
  const renewed = client.renew("second");
  const { id } = await server.sent("token:renew");
  server.socket.push("error", "notifications", { message: "of another", code: "FORBIDDEN" }, { replyTo: id });
  await assert.rejects(renewed, { code: "FORBIDDEN" });
  const reopened = next(client, "state");
  server.socket.drop(1001);
  await reopened;
  await client.ready;
  assert.equal(server.socket.url.searchParams.get("access_token"), "first");
  const lost = client.renew("third");
  server.socket.drop(1001);
  await assert.rejects(lost, { code: "DISCONNECTED" });
  client.close();
});

test("a function gives a token for each connection, and a new one before it expires", async (context) => {
  // A real socket keeps the process alive; the client's timer does not.
  const alive = setInterval(() => {}, 1_000);
  context.after(() => clearInterval(alive));
  const server = new FakeServer();
  let count = 0;
  const client = server.connect({ accessToken: async () => `t${(count += 1)}` });
  server.acknowledgement = SHORT;
  await client.ready;
  assert.equal(server.socket.url.searchParams.get("access_token"), "t1");
  const request = await server.sent("token:renew");
  assert.equal(request.data.token, "t2");
  server.socket.push("token:renewed", "notifications", {}, { replyTo: request.id });
  assert.equal(client.expiresAt, undefined);
  const reopened = next(client, "state");
  server.acknowledgement = {};
  server.socket.drop(4401);
  await reopened;
  await client.ready;
  assert.equal(server.socket.url.searchParams.get("access_token"), "t3");
  client.close();
});

test("a function whose new token is refused as well ends the client", async () => {
  const server = new FakeServer();
  const client = server.connect({ accessToken: () => "old" });
  await client.ready;
  server.answers = false;
  server.socket.drop(4401, "expired");
  await server.until(() => server.sockets.length === 2);
  server.socket.drop(4401, "expired");
  assert.equal(client.state, "closed");
  assert.equal(client.refusal.reason, "unauthorized");
});

test("a function that fails is called again", async () => {
  const server = new FakeServer();
  let count = 0;
  const client = server.connect({
    accessToken: () => {
      if ((count += 1) === 1) throw new Error("no network");
      return "token";
    },
  });
  await next(client, "state");
  assert.equal(client.lastClose.reason, "there is no token: no network");
  await client.ready;
  assert.equal(server.socket.url.searchParams.get("access_token"), "token");
  client.close();
});

test("a token that never comes is not waited for", async () => {
  const server = new FakeServer();
  const client = server.connect({ accessToken: () => new Promise(() => {}), connectTimeout: 5 });
  await next(client, "state");
  assert.equal(client.state, "waiting");
  assert.match(client.lastClose.reason, /no token in time/);
  client.close();
});
