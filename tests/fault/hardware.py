"""The broker process on a disk that lies, fails to sync, is slow, or is full."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import harness
import mqttcodec as codec
import rawmqtt

MIB = 1 << 20
AWAY = {"clean": False, "props": {"session_expiry_interval": 3600}}


class Scene:
    """A broker and clients on it, all ended with the scene."""

    def __init__(self, binary, data=None, limits=None, faults=""):
        self.broker = harness.Broker(binary, limits=limits,
                                     environment={"TRUNKLINE_FAULTS": faults} if faults else {})
        if data:
            self.broker.data = data
        self.clients = []

    def client(self, client_id, version=codec.V5, reason=0, **kwargs):
        one = rawmqtt.Client(self.broker.transport(), version)
        self.clients.append(one)
        one.connect(client_id, reason=reason, **kwargs)
        return one

    def restart(self, faults=None):
        """kill -9, and the same data again."""
        self.broker.kill()
        for one in self.clients:
            one.close()
        self.clients.clear()
        if faults is not None:
            self.broker.environment = {"TRUNKLINE_FAULTS": faults} if faults else {}
        self.broker.start()

    def __enter__(self):
        self.broker.start()
        return self

    def __exit__(self, _, error, __):
        for one in self.clients:
            one.close()
        if error is not None:
            error.args = (f"{error}\nthe broker's last words: {self.broker.tail(8)}",)
        self.broker.remove()


def away_session(scene, filters="kept/#", qos=1):
    """A durable session, subscribed and gone."""
    one = scene.client("away", **AWAY)
    one.subscribe(filters, qos=qos)
    one.disconnect()


def drain(scene, known=True):
    """Everything the away session is owed: payloads as numbers, in the order of arrival."""
    one = scene.client("away", **AWAY)
    assert bool(one.connack.session_present) == known, "the session of `away` was forgotten"
    got = []
    while True:
        try:
            found = one.recv(1.5)
        except rawmqtt.Silence:
            return got
        got.append(int(found.payload))
        one.acknowledge(found)


class Stream:
    """Publishes numbers at QoS 1, `window` at a time, on a thread, and notes what was acknowledged or refused when."""

    def __init__(self, scene, window=20, version=codec.V5):
        self.socket = scene.client("stream", version, clean=False, **({"props": AWAY["props"]} if version == 5 else {}))
        self.window, self.sent, self.acknowledged, self.refused, self.stopping = window, 0, {}, {}, False
        self.under_way = {}   # packet identifier -> number
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        with contextlib.suppress(rawmqtt.Closed, OSError):
            while not self.stopping or self.open():
                while not self.stopping and self.open() < self.window:
                    self.sent += 1
                    self.socket.send(codec.publish("kept/stream", b"%d" % self.sent, version=self.socket.version,
                                                   qos=1, packet_id=self.sent % 65535 + 1))
                    self.under_way[self.sent % 65535 + 1] = self.sent
                with contextlib.suppress(rawmqtt.Silence):
                    found = self.socket.recv(0.2)
                    where = self.acknowledged if found.reason < 0x80 else self.refused
                    where[self.under_way.pop(found.packet_id)] = time.monotonic()

    def open(self):
        return self.sent - len(self.acknowledged) - len(self.refused)

    def stop(self):
        self.stopping = True
        self.thread.join(10)


def check_kept(acknowledged, got):
    lost = set(acknowledged) - set(got)
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged messages were lost, such as {sorted(lost)[:5]}"


def lying_disk(binary):
    with Scene(binary, faults="drop-unsynced,ignore-sync-after=100") as scene:
        away_session(scene)
        stream = Stream(scene)
        time.sleep(1.5)   # the mark follows once a second
        stream.stop()
        scene.broker.kill()
        scene.broker.launch()
        code = scene.broker.process.wait(10)
        scene.broker.reader.join(2)
        text = scene.broker.tail()
        # what RocksDB itself finds missing it names as it can; the mark then says up to where batches were acknowledged
        gap = re.search(r"batches (\d+|up) to \d+ were acknowledged", text)
        assert code == 1 and gap, f"exit code {code}: {text}"
        return f"{len(stream.acknowledged)} acknowledged; refused: {gap.group()}"


def sync_fails(binary):
    with Scene(binary, faults="drop-unsynced,fail-sync-after=300") as scene:
        away_session(scene)
        stream = Stream(scene)
        failed_at = None
        deadline = time.monotonic() + 30
        while scene.broker.alive() and time.monotonic() < deadline:
            if failed_at is None and any(line.startswith("fault: a sync fails") for line in scene.broker.stderr):
                failed_at = time.monotonic()
            time.sleep(0.001)
        ended_at = time.monotonic()
        stream.stop()
        code = scene.broker.process.poll()
        assert failed_at is not None and code is not None, "the sync did not fail, or the process went on"
        assert code > 0, f"exit code {code}"
        assert ended_at - failed_at < 1, f"it ended after {ended_at - failed_at:.2f} s"
        late = [number for number, at in stream.acknowledged.items() if at > failed_at + 0.1]
        assert not late, f"acknowledged after the sync failed: {late[:5]}"
        scene.restart(faults="")
        check_kept(stream.acknowledged, drain(scene))
        return (f"exit code {code} after {1000 * (ended_at - failed_at):.0f} ms, {len(stream.acknowledged)} "
                f"acknowledged before, all there afterwards")


# ---- slow

class Prober(threading.Thread):
    """Asks something again and again; the longest answer in seconds."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.longest, self.count, self.stopping, self.error = ask, 0.0, 0, False, None

    def run(self):
        try:
            while not self.stopping:
                began = time.monotonic()
                self.ask()
                self.longest = max(self.longest, time.monotonic() - began)
                self.count += 1
                time.sleep(0.02)
        except (AssertionError, OSError) as error:
            self.error = error

    def finish(self, what, at_most):
        self.stopping = True
        self.join(15)
        assert self.error is None, f"{what}: {self.error}"
        assert self.count > 10 and self.longest < at_most, f"{what}: {self.count}, longest {self.longest:.2f} s"
        return f"{what} at most {1000 * self.longest:.0f} ms ({self.count})"


