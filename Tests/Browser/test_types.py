"""The declarations of the JavaScript client: TypeScript itself reads them, and they say of each message what the contract says."""

import functools
import json
import os
import pathlib
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT

CLIENT = ROOT / "Sources/TablecastWeb/Client"
CONTRACT = ROOT / "Sources/TablecastHummingbird/Contract/asyncapi.yaml"
# A message of an application-defined type has no declaration.
NOT_DECLARED = {"an application-defined type"}

pytestmark = pytest.mark.skipif(shutil.which("tsc") is None, reason="apt-get install node-typescript")

# What an application writes. The lines that are marked must be errors.
APPLICATION = """
import { connect, TablecastError, type LiveChange, type Message, type Value } from "tablecast";
import { useLiveQuery, useLiveTable, useConnection } from "tablecast/react";

interface Genre { genre_id: number; name: string }

const db = connect("http://127.0.0.1:3001/ws", { username: "ada" });

async function use(signal: AbortSignal): Promise<void> {
  const rows: Genre[] = await db.query<Genre>("SELECT * FROM genre WHERE name < ?", { params: ["M", 1n, new Uint8Array(), null, true] });
  const first: Genre | undefined = await db.query<Genre>("SELECT 1").first();
  const { changes, position } = await db.query("DELETE FROM genre").run();
  await db.seen(position);
  const live = db.live<Genre>("SELECT * FROM genre", { ":n": 1 }, { signal, key: ["genre_id"] });
  live.on("change", ({ rows, reset, transactions }: LiveChange<Genre>) => console.log(rows[0]?.after?.name, reset, transactions));
  for await (const each of live) console.log(each[0].name, live.plan, live.reason, live.isEnded);
  const table = db.table<Genre>("genre", { where: "name < :n", params: { n: "M" }, signal });
  const inserted: Genre | undefined = await table.insert({ name: "Skronk" });
  await table.update(table.rows[0], { name: "x" });
  // @ts-expect-error there is no such column
  await table.update(table.rows[0], { title: "x" });
  // @ts-expect-error rows are not to be altered
  live.rows.push({ genre_id: 1, name: "x" });
  // @ts-expect-error a parameter is a value of SQLite
  db.query("SELECT ?", { params: [new Date()] });
  // @ts-expect-error there is no such channel
  db.subscribe("nothing");
  const feed = db.subscribe("tables", { rows: "values", where: "id = 1" });
  for await (const message of feed) {
    if (message.type === "table:modified") {
      const { data } = message;
      const before: Value | undefined = data.change === "rows" ? data.rows?.[0].before?.name : data.columns[0].name;
      console.log(before, data.change === "rows" && data.rows?.[0].filter === "entered", data.transaction?.last);
    }
    // @ts-expect-error there is no such message
    if (message.type === "table:altered") return;
  }
  db.on("message", (message) => {
    const known = message as Message;
    if (known.type === "query:changed") console.log(known.data.rows[0].oldIndex, known.data.transactions);
    if (known.type === "database:epoch") console.log(known.data.reason);
  });
  try {
    await db.ready;
  } catch (error) {
    if (error instanceof TablecastError && error.reason === "unauthorized") console.log(db.refusal?.message, error.sqlOffset);
  }
  console.log(rows, first, changes, inserted);
}

function Genres() {
  const { rows, isLoading, error } = useLiveQuery<Genre>(db, "SELECT * FROM genre WHERE name < ?", ["M"]);
  const table = useLiveTable<Genre>(db, "genre", { where: "name < ?", params: ["M"] });
  return [rows[0]?.name, isLoading, error?.code, table.insert({ name: "x" }), useConnection(db)];
}

export { use, Genres };
"""


