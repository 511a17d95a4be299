"""Broker processes for tests, and what a test gets to work with (Env).

A broker is `trunkline`, or Debian's `mosquitto` as a stand-in with which the tests themselves are checked.
"""
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import mqttcodec as codec
import rawmqtt

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START_SECONDS = 15.0
STOP_SECONDS = 10.0

# What the profiles are: brokers that tests share. `limits` are keys of the broker's configuration.
PROFILES = {
    "main": {"listeners": ("mqtt", "mqtts", "ws", "wss", "unix")},
    "edge": {"listeners": ("mqtt", "mqtts", "ws", "mtls", "mtls_optional", "proxy"),
             "limits": {"connect_timeout_ms": 1000},
             # whom a PROXY header calls remote is no anonymous client of loopback any more
             "extra_config": {"allow_anonymous": True}},
}
# Hundreds of refused connects a second from one address are the tests' daily work, not an attack.
GENEROUS = {"connect_rate": 10_000_000, "connect_failures_per_address": 10_000_000}


def default_broker():
    for folder in ("release", "debug", "asan"):
        path = os.path.join(ROOT, "build", folder, "bin", "trunkline")
        if os.access(path, os.X_OK):
            return path
    return os.path.join(ROOT, "build", "release", "bin", "trunkline")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Certificates:
    """A throw-away authority with a server certificate for localhost and two client certificates."""

    _lock = threading.Lock()
    _shared = None

    @classmethod
    def shared(cls):
        with cls._lock:
            if cls._shared is None:
                cls._shared = cls(tempfile.mkdtemp(prefix="trunkline-e2e-tls-"))
            return cls._shared

    @classmethod
    def remove_shared(cls):
        if cls._shared:
            shutil.rmtree(cls._shared.folder, ignore_errors=True)

    def __init__(self, folder):
        self.folder = folder
        self.authority("ca")
        self.authority("stranger-ca")
        self.issue("server", "ca", "localhost")
        self.issue("client", "ca", "edge-7")
        self.issue("stranger", "stranger-ca", "stranger")

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *arguments):
        subprocess.run(("openssl",) + arguments, cwd=self.folder, check=True, capture_output=True, timeout=60)

    def authority(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                     "-days", "2", "-subj", f"/CN=test {name}", "-keyout", f"{name}.key", "-out", f"{name}.crt",
                     "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, authority, common_name):
        """A key and certificate `name`.key, `name`.crt; also used to replace one."""
        with open(self.path(f"{name}.ext"), "w", encoding="ascii") as file:
            file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                     "-subj", f"/CN={common_name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
                     "-CAcreateserial", "-days", "2", "-out", f"{name}.crt", "-extfile", f"{name}.ext")

    def context(self, client=None, maximum=None):
        context = ssl.create_default_context(cafile=self.path("ca.crt"))
        if client:
            context.load_cert_chain(self.path(f"{client}.crt"), self.path(f"{client}.key"))
        if maximum:
            context.maximum_version = maximum
        return context


