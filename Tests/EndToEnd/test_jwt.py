"""JSON Web Tokens, with the real binary and a server of keys."""

import json
import signal
import time

import pytest
from websockets.exceptions import ConnectionClosed

from issuer import Key, assemble, claims, encode, publishing, token, token_of_secret
from processes import LIMIT, write_tokens
from sockets import Client
from test_access import ask, bearer, closed, refused

KEYS = {name: Key(name, f"key-{name}") for name in ("RS256", "ES256", "ES384", "ES512", "EdDSA")}
KEY = KEYS["RS256"]
AUDIENCE = ("--jwt-audience", "tablecast", "--jwt-issuer", "https://id.example")
SECRET = "s" * 48


@pytest.fixture
def issuer():
    with publishing(*KEYS.values()) as issuer:
        yield issuer


@pytest.fixture
def guarded(serve, music, issuer):
    return serve(music, "--jwt-keys", issuer.url, *AUDIENCE)


def status(server, text):
    return ask(server, "/tables", text)[0]


def reason(server, text):
    code, headers, body = ask(server, "/tables", text)
    assert code == 401 and headers["WWW-Authenticate"].startswith("Bearer")
    return json.loads(body)["error"]


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"])
def test_a_signed_token_is_accepted(guarded, algorithm):
    key = KEYS.get(algorithm, KEY)
    assert status(guarded, token(key, algorithm=algorithm)) == 200


def now():
    return time.time()


