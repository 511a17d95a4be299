"""Who a client is: each way to authenticate over each transport and version, and everything that must not get in."""
import os
import re
import signal
import stat
import subprocess
import threading
import time

import access
import mqttcodec as codec
import rawmqtt
from access import Scram, secret
from harness import Broker, Certificates, alone, eventually, mosquitto_differs, versions
from mqttcodec import AUTH, CONNACK, PUBLISH, V311, V5

OTHER = "mosquitto has none of it"
KEY = access.ALPHABET_FREE.encode() + b"0123456789abcdef"
WRONG, NOT_AUTHORIZED, BUSY, BAD_METHOD = 0x86, 0x87, 0x89, 0x8C
ISSUING = threading.Lock()   # the authority numbers its certificates in one file
V3_CODES = {WRONG: 4, NOT_AUTHORIZED: 5, BUSY: 3, 0: 0}
TRANSPORTS = ("mqtt", "mqtts", "ws", "wss", "unix", "mtls_optional")


def roles_text(extra_users="", rest=""):
    """A plant with an operator, a device with a certificate, one who left, and a reserved client identifier."""
    return f"""trunkline: 1
clock: utc
users:
  ann: {{password: "{access.argon2(secret('ann'))}", scram: "{access.scram_verifier(secret('ann'))}", roles: [all]}}
  bob: {{password: "{access.argon2(secret('bob'))}", scram: "{access.scram_verifier(secret('bob'))}", roles: [all]}}
  gone: {{password: "{access.argon2(secret('gone'))}", disabled: true, roles: [all]}}
  press-7: {{certificate: {{cn: edge-7}}, client_ids: [press-7, "press-7-*"], roles: [all]}}
{extra_users}
roles:
  all:
    rules:
      - {{allow: [publish, subscribe], topic: "#"}}
{rest}"""


def guarded(env, authenticators=None, roles=None, listeners=("mqtt",), start=True, **kwargs):
    """A broker that asks everybody who they are."""
    folder = env.temporary()
    path = os.path.join(folder, "roles.yaml")
    access.write_private(path, roles_text() if roles is None else roles)
    jwks = access.write_private(os.path.join(folder, "keys.json"), access.jwks(KEY))
    if authenticators is None:
        authenticators = ["certificate", {"jwt": {"jwks_file": jwks, "issuer": "id.acme", "audience": "plant",
                                                  "algorithms": ["HS256"], "leeway": "0s"}},
                          "password", "scram"]
    config = {"authenticators": authenticators, "authorizers": [{"roles": {"file": path}}],
              **kwargs.pop("extra_config", {})}
    broker = Broker(env.brokers.binary, listeners=listeners, extra_config=config,
                    environment=env.brokers.environment, **kwargs)
    broker.roles = path
    env.own_brokers.append(broker)
    return broker.start() if start else broker


def attempt(env, broker, reason, client_id=None, listener="mqtt", version=V5, certificate=None, **kwargs):
    """One CONNECT that must be answered by `reason`."""
    client = env.client(version, listener, broker, certificate=certificate)
    client.send_connect(client_id or env.id(f"n{next(env.names)}"), **kwargs)
    expected = reason if version == V5 else V3_CODES[reason]
    client.expect(CONNACK, reason=expected)
    if reason:
        client.expect_close()
    return client


def round_trip(env, client):
    topic = env.topic(f"own/{next(env.names)}")
    client.subscribe(topic, qos=1)
    client.publish(topic, b"mine", qos=1)
    client.puback(client.wait_for(PUBLISH))


