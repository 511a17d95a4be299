"""Logins that an HTTP service judges."""
import os
import signal
import subprocess
import sys
import threading
import time

import access
from access import secret
from harness import Certificates, eventually, free_port, mosquitto_differs, versions
from mqttcodec import CONNACK, V311, V5
from services import DocumentedBroker, LoginService, Relay, Trap, documented, put
from test_authentication import NOT_AUTHORIZED, OTHER, V3_CODES, WRONG, attempt, guarded, round_trip

UNAVAILABLE = 0x88
V3_CODES[UNAVAILABLE] = 3


def people(question):
    """Those whom the service of these tests knows."""
    if question["user"] == "webby" and question["password"] == secret("webby"):
        return {"result": "allow", "roles": ["all"]}
    if question["user"] == "roleless":
        return {"result": "allow", "user": "somebody"}
    if question["user"] in ("ann", "nobody"):
        return {"result": "defer"}
    return {"result": "deny", "reason": "come on Monday"}


def told(broker, text, times=1):
    """How many lines of the log have `text`; waits until there are so many at least."""
    def count():
        return sum(text in line for line in list(broker.stderr))
    eventually(lambda: count() >= times, what=f"the log has {text!r}: {broker.tail()}")
    return count()


def check_guessing_is_slowed(env, broker, user):
    """Nine wrong passwords: the first is answered at once, the last is made to wait."""
    took = []
    for i in range(9):
        started = time.monotonic()
        attempt(env, broker, WRONG, username=user, password=f"guess {i}")
        took.append(time.monotonic() - started)
    assert took[0] < 1 and took[-1] > 0.25, took


def counted(broker, result, method="http"):
    for line in broker.http("/metrics")[1].splitlines():
        if line.startswith(f'trunkline_authn_total{{method="{method}",result="{result}"}} '):
            return int(line.rsplit(" ", 1)[1])
    return 0


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_answers(env, version):
    """Allow, deny and defer do what they say over each transport; the service learns what CONNECT said, and no more."""
    with LoginService(people) as service:
        broker = guarded(env, [{"http": {"url": service.url(path="/mqtt?plant=1")}}, "password"],
                         listeners=("mqtt", "mtls_optional", "ws"))
        for listener in ("mqtt", "ws"):
            client = attempt(env, broker, 0, listener=listener, version=version, username="webby",
                             password=secret("webby"))
            round_trip(env, client)
        attempt(env, broker, WRONG, version=version, username="webby", password="guess")
        attempt(env, broker, 0, version=version, username="ann", password=secret("ann"))
        attempt(env, broker, WRONG, version=version, username="nobody", password=secret("ann"))
        client = attempt(env, broker, 0, "web-1", "mtls_optional", version, "client", username="roleless",
                         password="x")
        if version == V5:
            client.publish(env.topic("no"), b"x", qos=1, reason=NOT_AUTHORIZED)
        question = service.questions[-1]
        assert question["client_id"] == "web-1" and question["address"] == "127.0.0.1", question
        assert question["listener"].startswith("mqtts://127.0.0.1:") and question["protocol"] == version, question
        assert question["tls"]["common_name"] == "edge-7" and len(question["tls"]["fingerprint"]) == 64, question
        attempt(env, broker, WRONG, version=version)      # nobody in particular: the service says no
        assert service.questions[-1]["user"] is None and service.questions[-1]["password"] is None
        assert service.questions[-1]["tls"] is None
        assert "Authorization" not in service.headers[-1] and service.headers[-1]["Content-Type"] == "application/json"
        assert (counted(broker, "accepted"), counted(broker, "refused")) == (3, 2)
        assert len(service.peers) < len(service.questions), "connections are kept"


