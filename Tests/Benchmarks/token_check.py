#!/usr/bin/env python3
"""What checking a token costs a request: JSON Web Tokens of several algorithms beside a token of a list, in one run.

    token_check.py BINARY [--requests 2000]

Requests on one connection, interleaved, so that a busy machine affects all alike; every one has its token checked. A WebSocket handshake is
such a request. Needs `cryptography`, as the tests do. Prints the median and the 99th percentile of each in microseconds, and the
difference of the medians.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "EndToEnd"))
import issuer

PORT = 3393


def main(binary, count):
    keys = {name: issuer.Key(name, name) for name in ("ES256", "RS256", "EdDSA")}
    with tempfile.TemporaryDirectory() as folder:
        plain = "plain-" + "x" * 24
        with open(os.open(folder + "/tokens.json", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            json.dump([{"token": plain, "role": "read-only"}], file)
        with open(folder + "/keys.json", "w") as file:
            json.dump({"keys": [key.jwk() for key in keys.values()]}, file)
        open(folder + "/schema.sql", "w").write("CREATE TABLE t(v);")
        command = [binary, "serve", folder + "/t.db", "--init", folder + "/schema.sql", "--port", str(PORT), "--tokens", folder + "/tokens.json"]
        service = subprocess.Popen(
            [*command, "--jwt-keys", folder + "/keys.json", "--jwt-audience", "tablecast"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            while True:
                try:
                    connection = socket.create_connection(("127.0.0.1", PORT))
                    break
                except OSError:
                    time.sleep(0.05)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tokens = {"list": plain} | {name: issuer.token(key) for name, key in keys.items()}
            times = {name: [] for name in tokens}
            for _ in range(count):
                for name, token in tokens.items():
                    request = f"GET /status HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
                    start = time.perf_counter_ns()
                    connection.sendall(request)
                    answer = connection.recv(1 << 16)
                    times[name].append(time.perf_counter_ns() - start)
                    assert answer.startswith(b"HTTP/1.1 200"), answer
        finally:
            service.terminate()
            service.wait()
    median = {name: sorted(values)[len(values) // 2] / 1e3 for name, values in times.items()}
    for name, values in times.items():
        print(
            f"{name:6} p50 {median[name]:8.0f} µs  p99 {sorted(values)[int(len(values) * 0.99)] / 1e3:8.0f} µs  "
            f"beyond a token of a list {median[name] - median['list']:7.0f} µs"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    main(arguments.binary, arguments.requests)
