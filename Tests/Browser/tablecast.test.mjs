// The JavaScript client against a server made of code: `node --test Tests/Browser`. Node 20 and later, nothing to install.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { connect, decodeValue, encodeValue, InvalidText, Real } from "../../Sources/TablecastWeb/Page/tablecast.js";

/** A server of one test: every socket that the client opens, and what was sent on each. */
class FakeServer {
  sockets = [];
  #waiting = [];
  #answers = true;

  constructor({ answers = true } = {}) {
    const server = this;
    this.#answers = answers;
    this.WebSocket = class {
      sent = [];
      texts = [];
      constructor(url, protocols) {
        Object.assign(this, { url: new URL(url), protocols });
        server.sockets.push(this);
        queueMicrotask(() => server.#answers && this.push("connection:ack", "notifications", ack));
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

  /** The next message of a type that the client sends on a socket, or has sent and nobody took. */
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
    return connect("ws://server/ws", { WebSocket: this.WebSocket, minRetryDelay: 1, maxRetryDelay: 4, ...options });
  }
}

const ack = { clientId: "me", serverInfo: { version: "1" }, heartbeatInterval: 30_000, database: "music.db", position: "e:7" };
const next = (emitter, event) => new Promise((resolve) => { const off = emitter.on(event, (detail) => (off(), resolve(detail))); });
const change = (tableName, position, last, extra = {}) => ({ tableName, change: "rows", inserted: 1, transaction: { position, last }, ...extra });

test("connects with the subprotocol and knows itself once acknowledged", async () => {
  const server = new FakeServer();
  const client = server.connect({ username: "Ada L", accessToken: "s&cret" });
  assert.equal(client.state, "connecting");
  await client.ready;
  assert.deepEqual([client.state, client.clientId, client.database, client.position], ["open", "me", "music.db", "e:7"]);
  assert.deepEqual(server.socket.protocols, ["tablecast.v2"]);
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
  server.socket.push("table:modified", "tables", change("b", "e:9", false));
  server.socket.push("table:modified", "tables", change("c", "e:9", true));
  server.socket.push("subscribed", "tables", { channel: "tables", position: "e:9", recovered: true }, { replyTo: second.id });
  assert.deepEqual(await live, { position: "e:9", recovered: true, resumed: true });
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

test("what can't be replayed is told, and a snapshot is asked for anew", async () => {
  const server = new FakeServer();
  const client = server.connect();
  const subscription = client.subscribe("tables", { tables: ["a"], snapshot: true });
  const events = [];
  for (const event of ["reset", "gap", "snapshot"]) subscription.on(event, () => events.push(event));
  const first = await server.sent("subscribe");
  assert.equal(first.data.snapshot, true);
  server.socket.push("table:snapshot", "tables", { tableName: "a", columns: ["x"], rows: [[1]], last: true }, { position: "e:7" });
  server.socket.push("subscribed", "tables", { channel: "tables", position: "e:7" }, { replyTo: first.id });
  server.socket.push("snapshot:end", "tables", { tables: ["a"], unreadable: [], position: "e:7" }, { position: "e:7" });
  server.socket.drop(1001);
  const resume = await server.sent("subscribe");
  assert.deepEqual([resume.data.since, resume.data.snapshot], ["e:7", undefined]);
  server.socket.push("subscribed", "tables", { channel: "tables", position: "f:1", recovered: false }, { replyTo: resume.id });
  const again = await server.sent("subscribe");
  assert.deepEqual([again.data.since, again.data.snapshot], [undefined, true]);
  const stale = [];
  subscription.on("message", (message) => stale.push(message.type));
  server.socket.push("table:modified", "tables", change("a", "f:2", true)); // of the one that is being replaced
  server.socket.push("table:snapshot", "tables", { tableName: "a", columns: ["x"], rows: [[1]], last: true }, { position: "f:2" });
  assert.deepEqual(stale, ["table:snapshot"]);
  assert.deepEqual(events, ["reset", "snapshot", "gap", "reset", "snapshot"]);
  client.close();
});

test("half a snapshot is none: after a loss a new one is taken, a whole one is resumed", async () => {
  for (const [isComplete, expected] of [[false, { snapshot: true }], [true, { since: "e:7" }]]) {
    const server = new FakeServer();
    const client = server.connect();
    client.subscribe("tables", { tables: ["a"], snapshot: true });
    const first = await server.sent("subscribe");
    server.socket.push("subscribed", "tables", { channel: "tables", position: "e:7" }, { replyTo: first.id });
    server.socket.push("table:snapshot", "tables", { tableName: "a", columns: ["x"], rows: [[1]], last: true }, { position: "e:7" });
    if (isComplete) server.socket.push("snapshot:end", "tables", { tables: ["a"], unreadable: [], position: "e:7" }, { position: "e:7" });
    server.socket.drop(1006);
    assert.deepEqual((await server.sent("subscribe")).data, { tables: ["a"], ...expected });
    client.close();
  }
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

test("a listener that throws is reported and stops nobody else", async (context) => {
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
  assert.equal(client.state, "waiting");
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
  await server.sent("subscribe");
  const snapshot = next(subscription, "snapshot");
  const row = { op: "insert", key: null, data: { $base64: "AQ==" }, n: { $int64: "9007199254740993" } };
  server.socket.push("table:snapshot", "tables", { tableName: "odd", columns: ["op", "key", "data", "n"], rows: [row], last: true });
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
