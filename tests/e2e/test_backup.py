"""Backups: taken under load, fetched by trunkctl, refused when they are not whole, and nothing lost when restored."""
import contextlib
import json
import os
import shutil
import subprocess
import threading
import time

import mqttcodec as codec
from harness import eventually, mosquitto_differs
from mqttcodec import V5
from test_admin import api, trunkctl
from test_audit import verify as verify_trail

NO_BACKUPS = "has no backups"
PUBLISHERS = 6


class Publisher(threading.Thread):
    """Publishes 1, 2, 3 ... on a topic of its own, QoS 1 or 2, and knows what was acknowledged when."""

    def __init__(self, env, broker, number):
        super().__init__(daemon=True)
        self.topic, self.qos = f"load/{number}", 1 + number % 2
        self.client = env.connected(f"publisher-{number}", version=V5, broker=broker)
        self.sent = self.acknowledged = 0
        self.stopping = threading.Event()

    def run(self):
        with contextlib.suppress(Exception):  # the broker is killed under it
            while not self.stopping.is_set():
                self.sent += 1
                self.client.publish(self.topic, b"%d" % self.sent, qos=self.qos, retain=True)
                self.acknowledged = self.sent


def everything_queued(env, broker, client_id):
    """What a session is sent until nothing more comes, by topic."""
    client = env.client(broker=broker)
    client.connect(client_id, clean=False, props={"session_expiry_interval": 3600})
    found = {}
    while True:
        try:
            packet = client.wait_for(codec.PUBLISH, timeout=1.0)
        except AssertionError:
            return found
        client.acknowledge(packet)
        found.setdefault(packet.topic, []).append(int(packet.payload))


def restore(broker, backup):
    """The broker's data replaced by a backup's. The broker does not run."""
    shutil.rmtree(broker.data)
    return json.loads(trunkctl(broker, "backup", "restore", backup, "--data", broker.data, "-o", "json"))


@mosquitto_differs(NO_BACKUPS)
def test_backup_under_load(env):
    """What was acknowledged before a backup began is there when it is restored after the data is lost: queued messages,
    retained values, the session. What it holds of each publisher is the beginning of what that one sent, without a gap
    and without a repetition."""
    broker = env.own_broker()
    away = env.connected("away", broker=broker, props={"session_expiry_interval": 3600})
    away.subscribe("load/#", qos=2)
    away.disconnect()
    publishers = [Publisher(env, broker, number) for number in range(PUBLISHERS)]
    for publisher in publishers:
        publisher.start()
    eventually(lambda: all(publisher.acknowledged > 50 for publisher in publishers), 20, "the load runs")
    backup = os.path.join(env.temporary(), "backup")
    before = {publisher.topic: publisher.acknowledged for publisher in publishers}
    made = json.loads(trunkctl(broker, "backup", "create", backup, "-o", "json"))
    assert made["point"] > 0 and made["point_time"] and made["seconds"] >= 0 and made["bytes"] > 0, made
    eventually(lambda: all(p.acknowledged > before[p.topic] + 20 for p in publishers), 20, "the load went on")
    broker.kill()
    for publisher in publishers:
        publisher.stopping.set()
        publisher.join(20)
    trunkctl(broker, "backup", "verify", backup)
    assert restore(broker, backup)["point"] == made["point"]
    broker.start()
    assert verify_trail(broker)["good"]   # and the trail goes on where it was
    queued = everything_queued(env, broker, "away")
    reader = env.connected(broker=broker)
    reader.subscribe("load/#")
    retained = {}
    while len(retained) < PUBLISHERS:
        packet = reader.wait_for(codec.PUBLISH)
        retained[packet.topic] = int(packet.payload)
    for publisher in publishers:
        numbers = queued.get(publisher.topic, [])
        lost = before[publisher.topic] - len(numbers)
        assert lost <= 0, f"{publisher.topic}: {lost} acknowledged messages lost"
        assert numbers == list(range(1, len(numbers) + 1)), f"{publisher.topic}: {numbers[-5:]}"
        assert len(numbers) <= publisher.sent, publisher.topic
        assert retained[publisher.topic] == len(numbers), (publisher.topic, retained[publisher.topic], len(numbers))
    env.still_serves(broker)
    broker.stop()


