"""Accounts of NATS as `nsc` creates them: keys, JSON Web Tokens, and the file with the credentials of a user."""

import base64
import json
import subprocess
import time

OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0, 20 << 3, 18 << 3
LIMITS = {**{name: -1 for name in ("subs", "data", "payload", "imports", "exports", "conn", "leaf")}, "wildcards": True}
JETSTREAM = {name: -1 for name in ("mem_storage", "disk_storage", "streams", "consumer")}


def encode(data: bytes) -> str:
    """Base 32 with the checksum CRC-16/XMODEM."""
    checksum = 0
    for byte in data:
        checksum ^= byte << 8
        for _ in range(8):
            checksum = (checksum << 1 ^ (0x1021 if checksum & 0x8000 else 0)) & 0xFFFF
    return base64.b32encode(data + checksum.to_bytes(2, "little")).decode().rstrip("=")


def encode_url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def openssl(*arguments) -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


class Key:
    def __init__(self, directory, name, kind):
        self.file = directory / f"{name}.pem"
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.file)
        # Both end with the 32 bytes of the key.
        secret = openssl("pkey", "-in", self.file, "-outform", "DER")[-32:]
        public = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")[-32:]
        self.public = encode(bytes([kind]) + public)
        self.seed = encode(bytes([SEED | kind >> 5, (kind & 31) << 3]) + secret)

    def sign(self, subject, name, claims) -> str:
        claims = {
            "jti": name, "iat": int(time.time()), "iss": self.public, "name": name, "sub": subject.public,
            "nats": {**claims, "version": 2},
        }
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, claims]
        text = ".".join(encode_url(json.dumps(part).encode()) for part in parts)
        message = self.file.with_suffix(".message")
        message.write_text(text)
        return f"{text}.{encode_url(openssl('pkeyutl', '-sign', '-inkey', self.file, '-rawin', '-in', message))}"


def create(directory):
    """The configuration of a broker with one account, and two files with credentials: of a user, and of a stranger."""
    operator = Key(directory, "operator", OPERATOR)
    system, account, strange = (Key(directory, name, ACCOUNT) for name in ("system", "account", "strange"))
    # The system's own account may not have streams.
    tokens = [
        operator.sign(system, "system", {"type": "account", "limits": LIMITS}),
        operator.sign(account, "account", {"type": "account", "limits": {**LIMITS, **JETSTREAM}}),
    ]
    configuration = (
        f"operator: {operator.sign(operator, 'operator', {'type': 'operator'})}\nsystem_account: {system.public}\n"
        f"resolver: MEMORY\nresolver_preload: {{ {system.public}: {tokens[0]}, {account.public}: {tokens[1]} }}"
    )
    files = []
    for name, owner in (("user", account), ("stranger", strange)):
        user = Key(directory, name, USER)
        token = owner.sign(user, name, {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}})
        file = directory / f"{name}.creds"
        file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
        files.append(file)
    return configuration, *files