# What must be refused, and a word of the reason.
FORGED = {
    "no algorithm": (lambda: assemble({"alg": "none"}, claims(), lambda _: b""), "'kid'"),
    "no algorithm, with a key": (lambda: assemble({"alg": "none", "kid": KEY.id}, claims(), lambda _: b""), "algorithm"),
    "no algorithm, in capitals": (lambda: assemble({"alg": "NoNe", "kid": KEY.id}, claims(), lambda _: b""), "algorithm"),
    "the public key as a secret": (lambda: token_of_secret(KEY.pem.encode(), kid=KEY.id), "algorithm"),
    "another family": (lambda: token(KEYS["ES256"], kid=KEY.id), "algorithm"),
    "another key under the same name": (lambda: token(Key("RS256", KEY.id)), "signature"),
    "an unknown key": (lambda: token(Key("RS256", "nobody")), "unknown"),
    "no key, with several": (lambda: token(KEY, kid=None), "'kid'"),
    "a key that is a number": (lambda: token(KEY, kid=1), "'kid'"),
    "a key within the header": (lambda: token(Key("RS256", None), jwk=Key("RS256").jwk()), "'kid'"),
    "critical extensions": (lambda: token(KEY, crit=["exp"]), "crit"),
    "another type": (lambda: token(KEY, typ="dpop+jwt"), "typ"),
    "two headers of one name": (
        lambda: assemble(f'{{"alg":"none","alg":"RS256","kid":"{KEY.id}"}}', claims(), KEY.sign), "JSON"),
    "two claims of one name": (
        lambda: assemble(
            {"alg": "RS256", "kid": KEY.id}, json.dumps(claims())[:-1] + ', "tablecast": {"role": "admin"}}', KEY.sign
        ), "JSON"),
    "a payload that is no object": (lambda: token(KEY, payload=[1]), "object"),
    "an expired one": (lambda: token(KEY, claims(exp=now() - 60)), "expired"),
    "one without an expiry": (lambda: token(KEY, claims(exp=None)), "exp"),
    "an expiry that is a text": (lambda: token(KEY, claims(exp="tomorrow")), "exp"),
    "one of the future": (lambda: token(KEY, claims(nbf=now() + 120)), "not valid yet"),
    "one that was issued in the future": (lambda: token(KEY, claims(iat=now() + 120)), "future"),
    "another issuer": (lambda: token(KEY, claims(iss="https://other.example")), "issuer"),
    "no issuer": (lambda: token(KEY, claims(iss=None)), "issuer"),
    "another audience": (lambda: token(KEY, claims(aud=["other", "tablecast2"])), "audience"),
    "no audience": (lambda: token(KEY, claims(aud=None)), "audience"),
    "no subject": (lambda: token(KEY, claims(sub=None)), "sub"),
    "no rights": (lambda: token(KEY, claims(tablecast=None)), "tablecast"),
    "an unknown role": (lambda: token(KEY, claims(tablecast={"role": "root"})), "role"),
    "an unknown restriction": (lambda: token(KEY, claims(tablecast={"rows": {"genre": "id = 1"}})), "rows"),
    "tables that are a number": (lambda: token(KEY, claims(tablecast={"tables": 5})), "tables"),
    "a changed payload": (lambda: ".".join([*token(KEY).split(".")[:1], encode(json.dumps(claims(sub="eve")).encode()),
                                            token(KEY).split(".")[2]]), "signature"),
    "no signature": (lambda: token(KEY).rsplit(".", 1)[0] + ".", "signature"),
    "padding": (lambda: token(KEY) + "=", "Base64url"),
    "five parts": (lambda: token(KEY) + ".e30.e30", "JSON Web Token"),
    "a huge one": (lambda: token(KEY, claims(padding="x" * 20_000)), "bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused_with_the_reason(guarded, name):
    make, word = FORGED[name]
    text = make()
    if len(text) > 16_384:
        # Longer than the headers of a request may be; the address may not be longer either.
        assert status(guarded, text) in (400, 401, 431)
        return
    assert word in reason(guarded, text)


def test_clocks_may_differ_by_the_leeway(serve, music, issuer):
    server = serve(music, "--jwt-keys", issuer.url, *AUDIENCE, "--jwt-leeway", "100")
    assert status(server, token(KEY, claims(exp=now() - 60, nbf=now() + 60, iat=now() + 60))) == 200
    assert "expired" in reason(server, token(KEY, claims(exp=now() - 160)))


def test_a_program_and_a_page_learn_that_the_token_is_not_valid(guarded):
    text = token(KEY, claims(exp=now() - 60))
    assert refused(guarded, **bearer(text)).status_code == 401
    frame = closed(guarded, f"?access_token={text}")
    assert frame.code == 4401 and "expired" in frame.reason


def test_the_claims_are_the_rights(guarded):
    rights = {"role": "read-write", "tables": ["genre"], "channels": ["tables"]}
    with Client(guarded.ws, **bearer(token(KEY, claims(tablecast=rights)))) as client:
        assert client.query("UPDATE genre SET name = name WHERE genre_id = 1", "w")[1]["type"] == "query:complete"
        assert client.query("SELECT * FROM album", "r")[1]["data"]["code"] == "NOT_AUTHORIZED"
    assert status(guarded, token(KEY, claims(aud=["other", "tablecast"]))) == 200
    with Client(guarded.ws, **bearer(token(KEY))) as client:
        assert client.query("DELETE FROM genre", "w")[1]["data"]["code"] == "READ_ONLY"


def test_claims_of_an_identity_provider_are_mapped(serve, music, issuer, tmp_path):
    mapping = tmp_path / "claims.json"
    mapping.write_text(
        json.dumps(
            {
                "username": "email", "role": ["realm_access", "roles"], "roles": {"viewer": "read-only", "editor": "read-write"},
                "tables": "https://example.com/tables",
            }
        )
    )  # fmt: skip
    server = serve(music, "--jwt-keys", issuer.url, *AUDIENCE, "--jwt-claims", mapping)

    def made(roles, **fields):
        return token(KEY, claims(tablecast=None, email="a@b.c", realm_access={"roles": roles}, **fields))

    tables = {"https://example.com/tables": ["genre"]}
    with Client(server.ws, **bearer(made(["offline", "viewer", "editor"], **tables))) as client:
        assert client.query("UPDATE genre SET name = name WHERE genre_id = 1", "w")[1]["type"] == "query:complete"
        assert client.query("SELECT * FROM album", "r")[1]["data"]["code"] == "NOT_AUTHORIZED"
    with Client(server.ws, **bearer(made(["viewer"], **tables))) as client:
        assert client.query("DELETE FROM genre", "w")[1]["data"]["code"] == "READ_ONLY"
    assert "role" in reason(server, made(["admin"], **tables))
    assert "tables" in reason(server, made(["viewer"]))


def test_a_token_ends_its_connection_when_it_expires(guarded):
    text = token(KEY, claims(exp=now() - 28))
    with Client(guarded.ws, **bearer(text)) as client:
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                client.receive(LIMIT)
    assert caught.value.rcvd.code == 4401


def test_new_keys_are_requested_once(guarded, issuer):
    assert status(guarded, token(KEY)) == 200
    before = issuer.requests
    rotated = Key("ES256", "rotated")
    issuer.publish(rotated, KEY)
    # The keys were loaded at the start, less than a minute ago: the address is not asked for every invented key.
    for _ in range(20):
        assert "unknown" in reason(guarded, token(Key("ES256", "invented")))
    assert issuer.requests - before <= 1
    guarded.signal(signal.SIGHUP)
    deadline = now() + LIMIT
    while status(guarded, token(rotated)) != 200:
        assert now() < deadline
    # A key that is no longer published is not valid any more.
    issuer.publish(rotated)
    with Client(guarded.ws, **bearer(token(KEY))) as client:
        guarded.signal(signal.SIGHUP)
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                client.receive(LIMIT)
    assert caught.value.rcvd.code == 4401
    assert status(guarded, token(rotated)) == 200


def test_keys_that_cannot_be_requested_again_stay_valid(guarded, issuer):
    issuer.fail()
    guarded.signal(signal.SIGHUP)
    guarded.error_line("500")
    assert status(guarded, token(KEY)) == 200


def test_a_provider_that_is_away_at_the_start_is_waited_for(serve, music, issuer):
    issuer.fail(503)
    server = serve(music, "--jwt-keys", issuer.url, *AUDIENCE)
    assert "503" in "\n".join(server.errors)
    code, headers, _ = ask(server, "/tables", token(KEY))
    assert code == 503 and headers["Retry-After"]
    issuer.publish(KEY)
    deadline = now() + LIMIT
    while status(server, token(KEY)) != 200:
        assert now() < deadline


def test_redirects_are_not_followed(serve, music, issuer):
    issuer.fail(302)
    server = serve(music, "--jwt-keys", issuer.url, *AUDIENCE)
    assert "302" in "\n".join(server.errors)
    assert issuer.requests == 1


def test_one_key_in_a_file_needs_no_name(serve, music, tmp_path):
    for name, key in KEYS.items():
        path = tmp_path / f"{name}.pem"
        path.write_text(key.pem)
        server = serve(music, "--jwt-keys", path)
        assert status(server, token(key, kid=None)) == 200
        assert status(server, token(key, kid="whatever")) == 200
        assert "signature" in reason(server, token(Key(name, "other")))
        server.stop()


def test_a_set_of_keys_in_a_file_skips_what_does_not_sign(serve, music, tmp_path):
    path = tmp_path / "keys.json"
    weak = Key("RS256", "weak", bits=1024)
    others = [KEYS["ES256"].jwk(use="enc", kid="enc"), {"kty": "oct", "k": encode(b"x" * 32), "kid": "oct"}, weak.jwk(), {"kty": "new"}]
    path.write_text(json.dumps({"keys": [*others, KEY.jwk(alg="PS256")]}))
    server = serve(music, "--jwt-keys", path)
    assert status(server, token(KEY, algorithm="PS256")) == 200
    # The key is only for PS256.
    assert "algorithm" in reason(server, token(KEY))
    assert status(server, token(weak)) == 401
    assert status(server, token_of_secret(b"x" * 32, kid="oct")) == 401


def test_a_shared_secret_signs(serve, music):
    server = serve(music, *AUDIENCE, env={"TABLECAST_JWT_SECRET": SECRET})
    assert status(server, token_of_secret(SECRET.encode())) == 200
    assert "signature" in reason(server, token_of_secret(b"t" * 48))
    assert "algorithm" in reason(server, token(KEY, kid=None))
    assert "algorithm" in reason(server, assemble({"alg": "none"}, claims(), lambda _: b""))


def test_tokens_of_a_list_are_accepted_beside(serve, music, issuer, tmp_path):
    listed = "listed-" + 20 * "x"
    tokens = tmp_path / "tokens.json"
    write_tokens(tokens, [{"token": listed}])
    server = serve(music, "--tokens", tokens, "--jwt-keys", issuer.url, *AUDIENCE)
    assert status(server, listed) == 200 and status(server, token(KEY)) == 200
    assert "neither" in reason(server, "unknown-" + 20 * "x")


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--jwt-keys", "https://id.example/keys"], "--jwt-audience"),
        (["--jwt-keys", "http://id.example/keys", "--jwt-audience", "a"], "not secure"),
        (["--jwt-keys", "https://", "--jwt-audience", "a"], "not an address"),
        (["--jwt-keys", "/nowhere/keys.json"], "cannot be read"),
        (["--jwt-issuer", "a"], "--jwt-keys"),
        (["--jwt-keys", "{file}"], "JSON Web Key Set"),
        (["--jwt-keys", "{private}"], "private key"),
        (["--jwt-keys", "{pem}", "--jwt-leeway", "-1"], "leeway"),
        (["--jwt-keys", "{pem}", "--jwt-claims", "/nowhere"], "cannot be read"),
        (["--jwt-keys", "{pem}", "--jwt-claims", "{claims}"], "rules"),
        (["--jwt-keys", "{pem}", "--allow-anonymous"], "--allow-anonymous"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_reason(run, music, tmp_path, arguments, word):
    (tmp_path / "file").write_text("not keys")
    (tmp_path / "pem").write_text(KEY.pem)
    (tmp_path / "private").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    (tmp_path / "claims").write_text('{"rules": {}}')
    names = {name: tmp_path / name for name in ("file", "pem", "private", "claims")}
    result = run("serve", music, *[argument.format(**names) for argument in arguments])
    assert result.returncode in (64, 66) and word in result.stderr