@mosquitto_differs(NO_BACKUPS)
def test_backup_that_is_not_whole(env):
    """A backup of which any file is cut off, altered or missing is refused by verify and restore, which name the file
    and make nothing."""
    broker = env.own_broker(flags=("--model", os.path.join(os.path.dirname(__file__), "..", "..", "deploy", "examples",
                                                           "utilities.yaml")))
    client = env.connected(broker=broker)
    for number in range(50):
        client.publish(f"t/{number}", b"x" * 100, qos=1, retain=True)
    good = os.path.join(env.temporary(), "good")
    text = trunkctl(broker, "backup", "create", good)
    assert "backup written to" in text and "point" in text and "took" in text, text
    with open(os.path.join(good, "manifest.json"), encoding="utf-8") as file:
        names = [entry["name"] for entry in json.load(file)["files"]]
    assert {"config/trunkline.yaml", "config/utilities.yaml", "store/db/CURRENT", "store/mark.1", "store/audit/key",
            "store/audit/trail/mark"} <= set(names), names
    done = subprocess.run(["sha256sum", "--check", "--quiet", "manifest.sha256"], cwd=good, check=False)
    assert done.returncode == 0
    trunkctl(broker, "backup", "verify", good)
    target = os.path.join(env.temporary(), "restored")
    for name in names + ["manifest.json"]:
        for damage in ("cut", "alter", "remove"):
            bad = os.path.join(env.temporary(), "bad")
            shutil.copytree(good, bad)
            path = os.path.join(bad, name)
            size = os.path.getsize(path)
            if damage == "remove":
                os.remove(path)
            elif size == 0:
                shutil.rmtree(bad)
                continue
            elif damage == "cut":
                os.truncate(path, size - 1)
            else:
                with open(path, "r+b") as file:
                    byte = file.read(1)
                    file.seek(0)
                    file.write(bytes([byte[0] ^ 0x20]))
            assert name in trunkctl(broker, "backup", "verify", bad, code=1), (name, damage)
            if damage == "cut":
                assert name in trunkctl(broker, "backup", "restore", bad, "--data", target, code=1), name
                assert not os.path.exists(target), name
            shutil.rmtree(bad)
    config = os.path.join(env.temporary(), "config")
    trunkctl(broker, "backup", "restore", good, "--data", target, "--config", config)
    assert sorted(os.listdir(config)) == ["trunkline.yaml", "utilities.yaml"]
    assert os.stat(target).st_mode & 0o777 == 0o700
    assert os.stat(os.path.join(target, "db", "CURRENT")).st_mode & 0o777 == 0o600


@mosquitto_differs(NO_BACKUPS)
def test_backup_never_overwrites(env):
    """A restore goes into an empty folder that no broker has, a backup into an empty one; a restore that was cut off is
    nothing that a broker would start with."""
    broker = env.own_broker()
    client = env.connected(broker=broker)
    client.publish("t", b"x", qos=1, retain=True)
    backup = os.path.join(env.temporary(), "backup")
    os.mkdir(backup)
    trunkctl(broker, "backup", "create", backup)
    assert "not empty" in trunkctl(broker, "backup", "create", backup, code=1)
    assert "not empty" in trunkctl(broker, "backup", "restore", backup, "--data", broker.data, code=1)
    broker.stop()
    assert "not empty" in trunkctl(broker, "backup", "restore", backup, "--data", broker.data, code=1)
    restore(broker, backup)
    os.remove(os.path.join(broker.data, "db", "CURRENT"))   # written last
    try:
        broker.start()
        raise AssertionError("the broker started without what it had acknowledged")
    except RuntimeError as error:
        assert "CURRENT is missing" in str(error), error
    restore(broker, backup)
    broker.start()
    reader = env.connected(broker=broker)
    reader.subscribe("t")
    assert reader.wait_for(codec.PUBLISH).payload == b"x"
    broker.stop()


@mosquitto_differs(NO_BACKUPS)
def test_backup_routes(env):
    """One backup at a time, until it is let go; its files only by the names of the manifest; nothing stays on the disk
    afterwards, and what an earlier life has left is removed at the start."""
    broker = env.own_broker()
    env.connected(broker=broker).publish("t", b"x", qos=1, retain=True)
    place = os.path.join(broker.data, "backup.tmp")
    assert api(broker, "/api/v1/backup") == {"state": "none"}
    begun = api(broker, "/api/v1/backup", "POST", {}, code=202)
    assert api(broker, "/api/v1/backup", "POST", {}, code=409)["detail"]
    eventually(lambda: api(broker, "/api/v1/backup")["state"] == "ready", 10, "ready")
    base = f"/api/v1/backup/{begun['id']}"
    manifest = api(broker, base + "/manifest")
    for entry in manifest["files"]:
        status, _ = broker.http(f"{base}/file?name={entry['name']}&bytes=1")
        assert status == 200, entry
    for name in ("../../../etc/passwd", "/etc/passwd", "store", "store/db/../mark.0", "", "LOCK.trunkline"):
        assert api(broker, f"{base}/file?name={name}", code=404)["title"] == "No such file", name
    assert api(broker, base + "/file", code=400)["title"]
    assert api(broker, base + "/file?name=store/mark.1&offset=99999", code=404)
    assert api(broker, base + "/file?name=store/mark.1&offset=-1", code=400)
    assert api(broker, "/api/v1/backup/none/manifest", code=404)
    assert api(broker, "/api/v1/backup/none", "DELETE", code=404)
    assert os.listdir(place) == [begun["id"]]
    assert api(broker, base, "DELETE")["released"]
    eventually(lambda: not os.listdir(place), 5, "nothing is left")
    assert api(broker, base + "/manifest", code=404)
    again = api(broker, "/api/v1/backup", "POST", {}, code=202)
    assert again["id"] != begun["id"]
    time.sleep(0.3)
    broker.kill()
    broker.start()
    assert not os.path.exists(place)
    broker.stop()
