"""Administration over TLS: who is let in, as whom, by which certificate; reload; peers that lie or say nothing."""
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

import yaml

import access
from access import secret
from harness import Broker, Certificates, eventually, free_port, mosquitto_differs
from reference import change_config, program

OTHER = "mosquitto has no administration"
ROLES = """trunkline: 1
clock: utc
users:
  viewer: {certificate: {cn: edge-7}, roles: [viewer]}
  boss: {roles: [boss]}
  nothing: {}
  gone: {disabled: true, roles: [boss]}
roles:
  viewer:
    rules:
      - {allow: admin, actions: [namespace/read, status/read, config/reload]}
      - {allow: subscribe, topic: "plant/a/#"}
  boss: {rules: [{allow: admin, actions: ["#"]}, {allow: [publish, subscribe], topic: "#"}]}
"""
AUTHORITY = """[ca]
default_ca = plant
[plant]
database = revoked
certificate = ca.crt
private_key = ca.key
new_certs_dir = .
serial = serial.ca
default_md = sha256
default_days = 30
policy = any
[any]
commonName = supplied
"""


class Plant(Certificates):
    """An authority of this test's own, which revokes and dates as it is told; `client` is edge-7 on it."""

    def __init__(self, folder):
        os.mkdir(folder)
        super().__init__(folder)
        for name, text in (("authority.cnf", AUTHORITY), ("revoked", ""), ("serial.ca", "1000\n")):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(text)
        for user in ("boss", "nothing", "gone", "unknown"):
            self.issue(user, "ca", user)
        self.list_revoked()

    def list_revoked(self, *more):
        self.openssl("ca", "-config", "authority.cnf", "-gencrl", "-out", "crl.new", *(more or ("-crldays", "30")))
        os.replace(self.path("crl.new"), self.path("crl.pem"))

    def revoke(self, name):
        self.openssl("ca", "-config", "authority.cnf", "-revoke", f"{name}.crt")
        self.list_revoked()

    def rename_server(self):
        """The server's certificate from now on has another name than the server."""
        self.issue("server", "ca", "server")
        with open(self.path("server.ext"), "w", encoding="ascii") as file:
            file.write("subjectAltName=DNS:elsewhere.example\n")
        self.openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2", "-out",
                     "server.crt", "-extfile", "server.ext")

    def issue_expired(self, name):
        self.issue(name, "ca", name)
        self.openssl("ca", "-config", "authority.cnf", "-batch", "-notext", "-in", f"{name}.csr", "-out", f"{name}.crt",
                     "-startdate", "20200101000000Z", "-enddate", "20210101000000Z")


def guarded(env, roles=ROLES, limits=None, tls=None, authenticators=("certificate",), **admin):
    """A broker whose administration has TLS, with `certificates` of its own and a token for everything."""
    certificates = Plant(os.path.join(env.temporary(), "tls")) if not hasattr(env, "plant") else env.plant
    env.plant = certificates
    path = certificates.path
    broker = Broker(env.brokers.binary, limits=limits, environment=env.brokers.environment)
    env.own_brokers.append(broker)
    broker.choose_ports()
    broker.certificates = certificates
    broker.roles = access.write_private(path("roles.yaml"), roles)
    tokens = access.write_private(path("tokens"), f"ops:{hashlib.sha256(secret('ops').encode()).hexdigest()}\n")
    entry = {"cert": path("server.crt"), "key": path("server.key"), "ca": path("ca.crt"), "crl": path("crl.pem")}
    broker.extra_config = {
        "admin": {"listen": f"127.0.0.1:{broker.admin_port}", "tokens_file": tokens, "tls": {**entry, **(tls or {})},
                  **admin},
        "authenticators": [*authenticators, "anonymous"], "authorizers": [{"roles": {"file": broker.roles}}]}
    # Of the harness, which asks whether the broker is ready: a certificate that is good whatever the test does
    certificates.issue("harness", "ca", "harness")
    broker.admin_context = certificates.context("harness")
    broker.admin_context.check_hostname = False
    return broker.start()


