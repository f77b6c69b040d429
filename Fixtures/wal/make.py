#!/usr/bin/env python3
"""Recreates the files in this folder. Needs only Python 3.11 and its SQLite (these files are from 3.40.1).

The bytes differ from run to run in salts and checksums; what the tests expect of them does not.
"""
import os
import shutil
import sqlite3
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(HERE, name)


def fresh(name, page=512, settings=""):
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(path(name + suffix)):
            os.remove(path(name + suffix))
    connection = sqlite3.connect(path(name), isolation_level=None)
    connection.executescript(f"PRAGMA page_size = {page}; {settings}")
    return connection


def three_commits():
    """A log of three commits, with frames of the generation before it behind them."""
    connection = fresh("work.db")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)")
    # One generation of twelve frames and more, all copied into the database ...
    for i in range(12):
        connection.execute("INSERT INTO t VALUES(?, 'old')", (100 + i,))
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    shutil.copy(path("work.db"), path("three-commits.db"))
    # ... then three commits at the beginning of the next.
    connection.execute("INSERT INTO t VALUES(1, 'one')")
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t VALUES(2, 'two')")
    connection.execute("UPDATE t SET name = 'uno' WHERE id = 1")
    connection.execute("CREATE INDEX i ON t(name)")
    connection.execute("COMMIT")
    connection.execute("DELETE FROM t WHERE id = 1")
    shutil.copy(path("work.db-wal"), path("three-commits.db-wal"))
    with open(path("work.db-shm"), "rb") as index, open(path("three-commits.db-shm"), "wb") as copy:
        copy.write(index.read(136))  # The headers and the checkpoint information; the hash tables are of no use here.
    connection.close()
    os.remove(path("work.db"))


def checksum(data, order, first=0, second=0):
    for one, two in struct.iter_unpack(order + "II", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second


def big_endian():
    """The same log as a big-endian machine writes it. Only magic and checksums differ."""
    with open(path("three-commits.db-wal"), "rb") as file:
        log = bytearray(file.read())
    salt = bytes(log[16:24])
    struct.pack_into(">I", log, 0, 0x377F0683)
    sums = checksum(bytes(log[:24]), ">")
    struct.pack_into(">II", log, 24, *sums)
    offset = 32
    while offset < len(log) and log[offset + 8 : offset + 16] == salt:
        page = bytes(log[offset + 24 : offset + 24 + 512])
        sums = checksum(bytes(log[offset : offset + 8]) + page, ">", *sums)
        struct.pack_into(">II", log, offset + 16, *sums)
        offset += 24 + 512
    with open(path("big-endian.db-wal"), "wb") as file:
        file.write(log)
    # SQLite itself recovers it.
    shutil.copy(path("three-commits.db"), path("check.db"))
    shutil.copy(path("big-endian.db-wal"), path("check.db-wal"))
    connection = sqlite3.connect(path("check.db"))
    assert connection.execute("SELECT id, name FROM t WHERE id < 100").fetchall() == [(2, "two")]
    connection.close()
    os.remove(path("check.db"))


INTEGERS = [0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32769, 8388607, 8388608, -8388609, 2147483647, 2147483648]
INTEGERS += [-2147483649, 140737488355327, 140737488355328, -140737488355329, 9223372036854775807, -9223372036854775808]


def every_type():
    """Every serial type, overflow chains in a table, in an index and in a key, and a freelist."""
    connection = fresh("every-type.db")
    connection.execute("CREATE TABLE value(id INTEGER PRIMARY KEY, x, r REAL, g AS (id * 2) VIRTUAL, last)")
    for index, value in enumerate(INTEGERS):
        connection.execute("INSERT INTO value VALUES(?, ?, ?, ?)", (index + 1, value, index, None))
    others = [None, 1.5, "", "text", "é€😀", b"", b"\x00\x01\x02", "x" * 400, b"\x55" * 3000, "a\x00b"]
    for index, value in enumerate(others):
        connection.execute("INSERT INTO value VALUES(?, ?, ?, ?)", (101 + index, value, 0.25, "end"))
    connection.execute("CREATE INDEX value_x ON value(x)")
    connection.execute("ALTER TABLE value ADD COLUMN added TEXT DEFAULT 'default'")
    connection.execute("INSERT INTO value VALUES(200, 'after', 2, 'end', 'given')")
    connection.execute("CREATE TABLE keyed(v, k2 TEXT, k1 INT, PRIMARY KEY(k1, k2)) WITHOUT ROWID")
    for index in range(40):
        connection.execute("INSERT INTO keyed VALUES(?, ?, ?)", (index * 1.5, "k" * (index * 20), index % 7))
    connection.execute("CREATE TABLE gone(x)")
    connection.execute("INSERT INTO gone VALUES(zeroblob(20000))")
    connection.execute("DROP TABLE gone")
    connection.close()


def utf16(name, encoding, order):
    """Text with surrogates that stand alone, and with an odd number of bytes."""
    connection = fresh(name, settings=f"PRAGMA encoding = '{encoding}';")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)")
    texts = [
        [0x61, 0xE9, 0x20AC],
        [0xD83D, 0xDE00],  # 😀
        [0xD800],  # at the end
        [0xD800, 0x61],  # before a letter
        [0xDC00, 0x61, 0x62],  # the second half first
        [0x61, 0x0000, 0x62],
    ]
    for index, units in enumerate(texts):
        data = b"".join(struct.pack(order + "H", unit) for unit in units)
        # A literal is taken to be in the database's encoding; a bound value would be taken for UTF-8.
        connection.execute(f"INSERT INTO t VALUES({index + 1}, CAST(x'{data.hex()}' AS TEXT))")
    connection.execute(f"INSERT INTO t VALUES(7, CAST(x'{struct.pack(order + 'H', 0x61).hex()}62' AS TEXT))")
    connection.close()


def auto_vacuum():
    """Two pages of pointer map, chains of overflow pages, trees of three levels."""
    connection = fresh("auto-vacuum.db", settings="PRAGMA auto_vacuum = 1;")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
    connection.execute("CREATE TABLE small(id INTEGER PRIMARY KEY, n)")
    for index in range(8):
        connection.execute("INSERT INTO t VALUES(?, ?)", (index, bytes([index]) * 3000))
    connection.execute(
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 2000) INSERT INTO small SELECT i, i FROM c"
    )
    connection.close()


three_commits()
big_endian()
every_type()
utf16("utf16le.db", "UTF-16le", "<")
utf16("utf16be.db", "UTF-16be", ">")
auto_vacuum()