def test_an_application_in_typescript_is_checked(tmp_path):
    package = tmp_path / "node_modules/tablecast"
    package.parent.mkdir()
    package.symlink_to(CLIENT)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "app.ts").write_text(APPLICATION)
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "node16", "--moduleResolution", "node16", "--lib", "es2022,dom", "--noUnusedLocals", "--exactOptionalPropertyTypes", "--preserveSymlinks"]
    done = subprocess.run(["tsc", *options, "app.ts"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


# Says of each message of `Messages`, and of each interface, which fields it has: whether each may be missing, and which texts it may be.
READER = """
const ts = require("typescript");
const [, file] = process.argv;
const program = ts.createProgram([file], { strict: true, target: ts.ScriptTarget.ES2022, lib: ["lib.es2022.d.ts", "lib.dom.d.ts"], types: [] });
const checker = program.getTypeChecker();
const source = program.getSourceFile(file);
const declaration = source.statements.find((each) => ts.isInterfaceDeclaration(each) && each.name.text === "Messages");
const alternatives = (type) => (type.isUnion() ? type.types : [type]);
const fieldsOf = (type) => {
  const fields = {};
  for (const field of type.getProperties()) {
    const parts = alternatives(checker.getNonNullableType(checker.getTypeOfSymbolAtLocation(field, declaration)));
    const texts = parts.every((part) => part.isStringLiteral()) ? parts.map((part) => part.value).sort() : null;
    fields[field.name] = { isOptional: (field.flags & ts.SymbolFlags.Optional) !== 0, texts };
  }
  return fields;
};
const messages = {};
for (const message of checker.getTypeAtLocation(declaration).getProperties()) {
  messages[message.name] = alternatives(checker.getTypeOfSymbolAtLocation(message, declaration)).map(fieldsOf);
}
const parts = {};
for (const each of source.statements) if (ts.isInterfaceDeclaration(each)) parts[each.name.text] = fieldsOf(checker.getTypeAtLocation(each));
console.log(JSON.stringify({ messages, parts }));
"""


@functools.cache
def declared():
    environment = {**os.environ, "NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs:/usr/share/node_modules"}
    done = subprocess.run(["node", "-e", READER, str(CLIENT / "tablecast.d.ts")], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def contract():
    return yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))


def parts(schema):
    """A schema and all that it is put together from."""
    if "$ref" in schema:
        target = contract()
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        yield from parts(target)
    yield schema
    for each in schema.get("allOf", []):
        yield from parts(each)


def alternatives(schema):
    """The forms that a schema may have."""
    for part in list(parts(schema)):
        if "oneOf" in part:
            return [{"allOf": [schema, one]} for one in part["oneOf"]]
    return [schema]


def properties(schema):
    found = {}
    for part in parts(schema):
        for name, value in part.get("properties", {}).items():
            found.setdefault(name, []).append(value)
    return found


def required(schema):
    return {name for part in parts(schema) for name in part.get("required", [])}


def sent():
    """The messages that a server sends, by their types."""
    channel = contract()["channels"]["socket"]["messages"]
    operation = contract()["operations"]["sendToClient"]
    names = [each["$ref"].split("/")[-1] for each in operation.get("messages", [])] or list(channel)
    messages = [contract()["components"]["messages"][channel[name]["$ref"].split("/")[-1]] for name in names]
    return {message["name"]: message["payload"] for message in messages if message["name"] not in NOT_DECLARED}


def check(fields, schema):
    expected = properties(schema)
    assert sorted(fields) == sorted(expected)
    for name, schemas in expected.items():
        assert fields[name]["isOptional"] == (name not in required(schema)), f"{name}: whether it may be missing"
        texts = [text for each in schemas for part in parts(each) for text in [*part.get("enum", []), *([part["const"]] if "const" in part else [])]]
        if fields[name]["texts"] and texts:
            assert fields[name]["texts"] == sorted(texts), name


def test_every_message_of_the_contract_is_declared():
    assert sorted(declared()["messages"]) == sorted(sent())


@pytest.mark.parametrize("name", sorted(sent()))
def test_a_message_has_the_fields_of_the_contract(name):
    forms = alternatives({"allOf": properties(sent()[name]).get("data", [])})
    assert len(declared()["messages"][name]) == len(forms)

    def key(names):
        return sorted(names)

    for fields, schema in zip(sorted(declared()["messages"][name], key=key), sorted(forms, key=lambda form: key(properties(form)))):
        check(fields, schema)


@pytest.mark.parametrize("name", ["Column", "ObjectChange", "RowChange", "RowWritten"])
def test_a_part_of_messages_has_the_fields_of_the_contract(name):
    check(declared()["parts"][name], {"$ref": f"#/components/schemas/{name}"})