def ask(broker, path, certificate=None, token=None, method="GET", body=None, context=None, headers=()):
    """Status and JSON or text."""
    context = context or broker.certificates.context(certificate)
    connection = http.client.HTTPSConnection("localhost", broker.admin_port, timeout=15, context=context)
    headers = dict(headers)
    if token:
        headers["Authorization"] = "Bearer " + secret(token)
    with contextlib.closing(connection):
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if "json" in answer.getheader("Content-Type", "") else text


def refused_handshake(broker, certificate=None, context=None):
    """True where there is no answer because TLS has ended; with 1.3 that comes with the first read."""
    try:
        ask(broker, "/api/v1/status", certificate, context=context)
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        return True
    return False


def trunkctl(broker, *arguments, url=None, certificate=None, ca="ca", code=0, environment=None):
    """Both outputs of trunkctl, which must end with `code`."""
    path = broker.certificates.path
    more = ["--ca", path(f"{ca}.crt")] if ca else []
    if certificate:
        more += ["--cert", path(f"{certificate}.crt"), "--key", path(f"{certificate}.key")]
    where = [] if url == "" else ["--server", url or f"https://localhost:{broker.admin_port}"]
    bare = {"TRUNKLINE_SERVER": "", "TRUNKLINE_TOKEN": "", "XDG_CONFIG_HOME": os.path.join(broker.folder, "config")}
    done = subprocess.run([program(broker), *where, *more, *arguments], capture_output=True, text=True, timeout=30,
                          check=False, env={**os.environ, **bare, **(environment or {})}, stdin=subprocess.DEVNULL)
    assert done.returncode == code, f"{arguments}: exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def curl(broker, path, *arguments):
    done = subprocess.run(["curl", "-sS", "--max-time", "10", "--cacert", "ca.crt", *arguments,
                           f"https://localhost:{broker.admin_port}{path}"], capture_output=True, text=True, timeout=20,
                          check=False, cwd=broker.certificates.folder)
    return done.returncode, done.stdout + done.stderr


def logged(broker, *words):
    eventually(lambda: any(all(word in line for word in words) for line in list(broker.stderr)), 5, f"logged {words}")


def reload_success(broker, value):
    return lambda: f"\ntrunkline_config_last_reload_success {value}\n" in broker.http("/metrics")[1]