class Broker:
    """One broker process on free loopback ports with a data directory of its own."""

    def __init__(self, binary, listeners=("mqtt",), limits=None, extra_config=None, environment=None, wrap=(),
                 flags=(), config=True):
        self.binary, self.listeners, self.limits = binary, tuple(listeners), dict(limits or {})
        self.extra_config, self.environment, self.wrap = extra_config or {}, environment or {}, tuple(wrap)
        self.flags, self.with_config = tuple(flags), config
        self.is_mosquitto = "mosquitto" in os.path.basename(binary)
        self.folder = tempfile.mkdtemp(prefix="trunkline-e2e-")
        self.data = os.path.join(self.folder, "data")
        self.unix_path = os.path.join(self.folder, "mqtt.sock")
        self.ports, self.admin_port = {}, free_port()
        self.admin_context = None   # of TLS, where administration has it
        self.process, self.stderr, self.reader = None, [], None
        self.certificates = Certificates.shared() if any(
            name in ("mqtts", "wss", "mtls", "mtls_optional") for name in listeners) else None

    # ---- configuration

    def choose_ports(self):
        self.ports = {name: free_port() for name in self.listeners if name != "unix"}
        self.admin_port = free_port()

    def listener(self, name):
        if name == "unix":
            return {"url": f"unix:{self.unix_path}"}
        scheme = {"mtls": "mqtts", "mtls_optional": "mqtts", "proxy": "mqtt"}.get(name, name)
        entry = {"url": f"{scheme}://127.0.0.1:{self.ports[name]}"}
        if scheme in ("mqtts", "wss"):
            path = self.certificates.path
            entry["tls"] = {"cert": path("server.crt"), "key": path("server.key")}
            if name.startswith("mtls"):
                entry["tls"].update(ca=path("ca.crt"), require_client_cert=name == "mtls")
        if name == "proxy":
            entry["proxy_protocol"] = True
        return entry

    def command(self):
        os.makedirs(self.data, exist_ok=True)
        if self.is_mosquitto:
            path = os.path.join(self.folder, "mosquitto.conf")
            with open(path, "w", encoding="ascii") as file:
                file.write(self.mosquitto_config())
            return [self.binary, "-c", path]
        command = [*self.wrap, self.binary]
        if self.with_config:
            path = os.path.join(self.folder, "trunkline.yaml")
            document = {"data": self.data, "admin": {"listen": f"127.0.0.1:{self.admin_port}"},
                        "listeners": [self.listener(name) for name in self.listeners], **self.extra_config}
            document["limits"] = {**GENEROUS, **self.limits}
            with open(path, "w", encoding="ascii") as file:
                json.dump(document, file, indent=1)  # JSON is YAML
            command += ["--config", path]
        else:
            command += ["--data", self.data, "--admin", f"127.0.0.1:{self.admin_port}"]
            for name in self.listeners:
                command += ["--listen", self.listener(name)["url"]]
        return command + list(self.flags)

    def mosquitto_config(self):
        lines = ["per_listener_settings false", "allow_anonymous true", "persistence true",
                 f"persistence_location {self.data}/", "max_inflight_messages 1024", "max_queued_messages 0",
                 "set_tcp_nodelay true", "sys_interval 1", "user root", "max_keepalive 3600",
                 "max_packet_size 1048576"]
        for name in self.listeners:
            if name == "unix":
                lines.append(f"listener 0 {self.unix_path}")
                continue
            if name in ("ws", "wss", "proxy"):
                continue  # Debian's build has neither
            lines += [f"listener {self.ports[name]} 127.0.0.1", "max_topic_alias 64"]
            if name in ("mqtts", "mtls", "mtls_optional"):
                path = self.certificates.path
                lines += [f"certfile {path('server.crt')}", f"keyfile {path('server.key')}"]
                if name == "mtls":
                    lines += [f"cafile {path('ca.crt')}", "require_certificate true"]
        return "\n".join(lines) + "\n"

    # ---- life

    def start(self):
        """Starts the process and waits until it serves. Ports are chosen anew if one was taken in between."""
        for attempt in range(4):
            if not self.ports:
                self.choose_ports()
            self.launch()
            try:
                self.wait_ready()
                return self
            except RuntimeError as error:
                self.kill()
                if attempt == 3 or "in use" not in str(error).lower():
                    raise
                self.ports = {}
        return self

    def launch(self):
        with contextlib.suppress(OSError):
            os.unlink(self.unix_path)
        self.stderr = []
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, cwd=self.folder, text=True, errors="replace",
                                        env={**os.environ, **self.environment})
        self.reader = threading.Thread(target=self.collect, args=(self.process, self.stderr), daemon=True)
        self.reader.start()

    @staticmethod
    def collect(process, lines):
        for line in process.stderr:
            lines.append(line.rstrip("\n"))

    def wait_ready(self, seconds=START_SECONDS):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.reader.join(2)
                raise RuntimeError(f"broker exited with {self.process.returncode}: {self.tail()}")
            if self.is_mosquitto:
                if self.port_open():
                    return
            elif any(line.rstrip().endswith("trunkline: ready") for line in self.stderr):
                status = self.http("/readyz")[0]
                if status != 200:
                    raise RuntimeError(f"printed 'trunkline: ready' but GET /readyz is {status}")
                return
            time.sleep(0.01)
        raise RuntimeError(f"broker not ready in {seconds} s: {self.tail()}")

    def port_open(self):
        """True when the stand-in listens on all of its ports."""
        for name, port in self.ports.items():
            if name not in ("ws", "wss", "proxy"):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except OSError:
                    return False
        return True

    def tail(self, lines=30):
        return "\n".join(self.stderr[-lines:])

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """SIGTERM; the exit code and the seconds it took. The exit code must be 0."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM did not stop the broker in {STOP_SECONDS} s: {self.tail()}") from None
        self.reader.join(2)
        assert code == 0, f"exit code {code} after SIGTERM: {self.tail()}"
        return time.monotonic() - started

    def kill(self):
        """kill -9; returns when the process is gone."""
        if self.alive():
            self.process.kill()
        if self.process:
            self.process.wait(STOP_SECONDS)
            self.reader.join(2)

    def remove(self):
        with contextlib.suppress(Exception):
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.remove()

    # ---- looking at it

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def http(self, path, method="GET", body=None, timeout=5):
        """(status, text) from the admin listener; status 0 when it can't be reached."""
        scheme = "https" if self.admin_context else "http"
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{self.admin_port}{path}", method=method, data=body)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self.admin_context) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)

    # ---- connections

    def socket(self, listener="mqtt"):
        if listener == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(rawmqtt.TIMEOUT)
            sock.connect(self.unix_path)
            return sock
        sock = socket.create_connection(("127.0.0.1", self.ports[listener]), rawmqtt.TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def transport(self, listener="mqtt", certificate=None, **upgrade):
        """A connected transport: TCP, TLS, WebSocket or Unix socket, by the listener's name."""
        sock = self.socket(listener)
        if listener in ("mqtts", "wss", "mtls", "mtls_optional"):
            sock = self.certificates.context(certificate).wrap_socket(sock, server_hostname="localhost")
        return rawmqtt.WebSocket(sock, **upgrade) if listener in ("ws", "wss") else sock


class Brokers:
    """The shared brokers of a run, started when first needed."""

    def __init__(self, binary, environment=None):
        self.binary, self.environment, self.lock, self.running = binary, environment or {}, threading.Lock(), {}
        self.lost, self.broken = [], {}

    def get(self, profile):
        with self.lock:
            if profile in self.broken:
                raise RuntimeError(self.broken[profile])
            broker = self.running.get(profile)
            if broker and not broker.alive():
                self.lost.append(f"{profile}: exit code {broker.process.returncode}: {broker.tail()}")
                broker.remove()
                broker = None
            if broker is None:
                broker = Broker(self.binary, environment=self.environment, **PROFILES[profile])
                try:
                    self.running[profile] = broker.start()
                except RuntimeError as error:
                    self.broken[profile] = f"the shared broker '{profile}' does not start: {error}"
                    self.running.pop(profile, None)
                    broker.remove()
                    raise
            return broker

    def stop(self):
        """Stops all; the complaints."""
        complaints = list(self.lost)
        for profile, broker in self.running.items():
            try:
                broker.stop()
            except AssertionError as error:
                complaints.append(f"{profile}: {error}")
            broker.remove()
        return complaints


class Env:
    """What a test works with: a broker, names of its own, and clients that are closed when it ends."""

    _counter = itertools.count(1)

    def __init__(self, brokers, profile="main"):
        self.brokers, self.profile = brokers, profile
        self.unique = f"e{next(self._counter)}"
        self.to_close, self.own_brokers = [], []
        self.names = itertools.count(1)
        self.folder = None

    @property
    def broker(self):
        return self.brokers.get(self.profile)

    @property
    def on_mosquitto(self):
        return "mosquitto" in os.path.basename(self.brokers.binary)

    def own_broker(self, **kwargs):
        """A broker for this test alone, started."""
        kwargs.setdefault("environment", self.brokers.environment)
        broker = Broker(self.brokers.binary, **kwargs)
        self.own_brokers.append(broker)
        return broker.start()

    def id(self, tag="c"):
        """A client id of this test."""
        return f"{self.unique}{tag}"

    def topic(self, tail="t"):
        """A topic of this test."""
        return f"{self.unique}/{tail}"

    def client(self, version=codec.V5, listener="mqtt", broker=None, **kwargs):
        """A connection on which nothing has been sent yet."""
        client = rawmqtt.Client((broker or self.broker).transport(listener, **kwargs), version)
        client.bare_close_is_fine = self.on_mosquitto
        self.to_close.append(client)
        return client

    def connected(self, client_id=None, version=codec.V5, listener="mqtt", broker=None, **kwargs):
        """A connected client with an id of its own unless one is given."""
        client = self.client(version, listener, broker)
        client.connect(client_id if client_id is not None else self.id(f"n{next(self.names)}"), **kwargs)
        return client

    def temporary(self):
        if not self.folder:
            self.folder = tempfile.mkdtemp(prefix="trunkline-e2e-test-")
        return self.folder

    def still_serves(self, broker=None):
        """A fresh client can connect, subscribe and get its own message."""
        client = self.connected(broker=broker)
        topic = self.topic(f"alive/{next(self.names)}")
        client.subscribe(topic, qos=1)
        client.publish(topic, b"alive", qos=1)
        found = client.wait_for(codec.PUBLISH)
        assert found.payload == b"alive", found
        client.puback(found)
        client.disconnect()

    def close(self):
        for client in self.to_close:
            client.close()
        for broker in self.own_brokers:
            broker.remove()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


# ---------------------------------------------------------------- marks on tests

def profile(name):
    """The shared broker that the test runs against."""
    def mark(function):
        function.profile = name
        return function
    return mark


def mosquitto_differs(why):
    """Skipped on the stand-in, because mosquitto 2.0.11 does otherwise, for the reason given."""
    def mark(function):
        function.mosquitto_differs = why
        return function
    return mark


def alone(function):
    """Runs while no other test does: it measures memory or time."""
    function.alone = True
    return function


def versions(*numbers):
    """Runs once for each protocol version, given as the second argument."""
    def mark(function):
        function.versions = numbers
        return function
    return mark


def eventually(condition, seconds=5.0, what="condition"):
    """Polls until `condition()` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} not true within {seconds} s"
        time.sleep(0.02)
