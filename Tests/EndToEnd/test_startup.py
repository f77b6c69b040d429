"""What cannot be served is named, with the exit code that --help promises."""

import os
import re
import shutil
import socket
import sqlite3
import sys

import pytest

from processes import self_signed_certificate
from sockets import Client


def refused(result, code, *words):
    assert result.returncode == code, result.stderr
    for word in words:
        assert word in result.stderr
    assert "Fatal error" not in result.stderr
    return result


def test_a_file_that_is_not_there(run, tmp_path):
    refused(run("serve", tmp_path / "none.db"), 66, "no such file", "none.db")


def test_a_directory_that_is_not_there(run, tmp_path):
    refused(run("serve", tmp_path / "no" / "such.db"), 66, "the directory", "does not exist")


def test_a_directory(run, tmp_path):
    refused(run("serve", tmp_path), 66, "is a directory")


@pytest.mark.parametrize("content", [b"just a text of some length", b"SQLite format 4\0" + 2000 * b"x", b"x"])
def test_a_file_that_is_no_database(run, tmp_path, content):
    path = tmp_path / "text.db"
    path.write_bytes(content)
    refused(run("serve", path), 65, "is not a SQLite database")


def test_a_damaged_database(run, tmp_path):
    path = tmp_path / "damaged.db"
    path.write_bytes(b"SQLite format 3\0" + os.urandom(4080))
    assert run("serve", path).returncode == 65


@pytest.mark.parametrize("command", ["serve", "listen"])
def test_a_database_with_a_damaged_schema(run, music, command):
    with open(music, "r+b") as file:
        # The type of the schema's root page.
        file.seek(100)
        file.write(b"\x07")
    refused(run(command, music), 65, "malformed")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("command", [["serve", "--read-only"], ["listen"]])
def test_a_log_that_cannot_be_made(run, music, shell, command):
    shell(music, "PRAGMA journal_mode=WAL")
    music.parent.chmod(0o555)
    refused(run(*command, music), 77, "-wal and -shm")


def test_a_file_name_that_begins_like_a_uri(serve, run, tmp_path):
    for name, table in (("file:x", "right"), ("x", "wrong")):
        connection = sqlite3.connect(f"file:{tmp_path / name.replace(':', '%3a')}", uri=True)
        connection.execute(f"CREATE TABLE {table} (a)")
        connection.close()
    server = serve("file:x", cwd=tmp_path)
    assert run("query", server.ws, "SELECT name FROM sqlite_schema", "--csv").stdout == "name\nright\n"


def use_exclusively(path, mode):
    owner = sqlite3.connect(path, isolation_level=None)
    owner.execute(f"PRAGMA journal_mode={mode}")
    owner.execute("PRAGMA locking_mode=EXCLUSIVE")
    owner.execute("INSERT INTO genre VALUES (50, 'theirs')")
    return owner


def test_a_file_in_exclusive_use_cannot_be_switched(run, music):
    owner = use_exclusively(music, "DELETE")
    refused(run("serve", music, "--wal"), 75, "cannot be switched to WAL mode")
    owner.close()


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_file_in_exclusive_use_is_waited_for(serve, music, mode):
    owner = use_exclusively(music, mode)
    server = serve(music)
    with Client(server.ws) as client:
        client.subscribe("notifications")
        assert client.query("SELECT 1 FROM genre", "q1")[1]["data"]["code"] in ("BUSY", "DATABASE_GONE")
        owner.close()
        client.message("database:back")
        rows, _ = client.query("SELECT name FROM genre WHERE genre_id = 50", "q2")
        assert rows == [{"name": "theirs"}]
        client.subscribe("tables", rows="values")
        assert client.query("INSERT INTO genre VALUES (51, 'ours')", "q3")[1]["type"] == "query:complete"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(run, music):
    music.chmod(0)
    refused(run("serve", music), 77, "may not be read")


def test_a_port_in_use(run, music):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(run("serve", music, "--port", port), 69, str(port), "in use")


def test_a_public_host_requires_tokens_or_allow_anonymous(run, music):
    refused(run("serve", music, "--host", "0.0.0.0"), 64, "--allow-anonymous")


@pytest.mark.parametrize("option", [["--port", "x"], ["--prot", "1"], ["--heartbeat-interval", "soon"], ["--path", "ws"]])
def test_a_bad_option(run, music, option):
    refused(run("serve", music, *option), 64, option[0])