@mosquitto_differs(OTHER)
def test_clients_of_administration(env):
    """curl, trunkctl and Python by certificate and by token, over TLS 1.2 and 1.3 and not 1.1; watching; the
    certificate's end in status and metrics."""
    broker = guarded(env)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = env.plant.context("client", maximum=version)
        assert ask(broker, "/api/v1/status", context=context)[0] == 200, version
    old = env.plant.context("client")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    assert refused_handshake(broker, context=old)
    code, text = curl(broker, "/api/v1/status", "--cert", "boss.crt", "--key", "boss.key")
    assert code == 0 and json.loads(text)["healthy"], text
    code, text = curl(broker, "/api/v1/status", "-H", "Authorization: Bearer " + secret("ops"))
    assert code == 0 and json.loads(text)["healthy"], text
    shown = trunkctl(broker, "status", certificate="client")
    assert f"127.0.0.1:{broker.admin_port}" in shown and "certificate for another" in shown, shown
    (listener,) = [one for one in ask(broker, "/api/v1/status", "boss")[1]["listeners"] if "https" in one["url"]]
    metrics = broker.http("/metrics")[1]
    assert f'trunkline_tls_certificate_expiry_timestamp_seconds{{listener="{listener["url"]}"}} ' in metrics
    assert "trunkline_connections{" in metrics and 'protocol="https"' not in metrics
    # Whoever watches is told what comes, more than a record of TLS of it, and why the watch ends.
    watching = subprocess.Popen(
        ["curl", "-sSN", "--cacert", "ca.crt", "--cert", "client.crt", "--key", "client.key",
         f"https://localhost:{broker.admin_port}/api/v1/namespace/watch?filter=plant/a/%23"],
        cwd=env.plant.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert watching.stdout.readline() == ": watching\n"
        long = "x" * 100_000
        for payload in ("1", long):
            body = {"topic": "plant/a/t", "payload": payload, "qos": 1}
            assert ask(broker, "/api/v1/publish", "boss", method="POST", body=body)[0] == 200
        events = [json.loads(line[6:]) for line in (watching.stdout.readline() for _ in range(5))
                  if line.startswith("data: ")]
        assert [event["payload"] for event in events] == ["1", long]
        broker.stop()
        rest = watching.stdout.read()
        assert "event: end" in rest and "shutting down" in rest and watching.wait(5) == 0, rest
    finally:
        watching.kill()
        watching.wait()


@mosquitto_differs(OTHER)
def test_a_certificate_says_who_asks(env):
    """A certificate is the user that it is for clients, with that user's permissions on every route; a token goes
    before it, a wrong one, too; nobody gets 401; the trail has user and method."""
    broker = guarded(env)
    for certificate, token, status, config in (
            (None, None, 401, 401), ("client", None, 200, 403), ("boss", None, 200, 200), ("nothing", None, 403, 403),
            ("gone", None, 403, 403), ("unknown", None, 403, 403), ("nothing", "ops", 200, 200),
            ("boss", "wrong", 401, 401), ("unknown", "ops", 200, 200), (None, "ops", 200, 200)):
        for path, expected in (("/api/v1/status", status), ("/api/v1/config", config)):
            found, document = ask(broker, path, certificate, token)
            assert found == expected, (certificate, token, path, document)
            if found == 403:
                assert document["type"] == "urn:trunkline:problem:forbidden", document
                assert document["fix"] and document["identity"] == {"client": "viewer"}.get(certificate, certificate)
    assert "certificate" in ask(broker, "/api/v1/status")[1]["fix"]
    document = ask(broker, "/openapi.json")[1]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation.get("x-permission") in (None, "metrics/read"):
                continue
            target = path.replace("{id}", "1").replace("{n}", "1").replace("{name}", "x").replace("{sequence}", "0")
            assert ask(broker, target, "nothing", method=method.upper())[0] == 403, (method, path)
    ask(broker, "/api/v1/publish", "boss", method="POST", body={"topic": "plant/b", "payload": "1", "qos": 1})
    origin = {"Origin": "https://elsewhere.example"}   # a browser shows certificates to whatever page asks for it
    assert ask(broker, "/api/v1/publish", "boss", method="POST", body={}, headers=origin)[1]["type"].endswith("origin")
    records = ask(broker, "/api/v1/audit?action=publish", "boss")[1]["records"]
    assert [(one["actor"], one["method"]) for one in records] == [("boss", "certificate")], records
    denied = ask(broker, "/api/v1/audit?actor=nothing", "boss")[1]["records"]
    assert denied and all(one["method"] == "certificate" for one in denied), denied
    assert trunkctl(broker, "status", certificate="nothing", code=4).count("fix:") == 1
    assert "--cert FILE" in trunkctl(broker, "status", code=4)


@mosquitto_differs(OTHER)
def test_names_come_from_where_the_authenticator_says(env):
    """`source` and `known_only` of the certificate authenticator hold for administration, too."""
    broker = guarded(env, authenticators=({"certificate": {"source": "dns", "known_only": False}},),
                     roles=ROLES + "  local: {rules: [{allow: admin, actions: [status/read]}]}\n")
    found, document = ask(broker, "/api/v1/status", "boss")
    assert found == 403 and document["identity"] == "localhost", document   # all of them have that alternative name
    access.write_private(broker.roles, ROLES.replace("  nothing: {}", "  localhost: {roles: [viewer]}"))
    broker.process.send_signal(signal.SIGHUP)
    eventually(lambda: ask(broker, "/api/v1/status", "boss")[0] == 200, 5, "the user is there")
    assert ask(broker, "/api/v1/status", "client")[0] == 200   # mapped by its CN


@mosquitto_differs(OTHER)
def test_certificates_that_are_not_taken(env):
    """Of another authority, revoked, expired, none where one is demanded, a list of revoked ones that is too old: the
    handshake fails, the log says why, and trunkctl, with exit code 3, too."""
    env.plant = Plant(os.path.join(env.temporary(), "tls"))
    env.plant.issue_expired("expired")
    env.plant.issue("lost", "ca", "boss")
    env.plant.revoke("lost")
    broker = guarded(env, tls={"require_client_cert": True})
    for certificate, words in (("stranger", "issuer"), ("lost", "revoked"), ("expired", "expired"),
                               (None, "did not return a certificate")):
        assert refused_handshake(broker, certificate), certificate
        logged(broker, "handshake_failed", words, f"https://127.0.0.1:{broker.admin_port}")
        said = trunkctl(broker, "status", certificate=certificate, code=3)
        assert "--cert" in said, said
    assert ask(broker, "/api/v1/status", "boss")[0] == 200
    assert ask(broker, "/api/v1/status", "boss", token="ops")[0] == 200
    env.plant.list_revoked("-crlsec", "1")
    time.sleep(1.1)
    broker.process.send_signal(signal.SIGHUP)
    eventually(lambda: refused_handshake(broker, "boss"), 5, "an old list refuses")
    logged(broker, "handshake_failed", "CRL has expired")


@mosquitto_differs(OTHER)
def test_reload(env):
    """SIGHUP and `config reload` put new certificates in force for new connections, and files that are no good leave
    the old ones there and say so; who is revoked loses connections and watches that last."""
    broker = guarded(env)
    path = env.plant.path

    def certificate():
        with env.plant.context().wrap_socket(socket.create_connection(("localhost", broker.admin_port), 5),
                                             server_hostname="localhost") as sock:
            return sock.getpeercert(True)
    first = certificate()
    env.plant.issue("server", "ca", "renewed")
    broker.process.send_signal(signal.SIGHUP)
    eventually(lambda: certificate() != first, 5, "the new certificate is shown")
    second = certificate()
    env.plant.issue("server", "ca", "again")
    assert json.loads(trunkctl(broker, "-o", "json", "config", "reload", certificate="client"))["ok"]
    third = certificate()
    assert third not in (first, second)

    shutil.copy(path("server.crt"), path("good.crt"))
    for bad in ("no certificate\n", open(path("client.crt"), encoding="ascii").read()):   # nor one of another key
        access.write_private(path("server.crt"), bad)
        said = trunkctl(broker, "config", "reload", certificate="client", code=1)
        assert "server." in said and "the certificate that was in force stays" in said, said
        broker.process.send_signal(signal.SIGHUP)
        eventually(reload_success(broker, 0), 5, "the reload failed")
        assert certificate() == third
    logged(broker, "tls_reload_failed", f"https://127.0.0.1:{broker.admin_port}")
    shutil.copy(path("good.crt"), path("server.crt"))
    change_config(broker, lambda config: config["admin"]["tls"].update(min_version="1.3"))
    document = json.loads(trunkctl(broker, "-o", "json", "config", "reload", certificate="client"))
    assert document["ok"] and "admin.tls" in document["changed"] and not document["needs_restart"], document
    try:
        ask(broker, "/healthz", context=env.plant.context(maximum=ssl.TLSVersion.TLSv1_2))
        raise AssertionError("TLS 1.2 is taken")
    except ssl.SSLError:
        pass

    lasting = http.client.HTTPSConnection("localhost", broker.admin_port, timeout=10,
                                          context=env.plant.context("client"))
    watching = http.client.HTTPSConnection("localhost", broker.admin_port, timeout=10,
                                           context=env.plant.context("client"))
    with contextlib.closing(lasting), contextlib.closing(watching):
        def status():
            lasting.request("GET", "/api/v1/status")
            answer = lasting.getresponse()
            return answer.status, answer.read().decode()
        assert status()[0] == 200
        watching.request("GET", "/api/v1/namespace/watch?filter=plant/a/%23")
        events = watching.getresponse()
        assert events.readline() == b": watching\n"
        env.plant.revoke("client")
        broker.process.send_signal(signal.SIGHUP)
        rest = events.read().decode()
        assert "event: end" in rest and "certificate revoked" in rest, rest
        code, text = status()
        assert code == 401 and "certificate revoked" in text, text
        try:
            assert status()[0] is None
        except (ssl.SSLError, ConnectionError, http.client.HTTPException):
            pass
    change_config(broker, lambda config: config["admin"].pop("tls"))
    document = ask(broker, "/api/v1/config/reload", token="ops", method="POST")[1]
    assert "admin.tls" in document["needs_restart"], document
    assert ask(broker, "/api/v1/status")[0] == 401   # nothing has been opened by it
    broker.stop()


@mosquitto_differs(OTHER)
def test_peers_that_lie_or_say_nothing(env):
    """HTTP without TLS gets an answer that says so; noise, half a handshake and silence are cut, at the deadline at the
    latest; many who say nothing keep nobody out; and the broker stops at once while they hang on."""
    broker = guarded(env, limits={"connect_timeout_ms": 1000})
    connection = http.client.HTTPConnection("127.0.0.1", broker.admin_port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/api/v1/status")
        answer = connection.getresponse()
        document = json.loads(answer.read())
        assert answer.status == 400 and document["type"].endswith("tls-expected") and "https" in str(document)

    def connected(data=b""):
        sock = socket.create_connection(("127.0.0.1", broker.admin_port), 5)
        sock.sendall(data)
        return sock

    def cut(sock, seconds):
        started = time.monotonic()
        sock.settimeout(seconds + 5)
        with sock, contextlib.suppress(ConnectionError):
            while sock.recv(1000):
                pass
        assert time.monotonic() - started < seconds
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    silent = [connected(data) for data in (b"", hello, hello[:1])]
    for noise in (os.urandom(100), b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"\x80" * 300, b"GET"):
        cut(connected(noise), 4)
    for sock in silent:
        cut(sock, 4)
    crowd = [connected() for _ in range(400)]
    try:
        for _ in range(3):
            assert ask(broker, "/api/v1/status", "boss")[0] == 200
        drip = connected()
        with contextlib.suppress(ConnectionError):
            for byte in hello + bytes(200):
                drip.send(bytes([byte]))
                time.sleep(0.02)
            raise AssertionError("a handshake byte by byte goes on for ever")
        idle = [connected() for _ in range(20)]
        handshaken = env.plant.context("boss").wrap_socket(connected(), server_hostname="localhost")
        assert broker.stop() < 5
        assert handshaken.recv(100) == b""   # ended in order: no truncation
        for sock in (*idle, handshaken):
            sock.close()
    finally:
        for sock in crowd:
            sock.close()


@mosquitto_differs(OTHER)
def test_trunkctl_says_what_to_do(env):
    """A broker that is not trusted, has another name, speaks no TLS or speaks it: exit code 3, and the option that
    mends it; files that are none: 2. A context keeps its certificate, and shows it to its own broker only."""
    broker = guarded(env)
    port = broker.admin_port
    assert "--ca FILE" in trunkctl(broker, "status", ca=None, code=3)
    assert "(--ca)" in trunkctl(broker, "status", ca="stranger-ca", code=3)
    assert "write https://" in trunkctl(broker, "status", url=f"http://127.0.0.1:{port}", ca=None, code=3)
    env.plant.rename_server()
    other = guarded(env)
    for name in ("localhost", "127.0.0.1"):
        said = trunkctl(other, "status", url=f"https://{name}:{other.admin_port}", certificate="boss", code=3)
        assert f"not for the name {name}" in said and "--server" in said, said
    plain = env.own_broker()
    plain.certificates = env.plant
    assert "write http://" in trunkctl(plain, "status", code=3)
    assert "https" in trunkctl(plain, "status", url=f"127.0.0.1:{plain.admin_port}", code=2)
    for arguments in (("--key", "x"), ("--cert", "/nowhere"), ("--cert", env.plant.path("ca.key"))):
        trunkctl(broker, *arguments, "status", code=2)
    trunkctl(broker, "status", ca="nowhere", code=2)

    path = env.plant.path
    trunkctl(broker, "context", "add", "plant", "--server", f"https://127.0.0.1:{port}", "--ca", path("ca.crt"),
             "--cert", path("boss.crt"), "--key", path("boss.key"), url="", ca=None)
    trunkctl(broker, "status", url="", ca=None)
    trunkctl(broker, "--cert", path("nothing.crt"), "--key", path("nothing.key"), "status", url="", ca=None, code=4)
    (listed,) = json.loads(trunkctl(broker, "-o", "json", "context", "ls", url="", ca=None))
    assert listed["cert"] == path("boss.crt") and listed["ca"] == path("ca.crt"), listed
    trunkctl(broker, "status", code=4)   # not the context's broker by name: nothing of it is shown
    trunkctl(broker, "context", "add", "odd", "--server", "127.0.0.1:1", "--ca", path("ca.crt"), url="", ca=None,
             code=2)
    files = {"TRUNKLINE_CA": path("ca.crt"), "TRUNKLINE_CERT": path("both.pem")}
    with open(path("both.pem"), "w", encoding="ascii") as both:
        both.write(open(path("boss.crt"), encoding="ascii").read() + open(path("boss.key"), encoding="ascii").read())
    trunkctl(broker, "status", ca=None, environment=files)


@mosquitto_differs(OTHER)
def test_a_witness_behind_tls(env):
    """Another broker keeps checkpoints over https; one that is not trusted, or has another name, gets none."""
    other = guarded(env)
    env.plant.rename_server()
    renamed = guarded(env)
    token = access.write_private(env.plant.path("ops.token"), secret("ops") + "\n")
    url = f"https://localhost:{other.admin_port}"
    broker = env.own_broker(extra_config={"audit": {"checkpoint_interval": "100ms", "witnesses": [
        {"trunkline": url, "token_file": token, "ca": env.plant.path("ca.crt")},
        {"trunkline": url, "token_file": token, "ca": env.plant.path("stranger-ca.crt")},
        {"trunkline": f"https://localhost:{renamed.admin_port}", "token_file": token,
         "ca": env.plant.path("ca.crt")}]}})

    def witnesses():
        return json.loads(broker.http("/api/v1/audit/status")[1])["witnesses"]
    eventually(lambda: witnesses()[0]["delivered"] > 0, 10, "delivered")
    eventually(lambda: all(one.get("last_error") for one in witnesses()[1:]), 10, "refused")
    good, stranger, elsewhere = witnesses()
    assert "last_error" not in good and stranger["delivered"] == elsewhere["delivered"] == 0
    assert "certificate" in stranger["last_error"] and "mismatch" in elsewhere["last_error"], (stranger, elsewhere)
    assert os.listdir(os.path.join(other.data, "audit", "witnessed"))


@mosquitto_differs(OTHER)
def test_prometheus_scrapes_over_https(env):
    """Python reads /metrics over https, and a real Prometheus scrapes it with tls_config and a client certificate."""
    broker = guarded(env, metrics_without_token=False,
                     roles=ROLES + "  scraper: {rules: [{allow: admin, actions: [metrics/read]}]}\n"
                     .replace("scraper", "scrape"))
    assert ask(broker, "/metrics")[0] == 401 and ask(broker, "/metrics", "client")[0] == 403
    status, text = ask(broker, "/metrics", "boss")
    assert status == 200 and "trunkline_ready 1" in text
    port, path = free_port(), env.plant.path
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [{
        "job_name": "trunkline", "scheme": "https", "static_configs": [{"targets": [f"localhost:{broker.admin_port}"]}],
        "tls_config": {"ca_file": path("ca.crt"), "cert_file": path("boss.crt"), "key_file": path("boss.key")}}]}
    file = os.path.join(env.temporary(), "prometheus.yml")
    with open(file, "w", encoding="utf-8") as out:
        yaml.safe_dump(config, out)
    with open(file + ".log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(["prometheus", f"--config.file={file}", "--log.level=warn",
                                    f"--storage.tsdb.path={env.temporary()}/tsdb",
                                    f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log, env={**os.environ, "GOMAXPROCS": "1"})

    def up():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            connection.request("GET", "/api/v1/query?query=up")
            return json.load(connection.getresponse())["data"]["result"][0]["value"][1] == "1"
        return False
    try:
        eventually(up, 30, "Prometheus scrapes")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
