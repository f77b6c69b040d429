"""A source that publishes to a real nats-server, and edges that receive from it."""

import base64
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

import nats_accounts
from broker import Broker, nats_binary
from conftest import find_binary
from processes import LIMIT, Command, Server, self_signed_certificate
from relays import Relay, insert, writer
from sockets import Client


@pytest.fixture(scope="module")
def binary():
    return nats_binary()


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path / "broker")
    yield broker
    broker.kill()


@pytest.fixture
def start(binary):
    """Starts processes that end with the test: `source`, `edge`, and commands that are expected to fail."""

    class Start:
        started = []

        def source(self, path, url, *options, **keywords):
            return self.add(Server(binary, path, "--nats", url, *map(str, options), **keywords))

        def edge(self, url, *options, **keywords):
            return self.add(Relay(binary, "--nats", url, *options, **keywords))

        def failure(self, *arguments):
            """The exit code and what the command printed as its error."""
            command = self.add(Command([binary, *map(str, arguments)]))
            return command.wait(), "\n".join(iter(lambda: command.error_lines.get(timeout=LIMIT), None))

        def add(self, process):
            self.started.append(process)
            return process

    start = Start()
    start.started = []
    start.binary = binary
    yield start
    for process in reversed(start.started):
        process.signal(signal.SIGCONT)
        process.kill()


def receive(client, last):
    """The ids of the inserted rows up to this one, and the notifications about the database in between."""
    ids, notices = [], []
    while not ids or ids[-1] != last:
        message = client.receive()
        if message["type"].startswith("database:"):
            notices.append(message["type"])
        if message["type"] == "table:modified":
            ids += [row["key"]["id"] for row in message["data"]["rows"]]
        assert message["type"] != "subscribed", message
    return ids, notices