@mosquitto_differs(OTHER)
def test_reason(env):
    """What the service gives as reason is what the client is told."""
    with LoginService(people) as service:
        broker = guarded(env, [{"http": {"url": service.url()}}])
        client = env.client(broker=broker)
        client.send_connect(env.id("x"), username="late", password="x")
        found = client.expect(CONNACK, reason=WRONG)
        assert found.props["reason_string"] == "come on Monday", found
        client.expect_close()


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_nonsense(env, version):
    """Another status, a redirect, garbage, too much and nothing in time let nobody in, defer to nobody, and follow
    nobody; the connection to the service may end whenever it likes."""
    trap = LoginService(lambda question: {"result": "allow", "roles": ["all"]})
    answers = {"status": (500, b'{"result": "allow"}'), "found": (302, b"", {"Location": trap.url()}),
               "kept": (307, b'{"result": "allow"}', {"Location": trap.url()}), "garbage": (200, b"<html>"),
               "unauthorized": (401, b"{}", {"WWW-Authenticate": "Basic"}), "empty": (200, b""),
               "twice": (200, b'{"result": "deny", "result": "allow"}'), "nul": (200, b'{"result": "allow"}\0'),
               "large": (200, b'{"result": "allow", "more": "' + b"x" * 100_000 + b'"}'),
               "liar": (200, b'{"result": "allow"}', {"Content-Length": "7"}), "crash": None}

    def judge(question):
        if question["user"] == "slow":
            time.sleep(2.5)
        return answers.get(question["user"], {"result": "allow", "roles": ["all"]})

    with trap, LoginService(judge) as service:
        broker = guarded(env, [{"http": {"url": service.url(), "timeout": "1s", "when_unreachable": "defer"}},
                               "anonymous"])
        for user in [*answers, "slow"]:
            client = env.client(version, broker=broker)
            client.send_connect(env.id(user), username=user, password=secret(user))
            found = client.recv()
            assert found.reason == (UNAVAILABLE if version == V5 else V3_CODES[UNAVAILABLE]), (user, found)
            attempt(env, broker, 0, version=version, username="good", password=secret("good"))
        assert trap.questions == []
        assert counted(broker, "unavailable") == len(answers) + 1
        failures = len(answers) + 1
        assert told(broker, "auth_backend_recovered", failures) == told(broker, "auth_backend_failed") == failures
        told(broker, "status 500")