def claims(seconds=60, **extra):
    return {"sub": "ann", "iss": "id.acme", "aud": "plant", "exp": access.expiry(seconds), "roles": ["all"], **extra}


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_password(env, version):
    """Over each transport the right password gets in; a wrong one, an unknown user, a disabled one and nobody do not,
    and the first two are told the same. [MQTT-3.1.4-2]"""
    for listener in TRANSPORTS:
        broker = guarded(env, listeners=(listener,))   # each its own: guesses from an address wait for those before
        client = attempt(env, broker, 0, listener=listener, version=version, username="ann", password=secret("ann"))
        round_trip(env, client)
        for user, password in (("ann", secret("bob")), ("nobody", secret("ann")), ("ann", "")):
            attempt(env, broker, WRONG, listener=listener, version=version, username=user, password=password)
        attempt(env, broker, NOT_AUTHORIZED, listener=listener, version=version, username="gone",
                password=secret("gone"))
        attempt(env, broker, NOT_AUTHORIZED, listener=listener, version=version)
        attempt(env, broker, NOT_AUTHORIZED, listener=listener, version=version, username="ann")
        counted = broker.http("/metrics")[1]
        assert 'trunkline_authn_total{method="password",result="accepted"} 1\n' in counted, counted
        assert 'trunkline_authn_total{method="password",result="refused"} 4\n' in counted, counted
        broker.stop()


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_certificate(env, version):
    """A certificate that maps to a user is that user; one that nobody has, or with another's name, is refused; without
    one the other methods are asked."""
    unknown = f"unknown-{env.unique}"
    with ISSUING:
        Certificates.shared().issue(unknown, "ca", "edge-99")
    broker = guarded(env, listeners=("mtls", "mtls_optional"))
    for listener in ("mtls", "mtls_optional"):
        client = attempt(env, broker, 0, "press-7", listener, version, "client")
        round_trip(env, client)
        client.disconnect()
        attempt(env, broker, NOT_AUTHORIZED, listener=listener, version=version, certificate=unknown)
        attempt(env, broker, NOT_AUTHORIZED, "press-7", listener, version, "client", username="ann",
                password=secret("ann"))
        attempt(env, broker, NOT_AUTHORIZED, "another-id", listener, version, "client")
    attempt(env, broker, 0, listener="mtls_optional", version=version, username="ann", password=secret("ann"))


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_token(env, version):
    """A JSON Web Token in the password: good ones get in, all others do not, and its expiry ends the connection."""
    broker = guarded(env, listeners=("mqtt", "wss"))
    for listener in ("mqtt", "wss"):
        good = attempt(env, broker, 0, listener=listener, version=version, username="x",
                       password=access.token(KEY, claims()))
        round_trip(env, good)
        for bad in (access.token(b"x" * 32, claims()), access.token(KEY, claims(-5)),
                    access.token(KEY, claims(iss="other")), access.token(KEY, claims(aud="other")),
                    access.token(KEY, claims(), algorithm="none"), access.token(KEY, claims(), kid="k9")):
            attempt(env, broker, WRONG, listener=listener, version=version, username="x", password=bad)
        attempt(env, broker, NOT_AUTHORIZED, listener=listener, version=version, username="x",
                password=access.token(KEY, claims(sub="gone")))
    started = time.monotonic()
    short = attempt(env, broker, 0, version=version, username="x", password=access.token(KEY, claims(3)))
    if version == V5:
        found = short.expect_disconnect(NOT_AUTHORIZED)
        assert "expired" in found.props["reason_string"], found
    else:
        short.expect_close()
    assert 1.5 < time.monotonic() - started < 5.5


@mosquitto_differs(OTHER)
def test_token_by_auth(env):
    """The enhanced authentication JWT renews a token on the live connection; another user's token ends it.
    [MQTT-4.12.0-5] [MQTT-4.12.1-1] [MQTT-4.12.1-2]"""
    broker = guarded(env)

    def props(token):
        return {"authentication_method": "JWT", "authentication_data": token.encode()}

    client = env.client(broker=broker)
    found = client.connect(env.id("jwt"), props=props(access.token(KEY, claims(3))))
    assert found.props["authentication_method"] == "JWT"
    client.send(codec.auth(0x19, props(access.token(KEY, claims(60)))))
    client.expect(AUTH, reason=0)
    time.sleep(4.2)
    round_trip(env, client)
    client.send(codec.auth(0x19, props(access.token(KEY, claims(60, sub="bob")))))
    client.expect_disconnect(NOT_AUTHORIZED)
    again = env.client(broker=broker)
    again.connect(env.id("jwt"), props=props(access.token(KEY, claims(60))))
    again.send(codec.auth(0x19, props(access.token(b"y" * 32, claims(60)))))
    again.expect_disconnect((NOT_AUTHORIZED, WRONG))