def write(broker, subject, text):
    """A message of another program."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=LIMIT) as connection:
        lines = connection.makefile("rb")
        lines.readline()
        connection.sendall(
            b'CONNECT {"verbose":false}\r\n' + f"PUB {subject} {len(text)}\r\n{text}\r\nPING\r\n".encode()
        )
        assert lines.readline() == b"PONG\r\n"


def request(broker, subject, data):
    """An answer of the broker."""
    with socket.create_connection(("127.0.0.1", broker.port), timeout=LIMIT) as connection:
        lines = connection.makefile("rb")
        lines.readline()
        text = json.dumps(data)
        connection.sendall(
            f'CONNECT {{"verbose":false}}\r\nSUB answer 1\r\nPUB {subject} answer {len(text)}\r\n{text}\r\n'.encode()
        )
        length = int(lines.readline().split()[-1])
        answer = json.loads(lines.read(length))
        assert "error" not in answer, answer
        return answer


def test_an_edge_serves_what_a_source_publishes(broker, writer, start, tmp_path):
    source = start.source(tmp_path / "items.db", broker.url)
    edge = start.edge(broker.url, source.ws)
    with Client(edge.ws) as client:
        position = client.subscribe("tables", rows="values")["position"]
        insert(writer, 1, 2)
        assert receive(client, 2) == ([1, 2], [])
        rows, end = client.query("SELECT count(*) AS n FROM item", "q")
        assert rows == [{"n": 2}] and end["type"] == "query:complete"
    # The same position at the other side.
    with Client(source.ws) as client:
        assert client.subscribe("tables", rows="values", since=position)["data"]["recovered"] is True
        assert receive(client, 2) == ([1, 2], [])
    with Client(edge.ws) as client:
        client.send("subscribe", channel="tables", snapshot=True)
        assert client.message("table:snapshot")["data"]["rows"]
        insert(writer, 3)
        assert client.message("table:modified")["data"]["inserted"] == 1


def test_an_edge_without_a_server_refuses_requests(broker, writer, start, tmp_path):
    start.source(tmp_path / "items.db", broker.url)
    edge = start.edge(broker.url)
    with Client(edge.ws) as client:
        _, answer = client.query("SELECT 1", "q")
        assert answer["type"] == "error" and answer["data"]["code"] == "FORBIDDEN"
        assert "stream" in answer["data"]["message"]


def test_a_transaction_of_many_messages(broker, writer, start, tmp_path):
    start.source(tmp_path / "items.db", broker.url)
    edge = start.edge(broker.url)
    with Client(edge.ws) as client:
        client.subscribe("tables", rows="values")
        # The broker accepts messages of 1 MiB.
        writer.execute("INSERT INTO item(id, data) VALUES (1, randomblob(3000000))")
        message = client.message("table:modified")
        stored = writer.execute("SELECT hex(substr(data, 2999998)) FROM item").fetchone()[0]
        assert base64.b64decode(message["data"]["rows"][0]["after"]["data"]["$base64"])[-3:].hex().upper() == stored


def test_an_outage_of_the_broker(broker, writer, start, tmp_path):
    source = start.source(tmp_path / "items.db", broker.url)
    edge = start.edge(broker.url)
    with Client(source.ws) as local, Client(edge.ws) as client:
        local.subscribe("tables", rows="keys")
        client.subscribe("tables", rows="keys")
        insert(writer, 1)
        assert receive(client, 1) == ([1], [])
        broker.kill()
        assert client.message("database:gone")
        insert(writer, 2, 3)
        assert receive(local, 3) == ([1, 2, 3], [])
        broker.start()
        ids, notices = receive(client, 3)
        assert ids == [2, 3]
        # The broker may be back before the source.
        assert "database:back" in notices or client.message("database:back")


def test_a_source_that_restarts_during_an_outage(broker, writer, start, tmp_path):
    source = start.source(tmp_path / "items.db", broker.url)
    edge = start.edge(broker.url)
    with Client(edge.ws) as client:
        client.subscribe("tables", rows="keys")
        insert(writer, 1)
        receive(client, 1)
        broker.kill()
        client.message("database:gone")
        source.kill()
        insert(writer, 2)
        # It starts without its broker.
        source = start.source(tmp_path / "items.db", broker.url)
        insert(writer, 3)
        broker.start()
        assert receive(client, 3)[0] == [2, 3]


def test_clients_are_notified_when_the_source_goes_and_comes(broker, writer, start, tmp_path):
    source = start.source(tmp_path / "items.db", broker.url)
    edge = start.edge(broker.url)
    with Client(edge.ws) as client:
        client.subscribe("tables", rows="keys")
        source.kill()
        assert "does not publish" in client.message("database:gone")["data"]["message"]
        start.source(tmp_path / "items.db", broker.url)
        client.message("database:back")
        insert(writer, 1)
        assert receive(client, 1) == ([1], [])


def answer_of(client):
    return client.message("subscribed", where=lambda m: m.get("replyTo") == "s")["data"]


def test_a_client_that_is_ahead_of_the_stream(broker, writer, start, tmp_path):
    source = start.source(tmp_path / "items.db", broker.url)
    edge = start.edge(broker.url)
    with Client(source.ws) as local:
        local.subscribe("tables", rows="keys")
        broker.kill()
        insert(writer, 1, 2)
        position = local.messages("table:modified", 2)[0]["position"]
    epoch, last = position.split(":")
    forged = f"{epoch}:{int(last) + 2}"
    with Client(edge.ws) as client, Client(edge.ws) as other:
        client.send("subscribe", channel="tables", id="s", rows="keys", since=position)
        other.send("subscribe", channel="tables", id="s", since=forged)
        broker.start()
        assert answer_of(client)["recovered"] is True
        assert receive(client, 2)[0] == [2]
        assert answer_of(other)["reason"] == "beyond-end"
        # Only the source knows what else it has committed.
        source.kill()
        other.message("database:gone")
        other.send("subscribe", channel="tables", id="s", rows="keys", since=forged)
        insert(writer, 3)
        start.source(tmp_path / "items.db", broker.url)
        assert answer_of(other)["reason"] == "beyond-end"
        insert(writer, 4)
        assert receive(other, 4)[0][-1] == 4


def test_clients_move_between_edges_and_an_edge_starts_late(broker, writer, start, tmp_path):
    start.source(tmp_path / "items.db", broker.url)
    first = start.edge(broker.url)
    with Client(first.ws) as client:
        position = client.subscribe("tables", rows="keys")["position"]
    insert(writer, 1, 2, 3)
    second = start.edge(broker.url)
    first.kill()
    with Client(second.ws) as client:
        assert client.subscribe("tables", rows="keys", since=position)["data"]["recovered"] is True
        assert receive(client, 3) == ([1, 2, 3], [])


def test_a_trimmed_stream_is_an_announced_gap(broker, writer, start, tmp_path):
    source = start.source(tmp_path / "items.db", broker.url)
    edge = start.edge(broker.url)
    with Client(edge.ws) as client:
        position = client.subscribe("tables", rows="keys")["position"]
    edge.kill()
    with Client(source.ws) as local:
        local.subscribe("tables", rows="keys")
        insert(writer, 1, 2)
        receive(local, 2)
    wait_until_stored(source)
    # Every state is removed as well: the edge asks the source for one.
    request(broker, "$JS.API.STREAM.PURGE.tablecast", {})
    edge = start.edge(broker.url, port=edge.port)
    with Client(edge.ws) as client:
        assert client.subscribe("tables", rows="keys", since=position)["data"]["recovered"] is False
        insert(writer, 3)
        assert receive(client, 3) == ([3], [])


def wait_until_stored(source):
    """Waits until the broker has everything."""
    deadline = time.monotonic() + LIMIT
    while "tablecast_nats_unstored_transactions 0" not in source.metrics():
        assert time.monotonic() < deadline, source.metrics()
        time.sleep(0.05)


def test_a_second_publisher_is_refused(broker, writer, start, tmp_path):
    source = start.source(tmp_path / "items.db", broker.url)
    shutil.copytree(tmp_path, tmp_path.parent / "copy", ignore=shutil.ignore_patterns("broker", "*-tablecast"))
    code, text = start.failure("serve", tmp_path.parent / "copy" / "items.db", "--nats", broker.url, "--port", 0)
    assert code == 75 and "another process publishes" in text and "items.db" in text, text
    edge = start.edge(broker.url)
    with Client(edge.ws) as client:
        client.subscribe("tables", rows="keys")
        insert(writer, 1)
        assert receive(client, 1) == ([1], [])
    assert source.process.poll() is None


def test_a_message_of_another_program_does_not_end_the_feed(broker, writer, start, tmp_path):
    source = start.source(tmp_path / "items.db", broker.url)
    with Client(source.ws) as client:
        client.subscribe("tables", rows="keys")
        insert(writer, 1)
        receive(client, 1)
        write(broker, "tablecast.tablecast", "not a record")
        insert(writer, 2)
        assert receive(client, 2) == ([2], [])
    code, text = start.failure("relay", "--nats", broker.url, "--port", 0)
    assert code == 76 and "another program" in text, text


def test_a_stream_of_another_database(broker, writer, start, tmp_path):
    start.source(tmp_path / "items.db", broker.url).stop()
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t(a)")
    code, text = start.failure("serve", other, "--nats", broker.url, "--port", 0)
    assert code == 64 and "'items.db'" in text and "'other.db'" in text and "--nats-stream" in text, text
    # Another stream of the same broker.
    start.source(other, broker.url, "--nats-stream", "other")
    assert start.edge(broker.url, "--nats-stream", "other").seen[0].endswith("other.db")


def test_a_stream_with_other_subjects(broker, writer, start, tmp_path):
    request(broker, "$JS.API.STREAM.CREATE.tablecast", {"name": "tablecast", "subjects": ["orders"]})
    code, text = start.failure("serve", tmp_path / "items.db", "--nats", broker.url, "--port", 0)
    assert code == 64 and "orders" in text and "expected only tablecast.tablecast" in text, text


def test_another_version(broker, writer, start, tmp_path):
    request(broker, "$JS.API.STREAM.CREATE.tablecast", {"name": "tablecast", "subjects": ["tablecast.tablecast"]})
    write(broker, "tablecast.tablecast", "\x09\x01")
    for arguments in (["serve", tmp_path / "items.db"], ["relay"]):
        code, text = start.failure(*arguments, "--nats", broker.url, "--port", 0)
        assert code == 76 and "another version" in text, text


def test_wrong_addresses(broker, writer, start, tmp_path):
    for url in ("127.0.0.1:4222", "http://127.0.0.1", "nats://", f"{broker.url},"):
        code, text = start.failure("relay", "--nats", url)
        assert code == 64 and "expected nats://host:4222" in text, text
    broker.kill()
    code, text = start.failure("relay", "--nats", broker.url, "--port", 0)
    assert code == 69 and broker.url in text, text
    broker.start()
    code, text = start.failure("relay", "--nats", broker.url, "--port", 0)
    assert code == 69 and "there is no stream 'tablecast'" in text, text
    code, text = start.failure("relay", "--nats", broker.url, "--nats-stream", "a.b")
    assert code == 64 and "letters" in text, text
    code, text = start.failure("relay", "--nats-stream", "a")
    assert code == 64 and "--nats-stream requires --nats" in text, text


def test_a_program_without_the_trait_refuses_the_options(tmp_path):
    for arguments in (["serve", "items.db"], ["relay"]):
        ended = subprocess.run(
            [find_binary(), *arguments, "--nats", "x"], capture_output=True, text=True, timeout=30, cwd=tmp_path
        )
        assert ended.returncode == 64, ended
        assert "--traits NATS" in ended.stderr or "expected nats://host:4222" in ended.stderr, ended


def test_wrong_credentials(writer, start, tmp_path):
    users = 'authorization { users: [ { user: "ada", password: "secret" } ] }'
    broker = Broker(tmp_path / "broker", users)
    try:
        right = broker.url.replace("://", "://ada:secret@")
        start.source(tmp_path / "items.db", right).stop()
        start.edge(right)
        wrong = broker.url.replace("://", "://ada:guess@")
        for arguments in (["serve", tmp_path / "items.db"], ["relay"]):
            code, text = start.failure(*arguments, "--nats", wrong, "--port", 0)
            assert code == 77 and "uthorization" in text and "guess" not in text, text
            assert "--nats-credentials" in text, text
    finally:
        broker.kill()


def test_a_file_with_credentials(writer, start, tmp_path):
    configuration, right, wrong = nats_accounts.create(tmp_path)
    broker = Broker(tmp_path / "broker", configuration)
    try:
        start.source(tmp_path / "items.db", broker.url, "--nats-credentials", right)
        edge = start.edge(broker.url, "--nats-credentials", right)
        with Client(edge.ws) as client:
            client.subscribe("tables", rows="keys")
            insert(writer, 1)
            assert receive(client, 1) == ([1], [])
        for options in (["--nats-credentials", wrong], []):
            code, text = start.failure("relay", "--nats", broker.url, *options, "--port", 0)
            assert code == 77 and "uthorization" in text, text
        code, text = start.failure("relay", "--nats", broker.url, "--nats-credentials", tmp_path / "none", "--port", 0)
        assert code == 66 and "none" in text, text
    finally:
        broker.kill()


def test_a_file_with_an_nkey(writer, start, tmp_path):
    user, stranger = (nats_accounts.Key(tmp_path, name, nats_accounts.USER) for name in ("user", "stranger"))
    right, wrong, other = tmp_path / "user.nk", tmp_path / "stranger.nk", tmp_path / "public.nk"
    # As nk writes it with -pubout, and in the form of a file with credentials.
    right.write_text(f"{user.seed}\n{user.public}\n")
    wrong.write_text(f"-----BEGIN USER NKEY SEED-----\r\n{stranger.seed}\r\n------END USER NKEY SEED------\r\n")
    other.write_text(f"{user.public}\n")
    broker = Broker(tmp_path / "broker", f"authorization {{ users: [ {{ nkey: {user.public} }} ] }}")
    try:
        start.source(tmp_path / "items.db", broker.url, env={"TABLECAST_NATS_NKEY": str(right)})
        edge = start.edge(broker.url, "--nats-nkey", right)
        with Client(edge.ws) as client:
            client.subscribe("tables", rows="keys")
            insert(writer, 1)
            assert receive(client, 1) == ([1], [])
        failures = [
            (["--nats-nkey", wrong], 77, "uthorization"),
            ([], 77, "--nats-nkey"),
            (["--nats-nkey", tmp_path / "none.nk"], 66, "none.nk"),
            (["--nats-nkey", other], 66, "expected a line that begins with SU"),
            (["--nats-nkey", right, "--nats-credentials", right], 64, "--nats-nkey and --nats-credentials"),
        ]
        for options, expected, reason in failures:
            code, text = start.failure("relay", "--nats", broker.url, *options, "--port", 0)
            assert code == expected and reason in text, (options, code, text)
            assert user.seed not in text and stranger.seed not in text
    finally:
        broker.kill()


def test_a_signature_that_the_library_omits(start, tmp_path):
    """One whose first byte is 0: with this key, that of the first nonce."""
    file = tmp_path / "user.nk"
    file.write_text("SUAHJN4MATCY63XUJNOKVJ7CUTA5T3CEQCYDPKNQC2KERDHWBZSMANIPNM")
    signed = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT)
        port = listener.getsockname()[1]
        relay = start.add(Command([start.binary, "relay", "--nats", f"nats://127.0.0.1:{port}", "--nats-nkey", str(file)]))
        for nonce in ("AAAAAAAAAAAAAUk", "AAAAAAAAAAAAAAE"):
            connection, _ = listener.accept()
            with connection:
                info = {"server_id": "x", "version": "2.9.10", "proto": 1, "headers": True, "max_payload": 1 << 20}
                info |= {"host": "127.0.0.1", "port": port, "auth_required": True, "nonce": nonce}
                connection.sendall(f"INFO {json.dumps(info)}\r\n".encode())
                request = connection.makefile("rb").readline().decode()
                signed.append(bool(json.loads(request.removeprefix("CONNECT ")).get("sig")))
                connection.sendall(b"-ERR 'Authorization Violation'\r\n")
        assert signed == [False, True]
    assert relay.wait() in (69, 77)


def test_tls(writer, start, tmp_path):
    certificate, key = self_signed_certificate(tmp_path)
    broker = Broker(tmp_path / "broker", f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}')
    try:
        url = broker.url.replace("nats://127.0.0.1", "tls://localhost")
        start.source(tmp_path / "items.db", url, "--nats-ca", certificate)
        edge = start.edge(url, "--nats-ca", certificate)
        with Client(edge.ws) as client:
            client.subscribe("tables", rows="keys")
            insert(writer, 1)
            assert receive(client, 1) == ([1], [])
        code, text = start.failure("relay", "--nats", url, "--port", 0)
        assert code == 77 and "--nats-ca" in text, text
        code, text = start.failure("relay", "--nats", url, "--nats-ca", tmp_path / "none.pem", "--port", 0)
        assert code == 66 and "none.pem" in text, text
    finally:
        broker.kill()
