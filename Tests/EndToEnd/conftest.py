"""The real binary, real sockets, real processes."""

import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

from processes import Command, Server

ROOT = pathlib.Path(__file__).resolve().parents[2]


def find_binary() -> str:
    named = os.environ.get("TABLECAST_BINARY")
    if named:
        return named
    for configuration in ("release", "debug"):
        path = ROOT / ".build" / configuration / "tablecast"
        if path.exists():
            return str(path)
    pytest.exit("no binary: swift build --product tablecast, or set TABLECAST_BINARY", returncode=2)


@pytest.fixture(scope="session")
def binary() -> str:
    return find_binary()


@pytest.fixture
def music(tmp_path) -> pathlib.Path:
    return build(tmp_path, "music")


@pytest.fixture
def nasty(tmp_path) -> pathlib.Path:
    return build(tmp_path, "nasty")


def build(directory: pathlib.Path, name: str) -> pathlib.Path:
    path = directory / f"{name}.db"
    connection = sqlite3.connect(path)
    connection.executescript((ROOT / "Fixtures" / f"{name}.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


@pytest.fixture
def start(binary):
    """Starts a command of tablecast; everything started is gone at the end of the test."""
    started = []

    def start(*arguments, **options) -> Command:
        command = Command([binary, *map(str, arguments)], **options)
        started.append(command)
        return command

    yield start
    for command in reversed(started):
        command.kill()


@pytest.fixture
def serve(binary):
    """Starts a server on a free port and waits until it listens."""
    started = []

    def serve(path, *options, **keywords) -> Server:
        server = Server(binary, path, *map(str, options), **keywords)
        started.append(server)
        return server

    yield serve
    for server in reversed(started):
        server.kill()


@pytest.fixture
def server(serve, music) -> Server:
    return serve(music)


@pytest.fixture
def run(binary):
    """Runs a command of tablecast to its end."""

    def run(*arguments, input=None, timeout=30, env=None):
        return subprocess.run(
            [binary, *map(str, arguments)],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
        )

    return run


@pytest.fixture
def shell():
    """Another process that knows nothing of Tablecast and changes the file."""
    if shutil.which("sqlite3") is None:
        pytest.skip("the sqlite3 shell is not installed")

    def shell(path, sql):
        # With a rollback journal, a commit of another process waits while the watcher reads.
        arguments = ["sqlite3", "-cmd", ".timeout 20000", str(path), sql]
        subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=30)

    return shell