@mosquitto_differs(OTHER)
def test_scram(env):
    """SCRAM-SHA-256 over TCP, TLS and WebSocket: in with the right password, the server proves that it knows it, too;
    not with another, not as somebody unknown; again on the live connection, but not as somebody else.
    [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-4] [MQTT-4.12.0-5] [MQTT-4.12.1-1] [MQTT-4.12.1-2]"""
    broker = guarded(env, listeners=("mqtt", "mqtts", "wss"))
    for listener in ("mqtt", "mqtts", "wss"):
        client = env.client(listener=listener, broker=broker)
        ann = Scram("ann", secret("ann"))
        found = ann.login(client, env.id(f"scram-{listener}"))
        assert (found.kind, found.reason) == (CONNACK, 0), found
        assert found.props["authentication_method"] == Scram.METHOD
        round_trip(env, client)
        found = ann.again(client)
        assert (found.kind, found.reason) == (AUTH, 0), found
        round_trip(env, client)
        Scram("bob", secret("bob")).again(client)
        client.expect_close()
        for user, password in (("ann", secret("bob")), ("nobody", secret("ann"))):
            client = env.client(listener=listener, broker=broker)
            found = Scram(user, password).login(client, env.id("no"))
            assert (found.kind, found.reason) == (CONNACK, WRONG), found
            client.expect_close()
    client = env.client(broker=broker)
    client.connect(env.id("no"), BAD_METHOD, props={"authentication_method": "SCRAM-SHA-1",
                                                    "authentication_data": b"n,,n=ann,r=x"})
    client.expect_close()


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_client_identifiers(env, version):
    """A reserved identifier is its user's alone; a connection and a stored session are not taken over by another."""
    broker = guarded(env)
    login = {"version": version, "username": "bob", "password": secret("bob")}
    attempt(env, broker, NOT_AUTHORIZED, "press-7", **login)
    attempt(env, broker, NOT_AUTHORIZED, "press-7-spare", **login)
    mine = env.id("mine")
    ann = attempt(env, broker, 0, mine, version=version, username="ann", password=secret("ann"))
    ann.subscribe(env.topic("x"), qos=1)
    attempt(env, broker, NOT_AUTHORIZED, mine, **login)
    attempt(env, broker, NOT_AUTHORIZED, mine, clean=False, **login)
    ann.ping()
    kept = env.id("kept")
    stored = {"clean": False, "props": {"session_expiry_interval": 600} if version == V5 else None}
    client = attempt(env, broker, 0, kept, version=version, username="ann", password=secret("ann"), **stored)
    client.subscribe(env.topic("x"), qos=1)
    client.disconnect()
    ann.publish(env.topic("x"), b"for ann", qos=1)
    for restart in (False, True):
        if restart:
            broker.stop()
            broker.start()
        attempt(env, broker, NOT_AUTHORIZED, kept, clean=True, **login)
        attempt(env, broker, NOT_AUTHORIZED, kept, **stored, **login)
    back = attempt(env, broker, 0, kept, version=version, username="ann", password=secret("ann"), **stored)
    assert back.wait_for(PUBLISH).payload == b"for ann"


@mosquitto_differs(OTHER)
def test_lists_of_listeners(env):
    """A listener's own list replaces the common one; nobody is anonymous who is not by name, on loopback either."""
    broker = guarded(env, ["password"], listeners=("mqtt", "ws"), start=False)
    plain = broker.listener
    broker.listener = lambda name: {**plain(name), **({"authenticators": ["anonymous"]} if name == "ws" else {})}
    broker.start()
    attempt(env, broker, 0, listener="ws")
    attempt(env, broker, NOT_AUTHORIZED, listener="ws", username="ann", password=secret("ann"))
    attempt(env, broker, NOT_AUTHORIZED)
    attempt(env, broker, 0, username="ann", password=secret("ann"))


@mosquitto_differs(OTHER)
def test_anonymous_off_loopback(env):
    """Whom a proxy calls remote is anonymous only where `remote` says so; a listener off loopback does not start
    without authentication by accident, nor with passwords in the clear."""
    broker = guarded(env, ["password", "anonymous"], listeners=("proxy",))

    def remote(**kwargs):
        client = rawmqtt.Client(broker.socket("proxy"), V5)
        env.to_close.append(client)
        client.send(access.proxy_header("192.0.2.7"))
        client.send_connect(env.id("remote"), **kwargs)
        return client.expect(CONNACK).reason

    assert remote() == NOT_AUTHORIZED
    assert remote(username="ann", password=secret("ann")) == 0
    for listeners, keys, rule in ((["mqtt://0.0.0.0:0"], {}, "TL-9010"),
                                  (["mqtt://0.0.0.0:0"], {"authenticators": ["password"]}, "TL-9011")):
        broker = guarded(env, [], start=False, extra_config={"listeners": [{"url": url} for url in listeners], **keys})
        try:
            broker.choose_ports()
            broker.launch()
            assert broker.process.wait(10) == 1
        finally:
            broker.kill()
        assert rule in broker.tail(), broker.tail()


