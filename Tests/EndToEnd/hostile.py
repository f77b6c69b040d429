"""Files that claim what they do not have."""

import os
import sqlite3
import struct


def checksum(data, state, order):
    one, two = state
    for first, second in struct.iter_unpack(order + "II", data):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def frames(path):
    """The log's header, its size of pages, and its frames as pairs of header and page."""
    data = path.read_bytes()
    page_size = struct.unpack(">I", data[8:12])[0]
    size = 24 + page_size
    return data[:32], page_size, [(data[at : at + 24], data[at + 24 : at + size]) for at in range(32, len(data) - size + 1, size)]


def write_log(path, header, found):
    """Writes frames with the right checksums."""
    order = ">" if struct.unpack(">I", header[:4])[0] & 1 else "<"
    state = struct.unpack(">II", header[24:32])
    with open(path, "wb") as file:
        file.write(header)
        for frame, page in found:
            state = checksum(frame[:8] + page, state, order)
            file.write(frame[:16] + struct.pack(">II", *state) + page)


def log_that_claims(path, page_count):
    """A database in WAL mode whose last commit has right checksums and says that the database has so many pages."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    log = path.with_name(path.name + "-wal")
    copy, copied_log = path.read_bytes(), log.read_bytes()
    connection.close()
    path.write_bytes(copy)
    log.write_bytes(copied_log)
    header, _, found = frames(log)
    last, page = found[-1]
    found[-1] = (last[:4] + struct.pack(">I", page_count) + last[8:], page)
    write_log(log, header, found)
    return path


def sparse(path, byte_count, mode="WAL"):
    """A database that is followed by a hole."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode={mode}; CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    connection.close()
    os.truncate(path, byte_count)
    with open(path, "r+b") as file:
        file.seek(28)
        file.write(struct.pack(">I", byte_count // 4096))
        # The number for which the size is valid.
        file.seek(24)
        counter = file.read(4)
        file.seek(92)
        file.write(counter)
    return path


def endless_value(path, mode="DELETE"):
    """A value of a gigabyte whose overflow pages are two, one after the other without end."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"PRAGMA journal_mode={mode}; CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    connection.execute("INSERT INTO t VALUES (1, zeroblob(20000))")
    (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 't'").fetchone()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = bytearray(path.read_bytes())
    page = (root - 1) * 4096
    (cell,) = struct.unpack(">H", data[page + 8 : page + 10])
    first = None
    # The last four bytes of the cell's local part name the first overflow page.
    for at in range(4092, 0, -1):
        (number,) = struct.unpack(">I", data[page + at : page + at + 4])
        if 2 < number <= len(data) // 4096:
            first = number
            break
    (second,) = struct.unpack(">I", data[(first - 1) * 4096 : (first - 1) * 4096 + 4])
    data[(second - 1) * 4096 : (second - 1) * 4096 + 4] = struct.pack(">I", first)
    path.write_bytes(data)
    return path
