"""An identity provider: signs JSON Web Tokens and publishes its keys at a real address. Made with `cryptography` alone, so that it
signs what a library for tokens would refuse to."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import threading
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, length=None) -> str:
    return encode(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


DIGESTS = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
CURVES = {"ES256": ("P-256", ec.SECP256R1, 32), "ES384": ("P-384", ec.SECP384R1, 48), "ES512": ("P-521", ec.SECP521R1, 66)}


class Key:
    def __init__(self, algorithm, id=None, bits=2048):
        self.algorithm, self.id = algorithm, id
        if algorithm in CURVES:
            self.private = ec.generate_private_key(CURVES[algorithm][1]())
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(65537, bits)

    @property
    def pem(self) -> str:
        public = self.private.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    def jwk(self, **fields):
        public = self.private.public_key()
        if self.algorithm in CURVES:
            name, _, length = CURVES[self.algorithm]
            numbers = public.public_numbers()
            key = {"kty": "EC", "crv": name, "x": number(numbers.x, length), "y": number(numbers.y, length)}
        elif self.algorithm == "EdDSA":
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            key = {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}
        else:
            numbers = public.public_numbers()
            key = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        return key | ({"kid": self.id} if self.id else {}) | fields

    def sign(self, message: bytes, algorithm=None) -> bytes:
        name = algorithm or self.algorithm
        digest = DIGESTS.get(name[2:], hashes.SHA256)()
        if name.startswith("RS"):
            return self.private.sign(message, padding.PKCS1v15(), digest)
        if name.startswith("PS"):
            return self.private.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        if name.startswith("ES"):
            length = CURVES[name][2]
            r, s = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(digest)))
            return r.to_bytes(length, "big") + s.to_bytes(length, "big")
        return self.private.sign(message)


def claims(**fields):
    now = time.time()
    standard = {
        "iss": "https://id.example", "aud": "tablecast", "sub": "ada", "iat": now, "exp": now + 600,
        "tablecast": {"role": "read-only"},
    }  # fmt: skip
    return {name: value for name, value in (standard | fields).items() if value is not None}


def assemble(header, payload, sign) -> str:
    """Header and payload may be texts, to be malformed."""
    parts = [encode((part if isinstance(part, str) else json.dumps(part)).encode()) for part in (header, payload)]
    message = ".".join(parts)
    return f"{message}.{encode(sign(message.encode()))}"


def token(key: Key, payload=None, algorithm=None, **header) -> str:
    name = algorithm or key.algorithm
    named = {"alg": name, "typ": "JWT"} | ({"kid": key.id} if key.id else {}) | header
    named = {field: value for field, value in named.items() if value is not None}
    return assemble(named, claims() if payload is None else payload, lambda message: key.sign(message, name))


def token_of_secret(secret: bytes, payload=None, **header) -> str:
    return assemble(
        {"alg": "HS256"} | header, claims() if payload is None else payload,
        lambda message: hmac.new(secret, message, hashlib.sha256).digest(),
    )  # fmt: skip


class Issuer:
    """A server of keys. `answer` is what it answers: a status and a body."""

    def __init__(self):
        self.requests = 0
        self.status, self.body = 200, b""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("Location", outer.url + "?other")
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self, *keys):
        self.status, self.body = 200, json.dumps({"keys": [key if isinstance(key, dict) else key.jwk() for key in keys]}).encode()

    def fail(self, status=500):
        self.status, self.body = status, b"no"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def publishing(*keys):
    """An identity provider with these keys."""
    issuer = Issuer()
    issuer.publish(*keys)
    yield issuer
    issuer.close()