@mosquitto_differs(OTHER)
def test_not_http(env):
    """A service that accepts and closes, talks nonsense, or sends an endless head."""
    for answer in (b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000,
                   b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
        trap = Trap(answer)
        broker = guarded(env, [{"http": {"url": f"http://127.0.0.1:{trap.port}/", "timeout": "2s"}}])
        attempt(env, broker, UNAVAILABLE, username="ann", password=secret("ann"))
        trap.stop()
        broker.stop()


@mosquitto_differs(OTHER)
def test_unreachable(env):
    """While nobody can be reached a login is denied, or, where that is configured, the next method's; the log says so
    once, and again when it works."""
    port = free_port()
    denying = guarded(env, [{"http": {"url": f"http://127.0.0.1:{port}/"}}, "password"])
    deferring = guarded(env, [{"http": {"url": f"http://127.0.0.1:{port}/", "when_unreachable": "defer"}}, "password"])
    nameless = guarded(env, [{"http": {"url": "https://no-such-host.invalid/", "when_unreachable": "defer"}},
                             "password"])
    for version in (V311, V5):
        for _ in range(3):
            attempt(env, denying, UNAVAILABLE, version=version, username="ann", password=secret("ann"))
        attempt(env, deferring, 0, version=version, username="ann", password=secret("ann"))
        attempt(env, deferring, WRONG, version=version, username="ann", password=secret("bob"))
    attempt(env, nameless, 0, username="ann", password=secret("ann"))
    for broker in (denying, deferring, nameless):
        assert told(broker, "auth_backend_failed") == 1, broker.tail()
    assert counted(denying, "unavailable") == 6
    with LoginService(people, port=port):
        for broker in (denying, deferring):
            attempt(env, broker, 0, username="webby", password=secret("webby"))
            assert told(broker, "auth_backend_recovered") == 1, broker.tail()


@mosquitto_differs(OTHER)
def test_tls_and_token(env):
    """https with the authority that is named; a stranger's certificate, or one for another host, lets nobody in and
    defers to nobody. The token is sent, and another one is taken by SIGHUP."""
    Certificates.shared()
    with LoginService(people, "server") as service, LoginService(people, "stranger") as stranger:
        ca = Certificates.shared().path("ca.crt")
        token = access.write_private(os.path.join(env.temporary(), "token"), secret("token-1") + "\n")
        options = {"ca": ca, "token": f"file:{token}", "when_unreachable": "defer"}
        broker = guarded(env, [{"http": {"url": service.url("localhost"), **options}}, "password"])
        for expected in ("token-1", "token-2"):
            attempt(env, broker, 0, username="webby", password=secret("webby"))
            assert service.headers[-1]["Authorization"] == "Bearer " + secret(expected)
            access.write_private(token, secret("token-2"))
            before = len(broker.stderr)
            broker.process.send_signal(signal.SIGHUP)
            eventually(lambda: any("config_reloaded" in line for line in broker.stderr[before:]), what="reload")
            assert not any("needs_restart" in line for line in broker.stderr), broker.tail()
        assert secret("token") not in broker.http("/api/v1/config")[1] + "\n".join(broker.stderr)
        attempt(env, broker, 0, username="ann", password=secret("ann"))
        by_address = guarded(env, [{"http": {"url": service.url(), **options}}])
        attempt(env, by_address, 0, username="webby", password=secret("webby"))
        for url, ca_file in ((stranger.url("localhost"), ca), (service.url("localhost"), None)):
            asked = len(service.questions) + len(stranger.questions)
            wrong = {key: value for key, value in {**options, "ca": ca_file}.items() if value}
            broker = guarded(env, [{"http": {"url": url, **wrong}}, "password"])
            attempt(env, broker, UNAVAILABLE, username="ann", password=secret("ann"))
            told(broker, "certificate is not good")
            assert len(service.questions) + len(stranger.questions) == asked


@mosquitto_differs(OTHER)
def test_wrong_host(env):
    """A certificate that the authority has signed, but for somebody else."""
    with LoginService(people, "server") as service:
        relay = Relay(service.port)
        url = f"https://{relay.address}:{relay.port}/"
        broker = guarded(env, [{"http": {"url": url, "ca": Certificates.shared().path("ca.crt")}}])
        attempt(env, broker, UNAVAILABLE, username="webby", password=secret("webby"))
        assert service.questions == [] and relay.connections == 1
        told(broker, "mismatch")
        relay.stop()


@mosquitto_differs(OTHER)
def test_hanging(env):
    """While the service hangs for one client, others log in and those who are in are served; never more questions at
    once than configured; whoever gives up is not asked about; a stop does not wait for the service."""
    release = threading.Event()

    def judge(question):
        if question["user"].startswith("hang"):
            release.wait(10)
        return {"result": "allow", "roles": ["all"]}

    with LoginService(judge) as service:
        broker = guarded(env, [{"http": {"url": service.url(), "timeout": "20s", "requests": 3}}, "password"])
        running = attempt(env, broker, 0, username="quick", password="x")
        hanging = []
        for i in range(2):
            client = env.client(broker=broker)
            client.send_connect(env.id(f"h{i}"), username=f"hang{i}", password="x")
            hanging.append(client)
        eventually(lambda: "hang1" in service.users(), what="two questions that hang")
        for i in range(10):
            started = time.monotonic()
            attempt(env, broker, 0, username=f"other{i}", password="x").disconnect()
            round_trip(env, running)
            assert time.monotonic() - started < 1
        for name in ("hang2", "waits", "gone"):    # the last place, and two that have to wait for one
            client = env.client(broker=broker)
            client.send_connect(env.id(name), username=name, password="x")
            hanging.append(client)
            if name == "hang2":
                eventually(lambda: "hang2" in service.users(), what="three questions that hang")
        round_trip(env, running)
        assert service.now == 3 and "waits" not in service.users()
        hanging.pop().drop()
        hanging.pop(0).drop()                      # its place is free, though the service still hangs
        eventually(lambda: "waits" in service.users(), what="the place of whoever hung up")
        hanging.pop().expect(CONNACK, reason=0)
        assert "gone" not in service.users()
        assert broker.stop() < 5
        release.set()


@mosquitto_differs(OTHER)
def test_bounds_of_an_answer(env):
    """The end that an answer names ends the connection; a client identifier that it binds is the only one."""
    def judge(question):
        if question["user"] == "short":
            return {"result": "allow", "expires_at": int(time.time()) + 2, "roles": ["all"]}
        if question["user"] == "past":
            return {"result": "allow", "expires_at": int(time.time()) - 2}
        return {"result": "allow", "bind_client_id": "press-99", "roles": ["all"]}

    with LoginService(judge) as service:
        broker = guarded(env, [{"http": {"url": service.url()}}])
        attempt(env, broker, NOT_AUTHORIZED, username="past", password="x")
        short = attempt(env, broker, 0, username="short", password="x")
        attempt(env, broker, NOT_AUTHORIZED, "press-98", username="bound", password="x")
        attempt(env, broker, NOT_AUTHORIZED, "press-7", username="bound", password="x")   # of the roles file
        attempt(env, broker, 0, "press-99", username="bound", password="x")
        short.expect_disconnect(NOT_AUTHORIZED)


@mosquitto_differs(OTHER)
def test_guessing_is_slowed(env):
    """Denials make the next question from that address wait, for others it does not."""
    with LoginService(people) as service:
        broker = guarded(env, [{"http": {"url": service.url()}}])
        check_guessing_is_slowed(env, broker, "guessed")
        assert len(service.questions) == 9


@mosquitto_differs(OTHER)
def test_service_restarts(env):
    """Connections that the service closed while nobody asked are not held against a login."""
    service = LoginService(people)
    broker = guarded(env, [{"http": {"url": service.url()}}])
    attempt(env, broker, 0, username="webby", password=secret("webby"))
    for _ in range(3):
        service.stop()
        service = LoginService(people, port=service.port)
        attempt(env, broker, 0, username="webby", password=secret("webby"))
    assert not any("auth_backend_failed" in line for line in broker.stderr), broker.tail()
    service.stop()


@mosquitto_differs(OTHER)
def test_no_secret_leaks(env):
    """No password and no token in logs, metrics or administration, whatever the service answers."""
    def judge(question):
        return {"webby": {"result": "allow"}, "garbage": (200, secret("echo").encode())}.get(question["user"],
                                                                                         {"result": "deny"})

    with LoginService(judge) as service:
        token = access.write_private(os.path.join(env.temporary(), "token"), secret("token"))
        broker = guarded(env, [{"http": {"url": service.url(), "token": f"file:{token}"}}],
                         flags=("--log-level", "debug"))
        for user, reason in (("webby", 0), ("garbage", UNAVAILABLE), ("other", WRONG)):
            attempt(env, broker, reason, username=user, password=secret(user))
        seen = "".join(broker.http(path)[1] for path in ("/metrics", "/api/v1/config", "/api/v1/clients"))
        with open(f"/proc/{broker.process.pid}/cmdline", "rb") as file:
            seen += file.read().decode()
        broker.stop()
        assert access.ALPHABET_FREE not in seen + "\n".join(broker.stderr)


@mosquitto_differs(OTHER)
def test_documented(env):
    """The example of docs/access.md works as it is written."""
    blocks = documented("An HTTP service")
    service, roles, config, remote = [text for language, text in blocks if language != "json"]
    folder, port = env.temporary(), free_port()
    put(folder, "roles.yaml", roles)
    process = subprocess.Popen([sys.executable, "-c", service.replace("8080", str(port))], stderr=subprocess.DEVNULL)
    try:
        broker = DocumentedBroker(env.brokers.binary, folder, config.replace("8080", str(port)))
        env.own_brokers.append(broker)
        broker.start()
        eventually(lambda: broker.publish("valve")[0] == 0, what="the service serves")
        code, said = broker.publish("wrong")
        assert code != 0 and "bad user name or password" in said, (code, said)
    finally:
        process.kill()
        process.wait(10)
    put(folder, "id-token", "x")
    put(folder, "id-ca.pem", "x")
    put(folder, "remote.yaml", remote + "authorizers: [{roles: {file: roles.yaml}}]\n")
    check = subprocess.run([env.brokers.binary, "--config", os.path.join(folder, "remote.yaml"), "--check-config"],
                           capture_output=True, text=True, timeout=20, check=False)
    assert check.returncode == 0, check.stderr
