"""Other people's clients: mosquitto_pub and mosquitto_sub, Paho, MQTT.js, over TCP, TLS and WebSocket."""
import fcntl
import os
import queue
import re
import subprocess
import threading
import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from harness import Certificates, mosquitto_differs, versions
from mqttcodec import V31, V311, V5

HERE = os.path.dirname(os.path.abspath(__file__))
NO_WEBSOCKETS = "Debian's build has no WebSockets"

# ---------------------------------------------------------------- mosquitto_pub, mosquitto_sub


class MosquittoClients:
    """The two programs against one listener."""

    def __init__(self, env, listener, version):
        self.env, self.version = env, {V31: "31", V311: "311", V5: "5"}[version]
        if listener == "unix":
            self.target = ["--unix", env.broker.unix_path]
        else:
            self.target = ["-h", "localhost", "-p", str(env.broker.ports[listener])]
            if listener == "mqtts":
                self.target += ["--cafile", env.broker.certificates.path("ca.crt")]

    def pub(self, *arguments, **kwargs):
        done = subprocess.run(["mosquitto_pub", *self.target, "-V", self.version, *arguments], capture_output=True,
                              text=True, timeout=30, check=False, **kwargs)
        assert done.returncode == 0 and not done.stderr.strip(), f"mosquitto_pub {arguments}: {done}"

    def sub(self, *arguments):
        """A subscriber that is subscribed when this returns (it prints the SUBACK with -d)."""
        command = ["stdbuf", "-oL", "mosquitto_sub", *self.target, "-V", self.version, "-d", "-W", "20", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Subscribed"):
                return process
        raise AssertionError(f"mosquitto_sub {arguments} did not subscribe: {lines}")

    @staticmethod
    def output(process):
        """What was received: all that -d did not add."""
        text, _ = process.communicate(timeout=30)
        return [line for line in text.splitlines() if not re.match(r"(Client |Subscribed|Timed out$)", line)]

    def collect(self, *arguments):
        """The output of a subscriber that ends by itself."""
        done = subprocess.run(["mosquitto_sub", *self.target, "-V", self.version, "-W", "20", *arguments], timeout=30,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"mosquitto_sub {arguments}: {done}"
        return done.stdout.splitlines()

    def received(self, process, code=0):
        lines = self.output(process)
        assert process.returncode == code, f"exit {process.returncode}: {lines}"
        return lines


@versions(V31, V311, V5)
def test_mosquitto_qos_and_retain(env, version):
    """Each QoS over TCP, TLS and the Unix socket; retained messages; removal."""
    for listener in ("mqtt", "mqtts", "unix"):
        clients = MosquittoClients(env, listener, version)
        topic = env.topic(f"{listener}/{version}")
        subscriber = clients.sub("-t", topic + "/#", "-q", "2", "-C", "3", "-F", "%t %q %p")
        for qos in "012":
            clients.pub("-t", f"{topic}/{qos}", "-q", qos, "-m", f"at {qos}")
        got = sorted(clients.received(subscriber))
        assert got == [f"{topic}/{qos} {qos} at {qos}" for qos in "012"], got
        clients.pub("-t", topic, "-m", "kept", "-r", "-q", "1")
        assert clients.collect("-t", topic, "-C", "1", "-F", "%r %p") == ["1 kept"]
        clients.pub("-t", topic, "-n", "-r", "-q", "1")
        assert clients.received(clients.sub("-t", topic, "-W", "1"), 27) == []


@versions(V311, V5)
def test_mosquitto_session_and_will(env, version):
    """A persistent session collects while away; a killed client's will goes out."""
    clients = MosquittoClients(env, "mqtt", version)
    keep = ["-i", env.id("keeper"), "-c", "-q", "1"] + (["-x", "60"] if version == V5 else [])
    topic = env.topic("session")
    first = clients.sub("-t", topic, *keep)
    first.terminate()
    first.wait(10)
    first.stdout.close()
    for number in range(3):
        clients.pub("-t", topic, "-q", "1", "-m", str(number))
    assert clients.collect("-t", topic, *keep, "-C", "3") == ["0", "1", "2"]
    watch = clients.sub("-t", env.topic("will"), "-C", "1")
    doomed = clients.sub("-t", env.topic("x"), "--will-topic", env.topic("will"), "--will-payload", "gone",
                         "--will-qos", "1")
    doomed.kill()
    doomed.wait(10)
    doomed.stdout.close()
    assert clients.received(watch) == ["gone"]


def test_mosquitto_properties(env):
    """Properties of 5.0 from mosquitto_pub to mosquitto_sub."""
    clients = MosquittoClients(env, "mqtt", V5)
    subscriber = clients.sub("-t", env.topic(), "-C", "1", "-F", "%C|%D|%E|%P|%R|%p")
    clients.pub("-t", env.topic(), "-m", "text", "-D", "publish", "content-type", "text/plain", "-D", "publish",
                "correlation-data", "c7", "-D", "publish", "message-expiry-interval", "90", "-D", "publish",
                "user-property", "b", "1", "-D", "publish", "user-property", "a", "2", "-D", "publish",
                "response-topic", "answer/here")
    (line,) = clients.received(subscriber)
    kind, correlation, expiry, user, response, payload = line.split("|")
    assert (kind, correlation, response, payload) == ("text/plain", "c7", "answer/here", "text"), line
    assert expiry in ("89", "90") and user.split() == ["b:1", "a:2"], line


@versions(V311, V5)
def test_mosquitto_shared_and_big(env, version):
    """Two members share; a payload of 900 kB in a file; 1,000 lines through one publisher in order."""
    clients = MosquittoClients(env, "mqtt", version)
    members = [clients.sub("-t", f"$share/g/{env.topic('s')}", "-q", "1", "-W", "3") for _ in range(2)]
    for number in range(6):
        clients.pub("-t", env.topic("s"), "-q", "1", "-m", str(number))
    got = [clients.output(member) for member in members]
    assert sorted(got[0] + got[1]) == list("012345") and all(got), got
    path = os.path.join(env.temporary(), "big")
    with open(path, "w", encoding="ascii") as file:
        file.write("0123456789" * 90_000)
    subscriber = clients.sub("-t", env.topic("big"), "-q", "2", "-C", "1", "-F", "%l")
    clients.pub("-t", env.topic("big"), "-q", "2", "-f", path)
    assert clients.received(subscriber) == ["900000"]
    subscriber = clients.sub("-t", env.topic("lines"), "-q", "1", "-C", "1000")
    lines = [str(number) for number in range(1000)]
    clients.pub("-t", env.topic("lines"), "-q", "1", "-l", input="\n".join(lines) + "\n")
    assert clients.received(subscriber) == lines


# ---------------------------------------------------------------- Paho

class Paho:
    """A Paho client with blocking calls."""

    def __init__(self, env, listener, version, client_id, clean=True, keep=False, will=None, properties=None):
        self.messages, self.events, self.version = queue.Queue(), queue.Queue(), version
        arguments = {"client_id": client_id, "protocol": version,
                     "transport": "websockets" if "ws" in listener else "tcp"}
        if version != V5:
            arguments["clean_session"] = clean
        self.client = paho.Client(**arguments)
        if listener in ("mqtts", "wss"):
            self.client.tls_set(ca_certs=env.broker.certificates.path("ca.crt"))
        if will:
            self.client.will_set(*will)
        self.client.on_connect = lambda client, data, flags, reason, props=None: self.events.put((flags, reason, props))
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_subscribe = lambda client, data, mid, granted, props=None: self.events.put(granted)
        self.client.on_unsubscribe = lambda client, data, mid, *more: self.events.put(mid)
        connect = {}
        if version == V5:
            props = properties or Properties(PacketTypes.CONNECT)
            if keep:
                props.SessionExpiryInterval = 60
            connect = {"clean_start": clean, "properties": props}
        self.client.connect("localhost", env.broker.ports[listener], keepalive=30, **connect)
        self.client.loop_start()
        self.flags, self.reason, self.connack = self.events.get(timeout=10)
        assert int(getattr(self.reason, "value", self.reason)) == 0, self.reason

    def subscribe(self, *arguments, **kwargs):
        self.client.subscribe(*arguments, **kwargs)
        return [int(getattr(code, "value", code)) for code in self.events.get(timeout=10)]

    def publish(self, topic, payload=b"", qos=0, retain=False, properties=None):
        info = self.client.publish(topic, payload, qos, retain, **({"properties": properties} if properties else {}))
        info.wait_for_publish(10)
        assert info.is_published(), f"{topic} at QoS {qos} was not acknowledged"

    def message(self, timeout=10):
        return self.messages.get(timeout=timeout)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def drop(self):
        """Breaks the connection without a DISCONNECT."""
        self.client.loop_stop()
        self.client._sock.close()  # pylint: disable=protected-access


def paho_tour(env, listener, version):
    """Everything that a Paho client can do over one listener."""
    name = lambda tag: env.id(f"{listener}{version}{tag}")  # noqa: E731
    topic = lambda tag: env.topic(f"{listener}/{version}/{tag}")  # noqa: E731
    client = Paho(env, listener, version, name("a"))
    for qos in (0, 1, 2):
        assert client.subscribe(topic(qos), qos) == [qos]
        client.publish(topic(qos), f"at {qos}", qos)
        found = client.message()
        assert (found.payload, found.qos) == (f"at {qos}".encode(), qos)
    client.publish(topic("kept"), b"kept", 1, True)
    client.subscribe(topic("kept"), 1)
    found = client.message()
    assert found.payload == b"kept" and found.retain
    client.publish(topic("kept"), b"", 1, True)
    client.message()
    client.subscribe(topic("big"), 2)
    for qos in (0, 1, 2):
        payload = bytes([65 + qos]) * 900_000
        client.publish(topic("big"), payload, qos)
        assert client.message().payload == payload
    client.subscribe(topic("will"), 1)
    Paho(env, listener, version, name("w"), will=(topic("will"), b"gone", 1, False)).drop()
    assert client.message().payload == b"gone"
    paho_session(env, listener, version, client, name("s"), topic("session"))
    members = [Paho(env, listener, version, name(f"m{number}")) for number in range(2)]
    for member in members:
        member.subscribe("$share/g/" + topic("shared"), 1)
    for number in range(20):
        client.publish(topic("shared"), str(number), 1)
    deadline = time.monotonic() + 5
    while sum(member.messages.qsize() for member in members) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    shares = [[int(member.message().payload) for _ in range(member.messages.qsize())] for member in members]
    assert sorted(shares[0] + shares[1]) == list(range(20)) and all(shares), shares
    for each in (*members, client):
        each.close()


def paho_session(env, listener, version, publisher, client_id, topic):
    session = Paho(env, listener, version, client_id, clean=False, keep=True)
    session.subscribe(topic, 2)
    session.close()
    for number in range(1, 4):
        publisher.publish(topic, str(number), number % 2 + 1)
    session = Paho(env, listener, version, client_id, clean=False, keep=True)
    assert session.flags["session present"] == 1
    assert sorted(session.message().payload for _ in range(3)) == [b"1", b"2", b"3"]
    session.close()


@versions(V311, V5)
def test_paho_over_tcp(env, version):
    """Paho over TCP."""
    paho_tour(env, "mqtt", version)


@versions(V311, V5)
def test_paho_over_tls(env, version):
    """Paho over TLS."""
    paho_tour(env, "mqtts", version)


@versions(V311, V5)
@mosquitto_differs(NO_WEBSOCKETS)
def test_paho_over_websocket(env, version):
    """Paho over WebSocket."""
    paho_tour(env, "ws", version)


@versions(V311, V5)
@mosquitto_differs(NO_WEBSOCKETS)
def test_paho_over_websocket_with_tls(env, version):
    """Paho over WSS."""
    paho_tour(env, "wss", version)


def test_paho_properties(env):
    """Properties of 5.0 there and back, subscription options and identifiers."""
    client = Paho(env, "mqtt", V5, env.id("p"))
    wanted = Properties(PacketTypes.SUBSCRIBE)
    wanted.SubscriptionIdentifier = 4711
    client.client.subscribe(env.topic(), options=SubscribeOptions(qos=1, retainAsPublished=True), properties=wanted)
    client.events.get(timeout=10)
    sent = Properties(PacketTypes.PUBLISH)
    sent.PayloadFormatIndicator, sent.MessageExpiryInterval, sent.ContentType = 1, 77, "text/plain"
    sent.ResponseTopic, sent.CorrelationData = "answer", b"\0\xff"
    sent.UserProperty = [("b", "1"), ("a", "2"), ("b", "1")]
    client.publish(env.topic(), "text", 1, True, sent)
    found = client.message()
    got = found.properties
    assert (got.PayloadFormatIndicator, got.ContentType, got.ResponseTopic) == (1, "text/plain", "answer")
    assert got.CorrelationData == b"\0\xff" and got.UserProperty == [("b", "1"), ("a", "2"), ("b", "1")]
    assert got.SubscriptionIdentifier == [4711] and got.MessageExpiryInterval in (76, 77) and found.retain
    client.publish(env.topic(), b"", 1, True)
    client.close()


# ---------------------------------------------------------------- MQTT.js

_install = threading.Lock()


def mqttjs_folder():
    """The folder with MQTT.js, installed from the committed lock file when it is not there yet."""
    folder = os.path.join(HERE, "mqttjs")
    with _install, open(os.path.join(folder, "package-lock.json"), encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(os.path.join(folder, "node_modules", "mqtt")):
            done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True,
                                  timeout=300, check=False)
            assert done.returncode == 0, f"npm ci: {done.stderr[-2000:]}"
    return folder


def mqttjs(env, listener, version):
    folder = mqttjs_folder()
    url = f"{listener}://localhost:{env.broker.ports[listener]}" + ("/mqtt" if "ws" in listener else "")
    arguments = ["node", "scenario.js", url, str(version), env.topic("js").replace("/", "-") + f"-{listener}{version}"]
    if listener in ("mqtts", "wss"):
        arguments.append(Certificates.shared().path("ca.crt"))
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    failures = [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
    assert done.returncode == 0 and not failures, "\n".join(failures + [done.stderr[-2000:]])
    assert done.stdout.count("ok ") >= 7, done.stdout


@versions(V311, V5)
def test_mqttjs_over_tcp(env, version):
    """MQTT.js over TCP."""
    mqttjs(env, "mqtt", version)


@versions(V311, V5)
def test_mqttjs_over_tls(env, version):
    """MQTT.js over TLS."""
    mqttjs(env, "mqtts", version)


@versions(V311, V5)
@mosquitto_differs(NO_WEBSOCKETS)
def test_mqttjs_over_websocket(env, version):
    """MQTT.js over WebSocket."""
    mqttjs(env, "ws", version)


@versions(V311, V5)
@mosquitto_differs(NO_WEBSOCKETS)
def test_mqttjs_over_websocket_with_tls(env, version):
    """MQTT.js over WSS."""
    mqttjs(env, "wss", version)
