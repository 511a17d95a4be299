#!/usr/bin/env python3
"""Cuts the power of a real broker: trunkline_fault with unsynced data held in its memory, killed with -9 under load.

usage: power_cut.py PATH/TO/trunkline_fault [--rounds N] [--no-sync]

Publishers at QoS 1 and 2 note what was acknowledged; after each restart an away session must hold all of it, QoS 2
once, in order per topic. --no-sync makes every sync a lie: then the run must fail, which shows that it can.
Exit 0: nothing lost. 1: something was.
"""
import argparse
import collections
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import paho.mqtt.client as mqtt


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Broker:
    def __init__(self, program, data, faults):
        self.port, self.admin = free_port(), free_port()
        self.args = [program, "--data", data, "--listen", f"mqtt://127.0.0.1:{self.port}",
                     "--admin", f"127.0.0.1:{self.admin}"]
        self.env = dict(os.environ, TRUNKLINE_FAULTS=faults)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.args, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        begin = time.monotonic()
        while time.monotonic() - begin < 10:
            line = self.process.stderr.readline().decode()
            if "trunkline: ready" in line:
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return True
            if not line and self.process.poll() is not None:
                return False
        return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Publisher:
    """Repeats what was not acknowledged, as a client with a store of its own does."""

    def __init__(self, name, qos, port):
        self.topic, self.qos, self.sequence = f"cut/{name}", qos, 0
        self.acknowledged, self.open, self.done = [], {}, collections.deque()
        self.client = mqtt.Client(client_id=name, clean_session=False)
        self.client.max_inflight_messages_set(20)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_publish = lambda client, userdata, mid: self.done.append(mid)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def collect(self):
        while self.done:
            self.acknowledged.append(self.open.pop(self.done.popleft()))

    def publish(self):
        self.collect()
        if len(self.open) < 20:
            self.sequence += 1
            self.open[self.client.publish(self.topic, str(self.sequence), qos=self.qos).mid] = self.sequence

    def stop(self):
        self.client.loop_stop()
        self.client.disconnect()


def drain(port, quiet_s=3.0):
    got, last = [], [time.monotonic()]
    client = mqtt.Client(client_id="away", clean_session=False)

    def on_message(c, userdata, message):
        got.append((message.topic, int(message.payload), message.dup))
        last[0] = time.monotonic()

    client.on_message = on_message
    client.on_connect = lambda c, u, f, rc: c.subscribe("cut/#", qos=2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    while time.monotonic() - last[0] < quiet_s:
        time.sleep(0.1)
    client.disconnect()
    client.loop_stop()
    return got


def check(publishers, got):
    problems = []
    for p in publishers:
        seen = [n for topic, n, _ in got if topic == p.topic]
        lost = set(p.acknowledged) - set(seen)
        if lost:
            problems.append(f"{p.topic}: {len(lost)} of {len(p.acknowledged)} acknowledged were lost")
        if p.qos == 2 and len(seen) != len(set(seen)):
            problems.append(f"{p.topic}: {len(seen) - len(set(seen))} came twice at QoS 2")
        first = list(dict.fromkeys(seen))
        if first != sorted(first):
            problems.append(f"{p.topic}: out of order")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-sync", action="store_true")
    options = parser.parse_args()
    data = tempfile.mkdtemp(prefix="trunkline-cut-")
    broker = Broker(options.program, data, "drop-unsynced" + (",ignore-sync" if options.no_sync else ""))
    problems = []
    try:
        if not broker.start():
            return print("the broker does not start") or 1
        drain(broker.port, 0.5)   # makes the session
        publishers = [Publisher(f"p{i}", 1 + i % 2, broker.port) for i in range(16)]
        for _ in range(options.rounds):
            until = time.monotonic() + random.uniform(0.5, 2)
            while time.monotonic() < until:
                for p in publishers:
                    p.publish()
                time.sleep(0.001)
            broker.kill()
            if not broker.start():
                problems.append("the broker refused to start again")
                break
        if not problems:
            until = time.monotonic() + 10
            while any(p.open for p in publishers) and time.monotonic() < until:
                time.sleep(0.1)
                for p in publishers:
                    p.collect()
            for p in publishers:
                p.stop()
            got = drain(broker.port)
            problems = check(publishers, got)
            print(f"{options.rounds} cuts, {sum(len(p.acknowledged) for p in publishers)} acknowledged, "
                  f"{len(got)} delivered")
    finally:
        if broker.process and broker.process.poll() is None:
            broker.kill()
        shutil.rmtree(data, ignore_errors=True)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