def test_a_certificate_that_is_not_there(run, music):
    result = run("serve", music, "--tls-certificate", "/no/cert.pem", "--tls-key", "/no/key.pem")
    refused(result, 66, "/no/cert.pem")


def test_the_file_is_built_from_sql_once(serve, run, tmp_path):
    script = tmp_path / "schema.sql"
    script.write_text("CREATE TABLE t (x); INSERT INTO t VALUES (1);")
    path = tmp_path / "new.db"
    for expected in ("1", "2"):
        server = serve(path, "--init", script)
        assert run("query", server.ws, "SELECT count(*) FROM t", "--csv").stdout == f"count(*)\n{expected}\n"
        run("query", server.ws, "INSERT INTO t VALUES (2)")
        assert server.stop() == 0


def test_a_script_that_fails_leaves_no_file(run, tmp_path):
    script = tmp_path / "schema.sql"
    script.write_text("CREATE TABLE t (x);\nINSERT INTO nowhere VALUES (1);")
    refused(run("serve", tmp_path / "new.db", "--init", script), 1, "line 2", "no such table: nowhere")
    assert sorted(os.listdir(tmp_path)) == ["schema.sql"]


def test_a_script_that_leaves_a_transaction_open_leaves_no_file(run, tmp_path):
    script = tmp_path / "open.sql"
    script.write_text("BEGIN; CREATE TABLE t(a);")
    refused(run("serve", tmp_path / "new.db", "--init", script), 1, "leaves a transaction open", "COMMIT")
    assert not (tmp_path / "new.db").exists()


def test_wal_is_switched_on(serve, run, nasty):
    server = serve(nasty, "--wal")
    assert run("query", server.ws, "PRAGMA journal_mode", "--csv").stdout == "journal_mode\nwal\n"


def test_a_read_only_server_refuses_to_write(serve, run, music):
    server = serve(music, "--read-only")
    assert run("query", server.ws, "SELECT 1").returncode == 0
    result = run("query", server.ws, "DELETE FROM genre")
    assert result.returncode != 0
    assert "READ_ONLY" in result.stderr or "NOT_AUTHORIZED" in result.stderr


def test_help_names_every_option_and_exit_code(run):
    text = run("serve", "--help").stdout
    for option in ("--port", "--host", "--path", "--wal", "--read-only", "--max-connections", "--tls-certificate"):
        assert option in text
    assert re.search(r"66\s+no such file", text)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls(serve, run, music, tmp_path):
    certificate, key = self_signed_certificate(tmp_path)
    server = serve(music, "--tls-certificate", certificate, "--tls-key", key)
    address = server.ws.replace("ws://", "wss://")
    assert run("query", address, "SELECT 1 AS x", "--csv", "--insecure").stdout == "x\n1\n"
    refused(run("query", address, "SELECT 1"), 69, "certificate", "--insecure")
    refused(run("query", server.ws, "SELECT 1"), 69, "wss")
    assert server.stop() == 0


# Denies mprotect(2) for lengths that are not a multiple of a page: the service's own calls, but not those of libc.
KEEPING_LIBRARY_READ_ONLY = """
import ctypes, os, platform, struct, sys
call = {"x86_64": 10, "aarch64": 226}[platform.machine()]
load, jump_if_equal, jump_if_set, answer = 0x20, 0x15, 0x45, 0x06
lines = [
    (load, 0, 0, 0), (jump_if_equal, 0, 3, call), (load, 0, 0, 24), (jump_if_set, 0, 1, 0xFFF),
    (answer, 0, 0, 0x0005000D), (answer, 0, 0, 0x7FFF0000),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
program = Program(len(lines), ctypes.addressof(code))
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
    raise OSError(ctypes.get_errno(), "prctl")
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_searches_that_cannot_be_bounded_are_logged_at_the_start(serve, tmp_path, shell):
    path = tmp_path / "search.db"
    shell(path, "PRAGMA journal_mode=WAL; CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES('one two')")
    server = serve(path, under=[sys.executable, "-c", KEEPING_LIBRARY_READ_ONLY])
    assert "full-text searches are limited only by the memory" in server.error_line("warning")
    with Client(server.ws) as client:
        assert client.query("SELECT x FROM f WHERE f MATCH 'two'", "q")[0] == [{"x": "one two"}]
