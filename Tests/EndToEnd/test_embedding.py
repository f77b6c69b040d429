"""The README's Hummingbird application: it serves its own routes and Tablecast's, and stops as it says."""

import http.client
import json
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed

from processes import free_port
from sockets import Client

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "Tests/EmbeddingExample/main.swift"


@pytest.fixture
def application(binary, music):
    program = pathlib.Path(binary).resolve().parent / "EmbeddingExample"
    if not program.exists():
        program = ROOT / ".build/debug/EmbeddingExample"
    assert program.exists(), "run: swift build --product EmbeddingExample"
    port = free_port()
    process = subprocess.Popen([program, str(music), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    process.port = port
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/hello").read()
            break
        except urllib.error.URLError:
            assert process.poll() is None and time.monotonic() < deadline, process.stderr.read()
    yield process
    process.kill()
    process.wait()


def test_the_program_is_the_one_that_the_readme_shows():
    shown = re.search(r"```swift\n(let service = try TablecastService.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = [line.strip() for line in SOURCE.read_text().splitlines()]
    for line in shown[1].splitlines():
        assert line.replace('"my.db"', "CommandLine.arguments[1]") in lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_under_a_socket_an_event_stream_and_a_running_query(application, number, shell, music):
    socket = Client(f"ws://127.0.0.1:{application.port}/ws")
    socket.subscribe("tables", rows="values")
    shell(music, "INSERT INTO genre(name) VALUES('embedded')")
    assert socket.message("table:modified")["data"]["rows"][0]["after"]["name"] == "embedded"
    stream = http.client.HTTPConnection("127.0.0.1", application.port)
    stream.request("GET", "/events?channels=tables")
    events = stream.getresponse()
    assert events.status == 200
    ended = threading.Event()
    threading.Thread(target=lambda: (events.read(), ended.set()), daemon=True).start()
    socket.send(
        "query:execute",
        sql="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
        queryId="long",
    )
    socket.message("query:progress")

    begin = time.monotonic()
    application.send_signal(number)
    cancelled = None
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            message = socket.receive()
            if message["type"] == "query:cancelled":
                cancelled = message
    assert cancelled and cancelled["data"]["queryId"] == "long"
    assert closed.value.rcvd.code == 1001
    assert ended.wait(10), "the event stream is still open"
    assert application.wait(timeout=10) == 0
    print(json.dumps({"signal": number.name, "seconds": round(time.monotonic() - begin, 3)}))