def changed(broker, text, event):
    """Writes a roles file, reloads, waits for the line of the log."""
    before = len(broker.stderr)
    if text is not None:
        access.write_private(broker.roles, text)
    broker.process.send_signal(signal.SIGHUP)
    eventually(lambda: any(event in line for line in broker.stderr[before:]), what=event)
    return broker.stderr[before:]


@mosquitto_differs(OTHER)
def test_reload(env):
    """A good roles file takes effect by SIGHUP, a bad one changes nothing and names its mistakes with their place."""
    broker = guarded(env)
    carl = f"  carl: {{password: \"{access.argon2(secret('carl'))}\", roles: [all]}}"
    attempt(env, broker, WRONG, username="carl", password=secret("carl"))
    changed(broker, roles_text(carl), "roles_loaded")
    attempt(env, broker, 0, username="carl", password=secret("carl"))
    lines = changed(broker, roles_text(carl).replace("ann:", "ann: x\n  dora:"), "config_reloaded")
    assert any("roles_problem" in line and "roles.yaml:4:" in line for line in lines), lines
    assert any("the roles that were in force stay" in line for line in lines), lines
    assert "trunkline_config_last_reload_success 0" in broker.http("/metrics")[1]
    attempt(env, broker, 0, username="carl", password=secret("carl"))
    changed(broker, "", "roles_refused")
    attempt(env, broker, 0, username="ann", password=secret("ann"))
    changed(broker, roles_text(), "roles_loaded")
    attempt(env, broker, WRONG, username="carl", password=secret("carl"))
    # a password that was right a moment ago is right no more when it is another one
    client = attempt(env, broker, 0, username="bob", password=secret("bob"))
    other = attempt(env, broker, 0, username="ann", password=secret("ann"))
    changed(broker, roles_text().replace("  bob: {", "  bob: {disabled: true, "), "roles_loaded")
    client.expect_disconnect(NOT_AUTHORIZED)
    other.ping()
    moved = roles_text()
    moved = re.sub(r'ann: {password: "[^"]*"', f'ann: {{password: "{access.argon2(secret("new"))}"', moved)
    changed(broker, moved, "roles_loaded")
    attempt(env, broker, WRONG, username="ann", password=secret("ann"))
    attempt(env, broker, 0, username="ann", password=secret("new"))


@mosquitto_differs(OTHER)
def test_broken_file(env):
    """A broker that starts with a broken or empty roles file lets nobody in, says so, and recovers by a reload; the
    check of the configuration names the mistake."""
    for text, place in (("", "roles.yaml"), ("trunkline: 1\nusers: {ann: {passwort: x}}\n", "roles.yaml:2:")):
        broker = guarded(env, roles=text)
        refusal = [line for line in broker.stderr if "roles_refused" in line]
        assert refusal and "nobody may do anything" in refusal[0], broker.tail()
        assert any("roles_problem" in line and place in line for line in broker.stderr), broker.tail()
        attempt(env, broker, WRONG, username="ann", password=secret("ann"))
        attempt(env, broker, NOT_AUTHORIZED)
        check = subprocess.run([*broker.command(), "--check-config"], capture_output=True, text=True, timeout=20,
                               check=False)
        assert check.returncode == 1 and place in check.stderr, check
        changed(broker, roles_text(), "roles_loaded")
        attempt(env, broker, 0, username="ann", password=secret("ann"))
        broker.stop()


@mosquitto_differs(OTHER)
def test_guessing_is_slowed(env):
    """Wrong passwords from an address wait longer and longer; others, and who was in before, do not."""
    broker = guarded(env, ["password"], listeners=("proxy",))

    def seconds(address, password, reason, **kwargs):
        client = rawmqtt.Client(broker.socket("proxy"), V5)
        env.to_close.append(client)
        started = time.monotonic()
        client.send(access.proxy_header(address))
        client.send_connect(env.id(f"n{next(env.names)}"), username="ann", password=password, **kwargs)
        client.expect(CONNACK, reason=reason)
        return time.monotonic() - started

    seconds("192.0.2.1", secret("ann"), 0)
    guesses = [seconds("192.0.2.66", f"guess {i}", WRONG) for i in range(8)]
    assert guesses[0] < 1 and guesses[-1] > 0.25, guesses
    assert seconds("192.0.2.1", secret("ann"), 0) < 1      # in before, from there
    assert seconds("192.0.2.66", secret("ann"), 0) < 10    # slow, never shut out


