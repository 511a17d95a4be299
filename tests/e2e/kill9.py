#!/usr/bin/python3
"""Kills the broker with SIGKILL at random moments under load, again and again, on the same data.

16 publishers (8 at QoS 1, 8 at QoS 2; 5.0 and 3.1.1) and persistent subscribers, online, flapping and offline, keep
their own state over reconnects as the specification asks. The oracle is outside the broker: what it acknowledged
(PUBACK, PUBREC). Checked: nothing acknowledged is lost to any subscriber, no QoS 2 message comes twice, each topic's
messages come in order, no session is forgotten, retained values are not older than what was acknowledged, and the
broker serves again within --restart-seconds of its start. With trunkline_fault as the broker the same rounds are power
cuts (--env TRUNKLINE_FAULTS=drop-unsynced) or ends at chosen points of a commit (--signal FAILPOINT). Prints a line a
round and a verdict; exit code 1 on any violation.
"""
import argparse
import asyncio
import collections
import os
import random
import shlex
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import harness  # noqa: E402
import mqttcodec as codec  # noqa: E402
from mqttcodec import CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, V5, V311  # noqa: E402

SESSION = {"session_expiry_interval": 3600}
PAYLOAD = b"." * 90


class Ledger:
    """What was sent, acknowledged and delivered; the violations."""

    def __init__(self):
        self.sent = collections.Counter()              # topic -> highest sequence number sent
        self.acknowledged = collections.defaultdict(set)  # topic -> sequence numbers
        self.last_acknowledged = {}                    # topic -> highest of them
        self.qos = {}                                  # topic -> QoS of its publisher
        self.violations = []
        self.acknowledged_count = self.delivered_count = self.refused_count = self.lost_count = 0

    def acknowledge(self, topic, sequence):
        if sequence not in self.acknowledged[topic]:
            self.acknowledged[topic].add(sequence)
            self.acknowledged_count += 1
            self.last_acknowledged[topic] = max(sequence, self.last_acknowledged.get(topic, 0))

    def violation(self, text):
        self.violations.append(text)
        if len(self.violations) <= 50:
            print(f"    VIOLATION {text}", flush=True)


