// The client as a package: packed, installed and used like in another project, without a registry.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../Sources/TablecastWeb/Client/", import.meta.url));

const options = { skip: spawnSync("npm", ["--version"]).status !== 0 && "there is no npm" };
let project;

before(() => {
  if (options.skip) return;
  project = mkdtempSync(join(tmpdir(), "tablecast-package-"));
  process.on("exit", () => rmSync(project, { recursive: true, force: true }));
  const npm = (...parameters) => execFileSync("npm", [...parameters, "--offline", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: project, encoding: "utf8", stdio: "pipe", env: { ...process.env, npm_config_update_notifier: "false" } });
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
  const [{ filename }] = JSON.parse(npm("pack", FOLDER, "--json"));
  npm("install", `./${filename}`);
});

test("it holds the modules and their types, and nothing else", options, () => {
  const installed = join(project, "node_modules/tablecast");
  const expected = readdirSync(FOLDER).filter((name) => /\.(js|d\.ts)$/.test(name));
  assert.deepEqual(readdirSync(installed).sort(), [...expected, "package.json"].sort());
  const { dependencies, exports } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  assert.equal(dependencies, undefined);
  for (const entry of Object.values(exports).flatMap((each) => (typeof each === "string" ? [each] : Object.values(each)))) readFileSync(join(installed, entry));
});

test("an import by its name connects with a WebSocket that is given", options, () => {
  const script = `
    import { connect, TablecastError } from "tablecast";
    class Socket {
      constructor(url, protocols) {
        queueMicrotask(() => this.onmessage({ data: JSON.stringify({ type: "connection:ack", channel: "notifications", data: { clientId: url + " " + protocols } }) }));
      }
      send() {}
      close() {}
    }
    const client = await connect("http://localhost:3001/ws", { WebSocket: Socket }).ready;
    console.log(client.clientId, typeof TablecastError);
    client.close();`;
  const output = execFileSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: project, encoding: "utf8" });
  assert.equal(output.trim(), "ws://localhost:3001/ws tablecast.v2,tablecast.v1 function");
});

test("the hooks need React, and nothing else of ours does", options, () => {
  const script = `await import("tablecast/react").catch((error) => console.log(error.code, error.message.includes("'react'")));`;
  const output = execFileSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: project, encoding: "utf8" });
  assert.equal(output.trim(), "ERR_MODULE_NOT_FOUND true");
});