@mosquitto_differs(OTHER)
def test_gone_while_it_is_checked(env):
    """Clients that hang up while their password is hashed, and a stop of the broker meanwhile, do no harm."""
    slow = access.argon2(secret("slow"), passes=2, memory=32 << 20)
    broker = guarded(env, roles=roles_text(f"  slow: {{password: \"{slow}\", roles: [all]}}"))
    for i in range(20):
        client = env.client(broker=broker)
        client.send_connect(env.id(f"x{i}"), username="slow", password=secret("slow"))
        if i % 2:
            client.drop()
    attempt(env, broker, 0, username="ann", password=secret("ann"))
    broker.stop()


@mosquitto_differs(OTHER)
def test_plugin(env):
    """A plugin named in `authenticators` checks logins; the others go to the next method."""
    folder = env.temporary()
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    library = os.path.join(folder, "maintenance_window.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", f"-I{source}", "-pthread", "-o", library,
                    os.path.join(source, "deploy/examples/plugin/maintenance_window.c")], check=True, timeout=60)
    os.chmod(library, 0o755)
    plugin = {"file": library, "config": {"prefix": "acme/", "principal": "shift-leader",
                                          "password": secret("shift")}}
    broker = guarded(env, [{"plugin": plugin}, "password"])
    for version in (V311, V5):
        attempt(env, broker, 0, version=version, username="shift-leader", password=secret("shift"))
        attempt(env, broker, WRONG, version=version, username="shift-leader", password="wrong")
        attempt(env, broker, 0, version=version, username="ann", password=secret("ann"))
    assert '{method="plugin",result="accepted"} 2\n' in broker.http("/metrics")[1]
    broker.stop()
    bad = guarded(env, [{"plugin": {**plugin, "sha256": "0" * 64}}], start=False)
    bad.choose_ports()
    bad.launch()
    assert bad.process.wait(10) == 1
    assert "TL-1904" in bad.tail(), bad.tail()


@mosquitto_differs(OTHER)
def test_no_secret_leaks(env):
    """No password, token, hash or key in logs, metrics, the command line, environment of others, administration or
    files of the broker; its files are its own."""
    broker = guarded(env, flags=("--log-level", "debug"))
    token = access.token(KEY, claims())
    for version in (V311, V5):
        for user, password, reason in (("ann", secret("ann"), 0), ("ann", secret("wrong"), WRONG),
                                       ("nobody", secret("nobody"), WRONG), ("x", token, 0),
                                       ("x", token[:-4] + "AAAA", WRONG)):
            attempt(env, broker, reason, version=version, username=user, password=password)
    Scram("ann", secret("ann")).login(env.client(broker=broker), env.id("s"), clean=False,
                                      props={"session_expiry_interval": 60})
    changed(broker, None, "config_reloaded")
    with open(f"/proc/{broker.process.pid}/cmdline", "rb") as file:
        seen = file.read().decode()
    for path in ("/metrics", "/api/v1/config", "/api/v1/clients", "/api/v1/sessions"):
        seen += broker.http(path)[1]
    broker.stop()
    seen += "\n".join(broker.stderr)
    secrets = (access.ALPHABET_FREE, "$argon2", "SCRAM-SHA-256$", token.split(".")[1], token.split(".")[2],
               access.b64url(KEY))
    for text in secrets:
        assert text not in seen, f"{text} in: " + "".join(line for line in seen.splitlines() if text in line)
    for root, folders, files in os.walk(broker.data):
        for name in folders + files:
            path = os.path.join(root, name)
            assert stat.S_IMODE(os.stat(path).st_mode) == (0o700 if name in folders else 0o600), path
            if name in files:
                with open(path, "rb") as file:
                    content = file.read()
                assert not any(text.encode() in content for text in secrets), path


@alone
@mosquitto_differs(OTHER)
def test_storm(env):
    """A small storm of reconnects: everybody gets in, and guesses from one address do not delay others."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "access", "reconnect_storm")
    done = subprocess.run([script, "--broker", env.brokers.binary, "--clients", "100", "--seconds", "3", "--logins",
                           "10", "--rate", "200", "--rise", "50", "--bound", "4"],
                          capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