class Peer(asyncio.Protocol):
    """A client whose state outlives its connections. Subclasses handle packets and CONNACK."""

    def __init__(self, ledger, client_id, version):
        self.ledger, self.client_id, self.version = ledger, client_id, version
        self.transport, self.buffer, self.online, self.known = None, b"", False, False
        self.wanted = False       # should be connected
        self.props = dict(SESSION)

    # ---- connection

    async def keep_connected(self, port):
        """Connects, and again whenever the connection is lost, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            if self.wanted and self.transport is None:
                try:
                    await asyncio.wait_for(loop.create_connection(lambda: self, "127.0.0.1", port()), 5)
                except (OSError, asyncio.TimeoutError):
                    pass
            elif not self.wanted and self.transport is not None:
                self.transport.abort()
            await asyncio.sleep(0.01)

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""
        transport.write(codec.connect(self.client_id, version=self.version, clean=False, keep_alive=60,
                                      props=self.props if self.version == V5 else None))

    def connection_lost(self, _):
        self.transport, self.online = None, False

    def data_received(self, data):
        buffer = self.buffer + data if self.buffer else data
        at, end = 0, len(buffer)
        out = []
        while end - at >= 2:
            size = buffer[at + 1]
            head = 2
            if size & 128:
                shift, size, head = 0, 0, 1
                while True:
                    if at + head >= end:
                        head = 0
                        break
                    byte = buffer[at + head]
                    size |= (byte & 127) << shift
                    shift += 7
                    head += 1
                    if not byte & 128:
                        break
                if not head:
                    break
            if end - at < head + size:
                break
            self.handle(buffer[at] >> 4, buffer[at] & 15, buffer[at + head:at + head + size], out)
            at += head + size
        self.buffer = buffer[at:]
        if out and self.transport:
            self.transport.write(b"".join(out))

    def handle(self, kind, flags, body, out):
        if kind == CONNACK:
            if body[1]:
                self.ledger.violation(f"{self.client_id}: CONNACK {body[1]:#x}")
                return
            present = bool(body[0] & 1)
            if self.known and not present:
                self.ledger.violation(f"{self.client_id}: its session was forgotten")
                self.forget()
            self.known = self.online = True
            self.resume(present, out)
        elif kind == codec.DISCONNECT:
            pass
        else:
            self.packet(kind, flags, body, out)

    def reason(self, body):
        return body[2] if self.version == V5 and len(body) > 2 else 0


class Publisher(Peer):
    """Sends numbered messages on two topics, one of them retained; its window survives every kill."""

    def __init__(self, ledger, number, qos, version, window):
        super().__init__(ledger, f"kill-pub-{number}", version)
        self.qos, self.window, self.running = qos, window, False
        self.topics = [f"kill/{number}/a", f"kill/{number}/b"]
        self.open = collections.OrderedDict()   # packet id -> (topic, sequence, released), in the order of sending
        self.next_id = 0
        for topic in self.topics:
            ledger.qos[topic] = qos

    def forget(self):
        self.open.clear()

    def resume(self, _, out):
        for packet_id, (topic, sequence, released) in self.open.items():
            out.append(codec.ack(PUBREL, packet_id) if released else self.encode(packet_id, topic, sequence, True))
        self.fill(out)

    def encode(self, packet_id, topic, sequence, dup):
        return codec.publish(topic, b"%d " % sequence + PAYLOAD, version=self.version, qos=self.qos, dup=dup,
                             packet_id=packet_id, retain=topic.endswith("b"))

    def fill(self, out):
        while self.running and len(self.open) < self.window:
            self.next_id = self.next_id % 65535 + 1
            topic = self.topics[self.next_id & 1]
            self.ledger.sent[topic] += 1
            sequence = self.ledger.sent[topic]
            self.open[self.next_id] = (topic, sequence, False)
            out.append(self.encode(self.next_id, topic, sequence, False))

    def packet(self, kind, _, body, out):
        packet_id = struct.unpack_from(">H", body)[0]
        entry = self.open.get(packet_id)
        if entry is None:
            return
        topic, sequence, released = entry
        if kind in (PUBACK, PUBREC):
            if self.reason(body) >= 0x80:
                self.ledger.refused_count += 1
                del self.open[packet_id]
            elif kind == PUBACK:
                self.ledger.acknowledge(topic, sequence)
                del self.open[packet_id]
            else:
                self.ledger.acknowledge(topic, sequence)
                self.open[packet_id] = (topic, sequence, True)
                out.append(codec.ack(PUBREL, packet_id))
        elif kind == PUBCOMP and released:
            del self.open[packet_id]
        self.fill(out)


class Subscriber(Peer):
    """A persistent subscriber that receives QoS 2 as the specification asks: identifiers kept until PUBREL."""

    def __init__(self, ledger, name, filters, qos, version, mode, receive_maximum=None):
        super().__init__(ledger, f"kill-sub-{name}", version)
        self.filters, self.qos, self.mode = filters, qos, mode
        if receive_maximum:
            self.props["receive_maximum"] = receive_maximum
        self.subscribed = False
        self.received_ids = set()
        self.counts = collections.defaultdict(dict)   # topic -> sequence -> how often
        self.last = {}                                # topic -> highest sequence seen
        self.deliveries = 0

    def wants(self, topic):
        return any(text == "kill/#" or text == topic or
                   (text.startswith("kill/+/") and topic.rpartition("/")[2] == text[7:]) for text in self.filters)

    def forget(self):
        self.received_ids.clear()

    def resume(self, present, out):
        if not self.subscribed or not present:
            option = self.qos | (0x20 if self.version == V5 else 0)   # Retain Handling 2
            out.append(codec.subscribe(1, [(text, option) for text in self.filters], version=self.version))

    def packet(self, kind, flags, body, out):
        if kind == PUBLISH:
            self.message(flags, body, out)
        elif kind == PUBREL:
            packet_id = struct.unpack_from(">H", body)[0]
            self.received_ids.discard(packet_id)
            out.append(codec.ack(PUBCOMP, packet_id))
        elif kind == SUBACK:
            self.subscribed = True

    def message(self, flags, body, out):
        qos = flags >> 1 & 3
        size = struct.unpack_from(">H", body)[0]
        topic, at = body[2:2 + size].decode(), 2 + size
        packet_id = struct.unpack_from(">H", body, at)[0] if qos else 0
        at += 2 if qos else 0
        if self.version == V5:
            assert body[at] < 128
            at += 1 + body[at]
        sequence = int(body[at:body.index(b" ", at)])
        if body[at:] != b"%d " % sequence + PAYLOAD:
            self.ledger.violation(f"{self.client_id}: {topic} {sequence}: payload altered")
        if qos == 2:
            out.append(codec.ack(PUBREC, packet_id))
            if packet_id in self.received_ids:
                return
            self.received_ids.add(packet_id)
        elif qos == 1:
            out.append(codec.ack(PUBACK, packet_id))
        self.deliver(topic, sequence, qos)

    def deliver(self, topic, sequence, qos):
        ledger = self.ledger
        self.deliveries += 1
        ledger.delivered_count += 1
        if sequence > ledger.sent[topic]:
            ledger.violation(f"{self.client_id}: {topic} {sequence} was never sent")
        count = self.counts[topic].get(sequence, 0) + 1
        self.counts[topic][sequence] = count
        if count > 1:
            if qos == 2 and ledger.qos[topic] == 2:
                ledger.violation(f"{self.client_id}: {topic} {sequence} at QoS 2 came {count} times")
            return
        if sequence < self.last.get(topic, 0):
            ledger.violation(f"{self.client_id}: {topic} {sequence} came after {self.last[topic]}")
        self.last[topic] = max(sequence, self.last.get(topic, 0))

    def missing(self):
        return [(topic, sequence) for topic, numbers in self.ledger.acknowledged.items() if self.wants(topic)
                for sequence in numbers if sequence not in self.counts[topic]]


FAILPOINTS = ("exit-before-write", "exit-before-sync", "exit-after-sync", "fail-sync-after")


class Run:
    """One broker, its clients, and the rounds."""

    def __init__(self, settings):
        self.settings, self.random, self.ledger = settings, random.Random(settings.seed), Ledger()
        binary = settings.broker or harness.default_broker()
        environment = dict(pair.split("=", 1) for pair in settings.env)
        self.broker = harness.Broker(binary if os.sep not in binary else os.path.abspath(binary),
                                     environment=environment, wrap=shlex.split(settings.wrap))
        self.publishers = [Publisher(self.ledger, number, 1 + number % 2, V5 if number % 4 < 2 else V311,
                                     settings.window) for number in range(16)]
        small, medium = (None, None) if self.broker.is_mosquitto else (5, 40)  # the stand-in reorders with small ones
        make = lambda *arguments, **kwargs: Subscriber(self.ledger, *arguments, **kwargs)  # noqa: E731
        self.subscribers = [
            make("online-1", ["kill/#"], 1, V5, "online"), make("online-2", ["kill/#"], 2, V311, "online"),
            make("narrow-2", ["kill/1/a", "kill/3/b", "kill/4/a"], 2, V5, "online", receive_maximum=small),
            make("flapping-2", ["kill/+/a"], 2, V5, "flapping", receive_maximum=medium),
            make("offline-1", ["kill/+/b"], 1, V311, "offline"), make("offline-2", ["kill/#"], 2, V5, "offline")]
        self.tasks, self.ends, self.failpoint = [], collections.Counter(), ""

    @property
    def peers(self):
        return self.publishers + self.subscribers

    async def serving(self):
        """Waits until a fresh client's CONNECT is answered."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.broker.ports["mqtt"])
                writer.write(codec.connect("", version=V5))
                answer = await asyncio.wait_for(reader.read(4), 5)
                writer.close()
                if len(answer) == 4 and answer[3] == 0:
                    return
            except (OSError, asyncio.TimeoutError):
                pass
            if not self.broker.alive():
                if self.settings.signal == "FAILPOINT":   # it may lie in the first commits
                    await self.failpoint_reached()
                    self.launch()
                    continue
                raise RuntimeError(f"the broker exited with {self.broker.process.returncode}: {self.broker.tail()}")
            await asyncio.sleep(0.005)

    async def until(self, condition, seconds):
        """True when `condition()` became true within `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    def launch(self):
        """Starts the broker; FAILPOINT: with a point drawn at which it will end, and perhaps unsynced data dropped."""
        if self.settings.signal == "FAILPOINT":
            self.failpoint = self.random.choice(FAILPOINTS)
            drop = "drop-unsynced," if self.failpoint == "fail-sync-after" or self.random.random() < 0.5 else ""
            self.broker.environment["TRUNKLINE_FAULTS"] = f"{drop}{self.failpoint}={self.random.randint(3, 400)}"
        self.broker.launch()

    async def failpoint_reached(self):
        """Waits until the broker has ended itself, and judges how."""
        if not await self.until(lambda: not self.broker.alive(), 30):
            raise RuntimeError(f"{self.broker.environment['TRUNKLINE_FAULTS']} did not end the broker")
        code = self.broker.process.returncode
        if not 0 < code < 128 if self.failpoint == "fail-sync-after" else code != 137:
            self.ledger.violation(f"exit code {code} at {self.failpoint}: {self.broker.tail()}")
        self.ends[self.failpoint] += 1

    async def all_rounds(self):
        await asyncio.get_running_loop().run_in_executor(None, self.broker.start)
        self.tasks = [asyncio.create_task(peer.keep_connected(lambda: self.broker.ports["mqtt"]))
                      for peer in self.peers]
        for subscriber in self.subscribers:
            subscriber.wanted = True
        if not await self.until(lambda: all(item.subscribed for item in self.subscribers), 10):
            raise RuntimeError("not all subscribers could subscribe")
        if self.settings.signal == "FAILPOINT":   # the sessions are there: from now on it ends itself
            self.broker.kill()
            self.launch()
            await self.serving()
        for publisher in self.publishers:
            publisher.wanted = publisher.running = True
        for number in range(1, self.settings.rounds + 1):
            await self.one_round(number)
        await self.finish()

    def cut(self, share):
        """Breaks this share of the connections, with whatever has arrived on them unread."""
        for peer in self.peers:
            if peer.transport and self.random.random() < share:
                peer.transport.abort()

    async def one_round(self, number):
        before = self.ledger.acknowledged_count
        for subscriber in self.subscribers:
            if subscriber.mode == "offline":
                subscriber.wanted = self.random.random() < 0.25
        end = time.monotonic() + self.random.uniform(0.2, self.settings.round_seconds)
        while time.monotonic() < end:
            for subscriber in self.subscribers:
                if subscriber.mode == "flapping" and self.random.random() < 0.2:
                    subscriber.wanted = not subscriber.wanted
            self.cut(0.05)   # acknowledgements under way are lost with their connection
            await asyncio.sleep(min(0.05, max(0.0, end - time.monotonic()) * self.random.random() + 0.001))
        self.cut(1.0 if self.settings.signal == "NONE" else 0.3)
        if self.settings.signal == "TERM":
            await asyncio.get_running_loop().run_in_executor(None, self.broker.stop)
        elif self.settings.signal == "KILL":
            self.broker.kill()
        elif self.settings.signal == "FAILPOINT":
            await self.failpoint_reached()
        under_way = sum(len(publisher.open) for publisher in self.publishers)
        early = 0
        while self.settings.signal == "KILL" and self.random.random() < 0.15 and early < 3:   # also while it recovers
            self.broker.launch()
            await asyncio.sleep(self.random.uniform(0.0, 0.15))
            self.broker.kill()
            early += 1
        started = time.monotonic()
        if number == self.settings.rounds and self.settings.signal == "FAILPOINT":
            self.settings.signal = "KILL"   # what is settled now needs a broker that stays
            del self.broker.environment["TRUNKLINE_FAULTS"]
        if not self.broker.alive():
            self.launch()
        await asyncio.wait_for(self.serving(), 60)
        seconds = time.monotonic() - started
        if seconds > self.settings.restart_seconds:
            self.ledger.violation(f"round {number}: serving again after {seconds:.2f} s only")
        print(f"round {number}: {self.ledger.acknowledged_count - before} acknowledged, {under_way} under way when "
              f"killed{f', {early} more kills while starting' if early else ''}, serving again after {seconds:.2f} s, "
              f"{len(self.ledger.violations)} violations", flush=True)

    async def finish(self):
        """Ends the load, lets every subscriber drain, and settles the accounts."""
        for publisher in self.publishers:
            publisher.running = False
        if not await self.until(lambda: not any(publisher.open for publisher in self.publishers), 30):
            stuck = [publisher.client_id for publisher in self.publishers if publisher.open]
            self.ledger.violation(f"publishers wait for acknowledgements: {stuck}")
        for subscriber in self.subscribers:
            subscriber.wanted = True
        progress, moved = -1, time.monotonic()
        while any(subscriber.missing() for subscriber in self.subscribers) and time.monotonic() - moved < 10:
            if self.ledger.delivered_count != progress:
                progress, moved = self.ledger.delivered_count, time.monotonic()
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)   # whatever comes twice, comes now
        for subscriber in self.subscribers:
            missing = subscriber.missing()
            self.ledger.lost_count += len(missing)
            if missing:
                self.ledger.violation(f"{subscriber.client_id}: {len(missing)} acknowledged messages lost, such as "
                                      f"{sorted(missing)[:5]}")
        await self.check_retained()
        for task in self.tasks:
            task.cancel()

    async def check_retained(self):
        """A new subscriber sees, for each retained topic, nothing older than what was acknowledged last."""
        reader = Subscriber(self.ledger, "retained", ["kill/+/b"], 1, V311, "online")
        reader.wanted = True
        task = asyncio.create_task(reader.keep_connected(lambda: self.broker.ports["mqtt"]))
        topics = [topic for topic in self.ledger.last_acknowledged if topic.endswith("b")]
        await self.until(lambda: all(topic in reader.last for topic in topics), 5)
        for topic in topics:
            if reader.last.get(topic, 0) < self.ledger.last_acknowledged[topic]:
                self.ledger.violation(f"retained {topic} is {reader.last.get(topic)}, acknowledged was "
                                      f"{self.ledger.last_acknowledged[topic]}")
        task.cancel()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", help="trunkline to test (default: the build folder's)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="of the moments of the kills (default: from the clock)")
    parser.add_argument("--round-seconds", type=float, default=2.0, help="longest time between two kills")
    parser.add_argument("--restart-seconds", type=float, default=5.0, help="allowed until it serves again")
    parser.add_argument("--signal", choices=("KILL", "TERM", "NONE", "FAILPOINT"), default="KILL",
                        help="TERM: clean stops, the same demands; NONE: only all connections are broken; FAILPOINT: "
                             "trunkline_fault ends itself before a write, before or after a sync, or when one fails")
    parser.add_argument("--window", type=int, default=16, help="messages under way per publisher")
    parser.add_argument("--wrap", default="", metavar="CMD", help="command line to run the broker under")
    parser.add_argument("--env", action="append", default=[], metavar="KEY=VALUE", help="environment of the broker")
    settings = parser.parse_args()
    if settings.seed is None:
        settings.seed = time.time_ns() % 1_000_000
    print(f"seed {settings.seed}", flush=True)
    run = Run(settings)
    try:
        asyncio.run(run.all_rounds())
        run.broker.stop()
    except (RuntimeError, AssertionError, asyncio.TimeoutError) as error:
        run.ledger.violation(f"{type(error).__name__}: {error}")
    finally:
        run.broker.remove()
    ledger = run.ledger
    ends = "".join(f"{count} {name}, " for name, count in run.ends.items())
    print(f"{settings.rounds} rounds, {ends}seed {settings.seed}: {ledger.acknowledged_count} messages acknowledged, "
          f"{ledger.refused_count} refused, {ledger.delivered_count} deliveries, {ledger.lost_count} lost, "
          f"{len(ledger.violations)} violations: "
          f"{'FAILED' if ledger.violations else 'passed'}")
    return 1 if ledger.violations or not ledger.acknowledged_count else 0


if __name__ == "__main__":
    sys.exit(main())