def round_trip(client, topic):
    """A message at QoS 0 to oneself: a subscriber without a durable session waits for no disk."""
    def ask():
        client.publish(topic, b"x")
        client.wait_for(codec.PUBLISH)
    return ask


def durable_load(bench, scene, seconds):
    """50 clients with 100 messages of 16 KiB each under way: 80 MiB are offered at any time."""
    return subprocess.Popen([bench, "durable", "--url", f"mqtt://127.0.0.1:{scene.broker.ports['mqtt']}",
                             "--clients", "50", "--payload", "16384", "--inflight", "100", "--duration", str(seconds),
                             "--warmup", "0", "--connect-timeout", "60", "--stall", "30"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def durable_count(scene):
    """(commits, publishes at QoS 1) so far."""
    metrics = scene.broker.http("/metrics")[1]
    commits = re.search(r"^trunkline_commit_seconds_count\S* (\S+)", metrics, re.M).group(1)
    received = re.findall(r"^trunkline_messages_received_total{[^}]*qos=\"1\"[^}]*} (\S+)", metrics, re.M)
    return int(float(commits)), sum(int(float(count)) for count in received)


def slow_sync(binary, bench):
    """Growth is counted from a broker that has worked: write buffers and young log records have their own limits."""
    with tempfile.TemporaryDirectory() as folder, \
            Scene(binary, faults=f"while={folder}/slow,sync-delay-ms=2000") as scene:
        pinger, talker = scene.client("pinger"), scene.client("talker")
        talker.subscribe("talk/self")
        probes = [Prober(pinger.ping), Prober(round_trip(talker, "talk/self"))]
        durable_load(bench, scene, 2).communicate(timeout=60)
        commits, received = durable_count(scene)
        before = highest = scene.broker.resident_bytes()
        with open(os.path.join(folder, "slow"), "w", encoding="ascii"):
            load = durable_load(bench, scene, 8)
        try:
            for probe in probes:
                probe.start()
            began = time.monotonic()
            while load.poll() is None and time.monotonic() - began < 20:
                highest = max(highest, scene.broker.resident_bytes())
                time.sleep(0.05)
        finally:
            load.kill()
            output = load.communicate()[0]
        figures = [probes[0].finish("pings", 0.5), probes[1].finish("QoS 0 round trips", 0.5)]
        commits, received = (now - then for now, then in zip(durable_count(scene), (commits, received)))
        assert commits >= 3 and received >= 1000, f"no load: {commits} commits, {received} messages: {output[-500:]}"
        growth = (highest - before) / MIB
        assert growth < 64, f"memory grew by {growth:.0f} MiB; " + ", ".join(figures)
        return f"memory + {growth:.0f} MiB over {received} messages of 16 KiB, " + ", ".join(figures)


# ---- full

class SmallDisk:
    """A file system of its own when mounting is allowed; else None of it, and the fault layer has to pretend."""

    size = 320 * MIB

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="trunkline-small-")
        self.mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.folder],
            capture_output=True, check=False).returncode == 0

    def fill(self, leave=0):
        """Puts a file there that leaves so many bytes free."""
        room = os.statvfs(self.folder)
        wanted = room.f_bavail * room.f_frsize - leave
        with open(os.path.join(self.folder, "ballast"), "ab", buffering=0) as file, contextlib.suppress(OSError):
            while wanted > 0:
                wanted -= file.write(b"\0" * min(wanted, MIB))

    def empty(self):
        os.unlink(os.path.join(self.folder, "ballast"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.mounted:
            subprocess.run(["umount", "-l", self.folder], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class FullDisk:
    """What clients find while the disk is full, in the order of a shift that goes wrong."""

    def __init__(self, scene):
        self.scene, self.sequence, self.acknowledged = scene, 0, []
        self.publisher = scene.client("pub", **AWAY)
        self.online = scene.client("online", **AWAY)   # durable, connected, with a message not acknowledged
        self.online.subscribe("kept/#", qos=1)
        self.reader = scene.client("reader")           # nothing durable
        self.reader.subscribe("live/#")

    def publish(self, reason=None):
        """A numbered message at QoS 1; seconds until its answer."""
        self.sequence += 1
        began = time.monotonic()
        number = self.publisher.packet_id()
        self.publisher.send(codec.publish("kept/n", b"%d" % self.sequence, version=codec.V5, qos=1, packet_id=number))
        found = self.publisher.wait_for(codec.PUBACK, packet_id=number)
        assert reason is None or found.reason == reason, f"expected reason {reason:#x}, got {found!r}"
        if found.reason < 0x80:
            self.acknowledged.append(self.sequence)
        return found, time.monotonic() - began

    def refused_from_the_first(self):
        """The seconds that the first refused publish waited. What still fits is acknowledged before."""
        for _ in range(20_000):
            found, seconds = self.publish()
            assert seconds < 1, f"answered after {seconds:.2f} s"
            if found.reason >= 0x80:
                assert found.reason == 0x97, f"refused with {found!r}"
                return seconds
        raise AssertionError("nothing is refused although the disk is full")

    def check_what_goes_on(self):
        self.publish(reason=0x97)
        for qos in (0, 1):   # nothing durable owes these
            self.publisher.publish("live/x", b"%d" % qos, qos=qos)
            assert self.reader.take()[0].payload == b"%d" % qos
        late = self.scene.client("late")
        late.subscribe("kept/state", qos=1)
        assert late.wait_for(codec.PUBLISH).payload == b"0", "the retained value can't be read"
        old = self.scene.client("old", codec.V311)
        old.send(codec.publish("kept/n", b"0", version=codec.V311, qos=1, packet_id=9))
        old.expect_close()   # a v3.1.1 client can't be told: closed, and not acknowledged

    def check_durable_requests(self, full):
        """`full`: not even what frees space can be written; else only what needs more is refused."""
        fresh = rawmqtt.Client(self.scene.broker.transport())
        self.scene.clients.append(fresh)
        fresh.connect("fresh", reason=0x97, **AWAY)
        fresh.expect_close()
        self.online.subscribe("more/#", qos=1, codes=[0x97])
        self.publisher.ping()   # its connection goes on
        owed = self.online.stash.popleft() if self.online.stash else self.online.expect(codec.PUBLISH)
        self.online.puback(owed)
        if full:   # what was acknowledged can't be noted: it comes again on a new connection
            self.online.wait_for(codec.DISCONNECT, reason=0x97)
        else:
            self.online.ping()
        away = rawmqtt.Client(self.scene.broker.transport())   # a known session
        self.scene.clients.append(away)
        away.connect("away", reason=0x97 if full else 0, **AWAY)
        away.close()

    def recovers(self):
        """Seconds until a durable publish is taken again."""
        began = time.monotonic()
        while time.monotonic() - began < 10:
            if self.publish()[0].reason < 0x80:
                return time.monotonic() - began
            time.sleep(0.1)
        raise AssertionError("refuses still, 10 s after there is room")


def no_space(binary, fault_binary, reserve):
    del fault_binary
    limits = {"disk_refuse_percent": 0, "disk_refuse_bytes": 200 * MIB if reserve else 0}
    with SmallDisk() as disk:
        if not disk.mounted:
            return "not run: mounting a small file system needs root (the fault layer's own test covers the log)"
        with Scene(binary, data=os.path.join(disk.folder, "data"), limits=limits) as scene:
            away_session(scene)
            full = FullDisk(scene)
            full.publisher.publish("kept/state", b"0", qos=1, retain=True)
            for _ in range(100):
                full.publish()
            pid = scene.broker.process.pid
            disk.fill(leave=100 * MIB if reserve else 0)
            if reserve:
                time.sleep(2.5)   # the free space is looked at about once a second
            first = full.refused_from_the_first()
            full.check_what_goes_on()
            full.check_durable_requests(not reserve)
            disk.empty()
            back = full.recovers()
            for _ in range(100):
                full.publish()
            assert scene.broker.alive() and scene.broker.process.pid == pid
            scene.restart()
            check_kept(full.acknowledged, drain(scene))
            return (f"first 0x97 after {1000 * first:.0f} ms, takes messages again {back:.1f} s after there is room, "
                    f"all of {len(full.acknowledged)} acknowledged are there after kill -9")
