"""Commits of the service and of other processes to a file with a rollback journal: which of them are merged is a matter of time, but no
row has the author of another one."""

import os
import random
import sqlite3
import subprocess
import sys
import threading

import pytest

from sockets import Client

SEED = int(os.environ.get("TABLECAST_ORACLE_SEED", random.randrange(1 << 32)))
# In order to meet all orders of two commits within a comparison of the file, the writers are as fast as each other.
CLIENTS, OTHERS, COMMITS = 2, 2, 60
MAX_PAUSE = 0.005

OTHER_WRITER = f"""
import itertools, random, sqlite3, sys, time
path, journal, name, seed = sys.argv[1:]
rng = random.Random(seed)
connection = sqlite3.connect(path, timeout=60, isolation_level=None)
connection.execute("PRAGMA synchronous = OFF")
connection.execute(f"PRAGMA journal_mode = {{journal}}")
for number in itertools.count():
    connection.execute("INSERT INTO t(author, number) VALUES(?, ?)", [name, number])
    time.sleep(rng.random() * {MAX_PAUSE})
"""


def sequence(position):
    return int(position.partition(":")[2])


@pytest.mark.parametrize(
    "journal, options",
    [
        ("delete", []),
        ("truncate", []),
        ("persist", []),
        # The rows of other processes are not known; those of the service are.
        ("delete", ["--limit", "capture.maxShadowBytes=4096"]),
    ],
)
def test_each_row_has_its_own_author_or_none(serve, tmp_path, journal, options):
    print(f"TABLECAST_ORACLE_SEED={SEED}")
    path = tmp_path / "authors.db"
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA journal_mode = {journal}; CREATE TABLE t(id INTEGER PRIMARY KEY, author, number)")
    server = serve(path, *options)
    answers = {}

    def write(name):
        rng = random.Random(f"{SEED} {name}")
        with Client(f"{server.ws}?username={name}") as client:
            for number in range(COMMITS):
                # It changes nothing in the end, and is a commit nevertheless.
                if rng.random() < 0.2:
                    sql = "INSERT INTO t(author) VALUES('none'); DELETE FROM t WHERE author = 'none'"
                    client.query(sql, f"{name}-none-{number}")
                _, last = client.query(f"INSERT INTO t(author, number) VALUES('{name}', {number})", f"{name}-{number}")
                answers[name, number] = last

    with Client(server.ws) as listener:
        listener.subscribe("tables", rows="values")
        others = [
            subprocess.Popen([sys.executable, "-c", OTHER_WRITER, path, journal, f"other{number}", f"{SEED} {number}"])
            for number in range(OTHERS)
        ]
        writers = [threading.Thread(target=write, args=(f"client{number}",), daemon=True) for number in range(CLIENTS)]
        try:
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.join(120)
        finally:
            for other in others:
                other.kill()
                other.wait()
        # The last transaction that the service reports.
        with Client(f"{server.ws}?username=last") as client:
            answers["last", 0] = client.query("INSERT INTO t(author, number) VALUES('last', 0)", "last-0")[1]
        wrong, positions, isLast = [], {}, False
        while not isLast:
            message = listener.receive()
            if message["type"] != "table:modified":
                assert message["type"] == "database:notice", message
                continue
            data = message["data"]
            rows = [(row["after"]["author"], row["after"]["number"]) for row in data.get("rows", [])]
            # Changes of the service alone have its author, others none.
            if data["origin"] == "service":
                wrong += [(data, row) for row in rows if (data["username"], data["queryId"]) != (row[0], f"{row[0]}-{row[1]}")]
            else:
                assert "username" not in data and "queryId" not in data, data
                wrong += [(data, rows)] if rows and all(author.startswith("client") for author, _ in rows) else []
            for row in rows:
                assert row not in positions, f"{row} was reported twice"
                positions[row] = data["transaction"]["position"]
            isLast = ("last", 0) in rows
    assert wrong == []
    for row, answer in answers.items():
        assert answer["type"] == "query:complete", answer
        # A position before that of the row would lose it for a client that resumes from there.
        assert sequence(answer["data"]["position"]) >= sequence(positions.get(row, "0:0")), (row, answer)
    if not options:
        written = set(connection.execute("SELECT author, number FROM t"))
        assert set(positions) == written
