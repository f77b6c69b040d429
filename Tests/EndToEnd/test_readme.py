"""What the README shows is what happens: its session with its output, its programs, the messages of the documentation."""

import json
import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT
from processes import Command
from sockets import Client

PAGES = [ROOT / "README.md", *sorted((ROOT / "Sources/Tablecast/Tablecast.docc").glob("*.md"))]


def blocks(page, language):
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    return [text for name, text in found if name == language]


def block(language, word):
    """The README's one block in that language that contains the word."""
    found = [text for text in blocks(ROOT / "README.md", language) if word in text]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def session(server, binary, tmp_path, music):
    """A shell in which `tablecast` speaks to the test's server and `Fixtures/music.db` is its file."""
    command = tmp_path / "bin" / "tablecast"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\ncommand=$1\nshift\nexec "{binary}" "$command" {server.ws} "$@"\n')
    command.chmod(0o755)
    (tmp_path / "Fixtures").mkdir()
    (tmp_path / "Fixtures/music.db").symlink_to(music)
    return {"cwd": tmp_path, "env": {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}}


def comparable(line):
    """Without what is another one each time: the time of day, the epoch."""
    line = re.sub(r"^\d\d:\d\d:\d\d\.\d\d\d", "TIME", line)
    return re.sub(r" at [a-z0-9]+-[a-z0-9]+:", " at EPOCH:", line).rstrip()


def test_the_first_session_goes_as_it_is_shown(session, shell, tmp_path):
    listener = Command(["sh", "-c", "exec tablecast listen --rows values 2>&1"], **session)
    try:
        listener.line("connected to")
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block("", "best_sellers"), re.M):
            result = subprocess.run(
                command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, **session
            )
            assert result.stdout == output, command
        listener.line("Sea shanty")
        expected = [comparable(line) for line in block("", "listen --rows values").splitlines()[1:]]
        assert [comparable(line) for line in listener.seen] == expected
    finally:
        listener.kill()


def test_the_python_program_receives_a_change(server, shell, music):
    program = block("python", "websockets").replace("127.0.0.1:3001", f"127.0.0.1:{server.port}")
    python = Command([sys.executable, "-u", "-c", program])
    try:
        python.line('"subscribed"')
        shell(music, "INSERT INTO genre VALUES (77, 'Sea shanty')")
        assert json.loads(python.line('"table:modified"'))["data"]["rows"][0]["after"]["name"] == "Sea shanty"
    finally:
        python.kill()


def test_curl_receives_a_change_and_runs_a_query(server, shell, music):
    events, query = block("sh", "/events").replace("127.0.0.1:3001", f"127.0.0.1:{server.port}").splitlines()
    curl = Command(["sh", "-c", f"exec {events}"])
    try:
        curl.line("^event: subscribed")
        shell(music, "INSERT INTO genre VALUES (77, 'Sea shanty')")
        assert "Sea shanty" in curl.line('^data: .*"table:modified"')
    finally:
        curl.kill()
    answer = subprocess.run(query, shell=True, capture_output=True, text=True, timeout=30, check=True).stdout
    messages = [json.loads(line)["type"] for line in answer.splitlines()]
    assert messages == ["query:started", "query:rows", "query:complete"]


def test_the_requests_that_the_documentation_shows_are_understood(server):
    requests = [json.loads(text) for page in PAGES for text in blocks(page, "json")]
    # Others are messages of the server and log entries.
    requests = [request for request in requests if "type" in request and "timestamp" not in request]
    assert len(requests) >= 2
    with Client(server.ws) as client:
        for number, request in enumerate(requests):
            client.socket.send(json.dumps({**request, "id": str(number)}))
            while (answer := client.receive()).get("replyTo") != str(number):
                pass
            # An example of a write names a row that the fixture has with other values, and there are no tokens to renew.
            refusal = {"row:write": "CONFLICT", "token:renew": "FORBIDDEN"}.get(request["type"])
            assert answer["type"] != "error" or answer["data"]["code"] == refusal, answer
            if answer["type"] == "query:started":
                assert client.message("query:complete")


def test_no_link_of_the_documentation_is_dead():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
