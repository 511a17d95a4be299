"""The audit trail with the real process: what is in it, what damage verification finds, and what a crash leaves."""
import hashlib
import json
import os
import shutil
import stat
import subprocess
import threading
import time

import mqttcodec as codec
from governed import write_model
from harness import ROOT, alone, eventually, mosquitto_differs
from mqttcodec import V5, V311
from reference import MODEL
from test_admin import api, trunkctl

NO_AUDIT = "Mosquitto keeps no audit trail"


def trunkaudit(broker, *arguments, code=0):
    beside = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), "trunkaudit")
    program = beside if os.path.exists(beside) else os.path.join(ROOT, "build", "release", "bin", "trunkaudit")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, f"{arguments}: exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def audited_broker(env, **config):
    model = write_model(MODEL, "plant.yaml", env.temporary())
    return env.own_broker(flags=("--model", model), extra_config=config or {})


def trail(broker):
    return os.path.join(broker.data, "audit", "trail")


def key(broker):
    return os.path.join(broker.data, "audit", "key.pub")


def verify(broker, *arguments, folder=None, code=0):
    text = trunkaudit(broker, "verify", "--json", "--key", key(broker), *arguments, folder or trail(broker), code=code)
    return json.loads(text)


def records(broker, **query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return api(broker, "/api/v1/audit?limit=10000" + ("&" + text if text else ""))["records"]


def has(broker, seconds=3, **query):
    """The records that fit, once there is one."""
    eventually(lambda: records(broker, **query), seconds, f"a record {query}")
    return records(broker, **query)


def facts_of(found, client_id, topic, payload):
    told = dict(found.user)
    return {"time": told["audit-time"], "monotonic_ns": int(told["audit-monotonic-ns"]),
            "principal": told["audit-principal"], "client_id": client_id, "topic": topic,
            "payload_sha256": hashlib.sha256(payload).hexdigest()}


def clock(seconds):
    """UTC so many seconds from now, as text."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def leaf(facts):
    """The leaf hash, computed by the documented format and not by our code."""
    second, fraction = facts["time"][:-1].split(".")
    utc = int(time.mktime(time.strptime(second + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone)
    bytes_ = bytearray(b"\x02\x01")
    bytes_ += (utc * 10**9 + int(fraction)).to_bytes(8, "little", signed=True)
    bytes_ += facts["monotonic_ns"].to_bytes(8, "little") + bytes.fromhex(facts["payload_sha256"])
    for text in (facts["principal"], facts["client_id"], facts["topic"]):
        bytes_ += len(text.encode()).to_bytes(4, "little") + text.encode()
    return hashlib.sha256(b"\0" + bytes_).digest()


def leaves_on_disk(folder):
    """All leaf hashes, from the tiles of level 0."""
    found = b""
    for name in sorted(os.listdir(folder)):
        if name.startswith("tiles-0-"):
            with open(os.path.join(folder, name), "rb") as file:
                found += file.read()
    return [found[at:at + 32] for at in range(0, len(found), 32)]


@mosquitto_differs(NO_AUDIT)
def test_audit_of_changes(env):
    """Every change by administration is a record with actor, source, reason, old and new value and what became of it;
    start, crash, stop and configuration changes are too."""
    broker = audited_broker(env)
    client = env.connected("kicked", broker=broker)
    trunkctl(broker, "--reason", "it floods the line", "clients", "kick", "kicked")
    (kick,) = has(broker, action="client.kick")
    assert (kick["actor"], kick["source"], kick["object"], kick["reason"], kick["result"]) == (
        "admin", "127.0.0.1", "kicked", "it floods the line", "ok"), kick
    client.drop()
    trunkctl(broker, "--reason", "nobody there", "clients", "kick", "nobody", code=1)
    (refused,) = has(broker, action="client.kick", result="failed")
    assert "No such client" in json.dumps(refused["new"]), refused

    trunkctl(broker, "publish", "plant/free/cell-1/value", "-m", "x", "-q", "1", "-r")
    (published,) = has(broker, action="publish")
    assert published["object"] == "plant/free/cell-1/value", published
    assert hashlib.sha256(b"x").hexdigest() in json.dumps(published["new"]), published
    trunkctl(broker, "retained", "rm", "plant/free/#")
    assert has(broker, action="retained.remove")[0]["object"] == "plant/free/#"

    other = write_model(MODEL.replace("1.0.0", "1.1.0"), "next.yaml", env.temporary())
    trunkctl(broker, "model", "apply", other, "--reason", "change 4711")
    eventually(lambda: len(records(broker, action="model.apply")) == 2, 3, "the start's model, and this one")
    applied = records(broker, action="model.apply")[1]
    assert applied["reason"] == "change 4711", applied
    assert "plant 1.0.0" in json.dumps(applied["old"]) and "plant 1.1.0" in json.dumps(applied["new"]), applied

    status, text = broker.http("/api/v1/audit?from=yesterday")
    assert status == 400, text
    (start,) = has(broker, action="start")
    assert start["reason"] == "", start
    broker.process.send_signal(1)
    assert "taken" in has(broker, action="config.change")[0]["reason"]
    broker.kill()
    broker.flags = ()
    broker.start()
    eventually(lambda: len(records(broker, action="start")) == 2, 3, "a second start")
    assert "after a crash" in records(broker, action="start")[1]["reason"]
    broker.stop()
    assert verify(broker)["good"]
    last = json.loads(trunkaudit(broker, "search", trail(broker)).splitlines()[-1])
    assert last["action"] == "stop", last


@mosquitto_differs(NO_AUDIT)
def test_audit_of_commands_and_overwrites(env):
    """Commands are records; so is a retained value of a regulated topic that is replaced or removed, at any QoS."""
    broker = audited_broker(env)
    client = env.connected("panel-1", broker=broker)
    client.publish("plant/free/cell-1/start", b'"now"', qos=1)
    (command,) = has(broker, action="publish", object="plant/free/cell-1/start")
    assert command["reason"] == "command from client panel-1", command
    assert hashlib.sha256(b'"now"').hexdigest() in json.dumps(command["new"]), command

    topic = "plant/gmp/cell-1/value"
    client.publish(topic, b"first", qos=1, retain=True)
    client.publish(topic, b"second", qos=1, retain=True)
    client.publish(topic, b"third", qos=0, retain=True)
    client.publish(topic, b"third", qos=1, retain=True)
    trunkctl(broker, "retained", "rm", topic)
    eventually(lambda: len(records(broker, action="overwrite")) == 3, 3, "three overwrites")
    digests = [hashlib.sha256(value).hexdigest() for value in (b"first", b"second", b"third")]
    for record, old, new in zip(records(broker, action="overwrite"), digests, digests[1:] + [None]):
        assert record["object"] == topic and old in json.dumps(record["old"]), record
        assert new is None and record["new"] is None or new and new in json.dumps(record["new"]), record
    client.publish("plant/free/cell-1/value", b"1", qos=1, retain=True)
    client.publish("plant/free/cell-1/value", b"2", qos=1, retain=True)
    client.ping()
    time.sleep(0.3)
    assert len(records(broker, action="overwrite")) == 3


@mosquitto_differs(NO_AUDIT)
def test_proof_of_a_publish(env):
    """A regulated publish at QoS 1 and 2 is acknowledged with the facts of its leaf, with which anybody proves it; a
    publish that was not made, or with another payload, can't be proved. Without a subscriber it is proved, too."""
    broker = audited_broker(env)
    topic = "plant/gmp/cell-7/value"
    client = env.connected("press-7", broker=broker)
    for qos in (1, 2):
        payload = f"reading {qos}".encode()
        facts = facts_of(client.publish(topic, payload, qos=qos), "press-7", topic, payload)
        api(broker, "/api/v1/audit/checkpoint", "POST")
        body = json.dumps(facts).encode()
        eventually(lambda: broker.http("/api/v1/audit/prove", "POST", body)[0] == 200, 3, "a proof")
        proof = os.path.join(env.temporary(), "proof.json")
        stored = os.path.join(env.temporary(), "facts.json")
        with open(stored, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        trunkctl(broker, "audit", "prove", "--publish", stored, "--to-file", proof)
        assert "good" in trunkaudit(broker, "check", proof, "--key", key(broker))
        facts["payload_sha256"] = hashlib.sha256(b"another").hexdigest()
        assert broker.http("/api/v1/audit/prove", "POST", json.dumps(facts).encode())[0] == 404
        with open(proof, encoding="utf-8") as file:
            forged = json.load(file)
        forged["sequence"] += 1
        with open(proof, "w", encoding="utf-8") as file:
            json.dump(forged, file)
        trunkaudit(broker, "check", proof, "--key", key(broker), code=1)
    # neither of these leaves a leaf
    before = api(broker, "/api/v1/audit/status")["leaves"]
    client.publish(topic, b"0", qos=0)
    assert not client.publish("plant/free/cell-7/value", b"0", qos=1).user
    quiet = env.connected("quiet", broker=broker, props={"request_problem_information": 0})
    assert not quiet.publish(topic, b"1", qos=1).user, "[MQTT-3.1.2-29]"
    old = env.connected("old", version=V311, broker=broker)
    earliest = clock(-1)
    old.publish(topic, b"2", qos=1)
    sought = {"from": earliest, "to": clock(1), "principal": "", "client_id": "old", "topic": topic,
              "payload_sha256": hashlib.sha256(b"2").hexdigest()}
    eventually(lambda: api(broker, "/api/v1/audit/status")["leaves"] == before + 2, 3, "two more leaves")
    trunkctl(broker, "audit", "verify")
    api(broker, "/api/v1/audit/checkpoint", "POST")
    with open(stored, "w", encoding="utf-8") as file:
        json.dump(sought, file)
    with open(proof, "w", encoding="utf-8") as file:
        file.write(trunkaudit(broker, "prove", trail(broker), "--publish", stored))
    assert "good" in trunkaudit(broker, "check", proof, "--key", key(broker))
    api(broker, "/api/v1/audit/prove", "POST", sought)
    api(broker, "/api/v1/audit/prove", "POST", {**sought, "client_id": "press-7"}, code=404)
    api(broker, "/api/v1/audit/prove", "POST", {**sought, "to": clock(700)}, code=400)


@mosquitto_differs(NO_AUDIT)
def test_export_and_search(env):
    """JSON Lines and CSV by trunkctl are what trunkaudit reads offline; each export is itself a record."""
    broker = audited_broker(env)
    trunkctl(broker, "--reason", "=cmd|' /C calc'!A0", "drain", "--end")
    has(broker, action="drain.end")
    lines = trunkctl(broker, "audit", "export", "--action", "drain*").splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["drain.end"], lines
    assert lines == trunkaudit(broker, "search", trail(broker), "--action", "drain*").splitlines()
    out = os.path.join(env.temporary(), "trail.csv")
    trunkctl(broker, "audit", "export", "--format", "csv", "--to-file", out, "--reason", "inspection")
    assert stat.S_IMODE(os.stat(out).st_mode) == 0o600
    with open(out, encoding="utf-8", newline="") as file:
        text = file.read()
    assert "'=cmd" in text and text.startswith("sequence,"), text
    exports = has(broker, action="audit.export", object="records*")
    assert exports[-1]["reason"] == "inspection", exports
    assert "drain.end" in trunkctl(broker, "audit", "tail", "-n", "20")
    trunkctl(broker, "audit", "search", "--actor", "nobody", code=1)
    assert "written" in trunkctl(broker, "audit", "status")


@mosquitto_differs(NO_AUDIT)
def test_follow(env):
    """trunkctl audit tail -f shows records as they come."""
    broker = audited_broker(env)
    beside = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), "trunkctl")
    program = beside if os.path.exists(beside) else os.path.join(ROOT, "build", "release", "bin", "trunkctl")
    with subprocess.Popen([program, "--server", f"127.0.0.1:{broker.admin_port}", "-o", "jsonl", "audit", "tail", "-f",
                           "--action", "drain*"], stdout=subprocess.PIPE, text=True) as follower:
        try:
            for number in range(3):
                trunkctl(broker, "--reason", f"number {number}", "drain", "--end")
            seen = [json.loads(follower.stdout.readline())["reason"] for _ in range(3)]
        finally:
            follower.kill()
    assert seen == ["number 0", "number 1", "number 2"], seen


@mosquitto_differs(NO_AUDIT)
def test_modes_and_secrets(env):
    """Files 0600, folders 0700; no password, token or key in the trail, the log or the settings."""
    tokens = os.path.join(env.temporary(), "tokens")
    secret = "7f3-token-nobody-may-see"
    with open(tokens, "w", encoding="utf-8") as file:
        file.write(f"anna:{hashlib.sha256(secret.encode()).hexdigest()}\n")
    broker = audited_broker(env, audit={"checkpoint_interval": "1s"})
    broker.stop()
    broker.extra_config["admin"] = {"listen": f"127.0.0.1:{broker.admin_port}", "tokens_file": tokens}
    broker.start()
    env.connected("c", broker=broker, username="otto", password=b"password-of-otto")
    with_token = {"TRUNKLINE_TOKEN": secret}
    trunkctl(broker, "--reason", "test", "clients", "kick", "c", environment=with_token)
    trunkctl(broker, "status", environment={"TRUNKLINE_TOKEN": "wrong-token-1"}, code=4)
    eventually(lambda: "anna" in trunkctl(broker, "audit", "search", "--action", "client.kick",
                                          environment=with_token), 3, "the name of the token")
    eventually(lambda: "denial" in trunkctl(broker, "audit", "tail", environment=with_token), 3, "the refused token")
    settings = trunkctl(broker, "audit", "status", "-o", "json", environment=with_token)
    broker.stop()
    with open(os.path.join(broker.data, "audit", "key"), encoding="utf-8") as file:
        private = file.read().strip()
    everything = settings + "\n".join(broker.stderr)
    for folder, _, names in os.walk(os.path.join(broker.data, "audit")):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700, folder
        for name in names:
            path = os.path.join(folder, name)
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
            if name != "key":
                with open(path, "rb") as file:
                    everything += file.read().decode("latin-1")
    for what in (secret, "wrong-token-1", "password-of-otto", private):
        assert what not in everything, what


def copy_of(broker, env, tag):
    folder = os.path.join(env.temporary(), tag)
    shutil.copytree(trail(broker), folder)
    return folder


def newest_segment(folder):
    return os.path.join(folder, sorted(name for name in os.listdir(folder) if name.startswith("segment-"))[-1])


@mosquitto_differs(NO_AUDIT)
def test_damage_is_named(env):
    """An edited, deleted or reordered record, a tail cut off and a disk rolled back: verify names the first bad record,
    the latter by a witness alone."""
    witness = os.path.join(env.temporary(), "plant.checkpoints")
    broker = audited_broker(env, audit={"witnesses": [{"file": witness}], "checkpoint_interval": "100ms"})
    for number in range(20):
        trunkctl(broker, "--reason", f"change number {number:02}", "drain", "--end")
        if number == 9:
            eventually(lambda: api(broker, "/api/v1/audit/status")["checkpoint"]["size"] ==
                       api(broker, "/api/v1/audit/status")["size"], 3, "all is signed")
            older = copy_of(broker, env, "older")
            older_size = verify(broker, folder=older)["size"]
    wanted = {record["reason"]: record["sequence"] for record in records(broker, action="drain.end")}
    broker.stop()
    assert stat.S_IMODE(os.stat(witness).st_mode) == 0o600
    whole = verify(broker, "--witness", witness)
    assert whole["good"] and whole["witnessed"] > 2, whole

    def damage(tag, change):
        folder = copy_of(broker, env, tag)
        path = newest_segment(folder)
        with open(path, "rb") as file:
            content = file.read()
        with open(path, "wb") as file:
            file.write(change(content))
        found = verify(broker, "--witness", witness, folder=folder, code=1)
        return found["findings"][0]["sequence"]

    def frame(content, number):
        """Bounds of a record's frame, by the lengths of frames as documented."""
        at = content.index(b"change number %02d" % number)
        start = max(place for place in range(at) if content[place + 4:place + 8] == b"\x01\x01\0\0" and
                    place + 24 + int.from_bytes(content[place:place + 4], "little") > at)
        return start, start + 24 + int.from_bytes(content[start:start + 4], "little")

    def swap(content):
        (a, b), (c, d) = frame(content, 7), frame(content, 8)
        return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]

    def without(content, number):
        start, end = frame(content, number)
        return content[:start] + content[end:]

    bad = wanted["change number 07"]
    assert damage("edit", lambda c: c.replace(b"change number 07", b"change number 70")) == bad
    assert damage("delete", lambda c: without(c, 7)) == bad
    assert damage("reorder", swap) == bad
    assert damage("cut", lambda c: c[:frame(c, 15)[0]]) == wanted["change number 15"]
    rolled_back = verify(broker, folder=older)
    assert rolled_back["good"], "without a witness an older disk looks whole"
    found = verify(broker, "--witness", witness, folder=older, code=1)
    first = found["findings"][0]
    assert first["sequence"] == older_size and first["kind"] in ("missing", "witness"), found

    # the broker itself serves on, refuses what must be audited, and says why
    path = newest_segment(trail(broker))
    with open(path, "r+b") as file:
        file.seek(frame(open(path, "rb").read(), 7)[0] + 30)
        file.write(b"XXXX")
    broker.launch()
    eventually(lambda: broker.http("/healthz")[0] == 200, 10, "it serves")
    eventually(lambda: "ready" in "".join(broker.stderr[-3:]), 10, "it serves")
    status, text = broker.http("/readyz")
    assert status == 503 and "audit" in text, text
    client = env.connected(broker=broker)
    client.publish("plant/free/cell-1/value", b"1", qos=1)
    client.publish("plant/gmp/cell-1/value", b"1", qos=1, reason=0x97)
    assert "audit" in trunkctl(broker, "drain", "--end", code=1)
    assert "audit" in json.loads(broker.http("/api/v1/status")[1])["alarms"]


@mosquitto_differs(NO_AUDIT)
def test_trail_shorter_than_the_store_knows(env):
    """A trail that was rolled back while the store was not is found at the start; begin_anew takes it, and says so."""
    broker = audited_broker(env)
    client = env.connected("p", broker=broker)
    broker_copy = copy_of(broker, env, "early")
    for number in range(50):
        client.publish("plant/gmp/cell-1/value", b"%d" % number, qos=1)
    eventually(lambda: api(broker, "/api/v1/audit/status")["leaves"] == 50, 3, "fifty leaves")
    client.publish("plant/gmp/cell-1/value", b"one more, so that the store knows of the others", qos=1)
    time.sleep(0.5)
    broker.stop()
    shutil.rmtree(trail(broker))
    shutil.copytree(broker_copy, trail(broker))
    os.chmod(trail(broker), 0o700)
    broker.launch()
    eventually(lambda: broker.http("/readyz")[0] == 503, 10, "not ready")
    assert "were durable" in api(broker, "/api/v1/audit/status")["alarm"]
    broker.kill()
    broker.extra_config["audit"] = {"begin_anew": True}
    broker.start()
    assert has(broker, action="audit.begun-anew")


class RegulatedLoad:
    """Publishers that note the facts of each publish that was acknowledged."""

    def __init__(self, broker, round_number):
        self.broker, self.round, self.facts, self.lock, self.ending = broker, round_number, [], threading.Lock(), False
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(4)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        import rawmqtt
        client_id, topic = f"load-{number}", f"plant/gmp/cell-{number}/value"
        try:
            client = rawmqtt.Client(self.broker.transport("mqtt"), V5)
            client.connect(client_id)
            for sequence in range(100_000):
                if self.ending:
                    break
                payload = f"{self.round}/{number}/{sequence}".encode()
                found = client.publish(topic, payload, qos=1 + number % 2)
                with self.lock:
                    self.facts.append(facts_of(found, client_id, topic, payload))
        except (OSError, AssertionError, EOFError):
            return  # the broker was killed

    def join(self):
        for thread in self.threads:
            thread.join(20)
        return self.facts


@alone
@mosquitto_differs(NO_AUDIT)
def test_kill_under_regulated_load(env):
    """kill -9 under regulated load, six times: every acknowledged publish has its leaf, none has two, and the trail
    verifies."""
    broker = audited_broker(env)
    facts = []
    for number in range(6):
        load = RegulatedLoad(broker, number)
        time.sleep(0.3 + 0.17 * number)
        broker.kill()
        load.ending = True
        facts += load.join()
        broker.start()
    time.sleep(0.5)
    broker.stop()
    assert len(facts) > 200, f"only {len(facts)} publishes were acknowledged"
    kept = leaves_on_disk(trail(broker))
    counts = {}
    for one in kept:
        counts[one] = counts.get(one, 0) + 1
    missing = [fact for fact in facts if leaf(fact) not in counts]
    twice = [fact for fact in facts if counts.get(leaf(fact), 0) > 1]
    assert not missing, f"{len(missing)} of {len(facts)} acknowledged publishes have no leaf, such as {missing[0]}"
    assert not twice, f"{len(twice)} leaves are there twice, such as {twice[0]}"
    report = verify(broker)
    assert report["good"] and report["publishes"] >= len(facts), report
    assert len([one for one in counts.values() if one > 1]) == 0, "a leaf is there twice"


@mosquitto_differs(NO_AUDIT)
def test_another_broker_as_witness(env):
    """A second Trunkline keeps the checkpoints, and refuses one of a trail that was rolled back."""
    other = env.own_broker()
    broker = audited_broker(env, audit={"witnesses": [{"trunkline": f"http://127.0.0.1:{other.admin_port}"}],
                                        "checkpoint_interval": "100ms"})
    folder = os.path.join(other.data, "audit", "witnessed")
    eventually(lambda: os.path.isdir(folder) and os.listdir(folder), 10, "a witness's file")
    early = copy_of(broker, env, "early")
    def delivered():
        return api(broker, "/api/v1/audit/status")["witnesses"][0]["delivered"]

    for _ in range(3):
        before = delivered()
        trunkctl(broker, "drain", "--end")
        eventually(lambda: delivered() > before, 10, "delivered")
    broker.stop()
    witness = os.path.join(folder, os.listdir(folder)[0])
    assert verify(broker, "--witness", witness)["witnessed"] > 2
    shutil.rmtree(trail(broker))
    shutil.copytree(early, trail(broker))
    os.chmod(trail(broker), 0o700)
    broker.start()
    eventually(lambda: records(other, action="audit.witness-conflict"), 10, "the conflict is audited")
    assert "rolled back" in records(other, action="audit.witness-conflict")[0]["reason"]


@mosquitto_differs(NO_AUDIT)
def test_key_rotation(env):
    """A new key signs; who trusts the old one verifies all of it."""
    broker = audited_broker(env)
    old = os.path.join(env.temporary(), "old.pub")
    shutil.copy(key(broker), old)
    printed = trunkctl(broker, "audit", "rotate-key", "--reason", "yearly").strip()
    with open(key(broker), encoding="utf-8") as file:
        assert file.read().strip() == printed
    trunkctl(broker, "drain", "--end")
    (rotated,) = has(broker, action="audit.key-rotated")
    assert rotated["reason"] == "yearly" and rotated["actor"] == "admin", rotated
    broker.kill()
    broker.start()
    broker.stop()
    for trusted in (old, key(broker)):
        report = json.loads(trunkaudit(broker, "verify", "--json", "--key", trusted, trail(broker)))
        assert report["good"] and report["key_changes"] == 2, report


@mosquitto_differs(NO_AUDIT)
def test_without_audit(env):
    """audit.enabled: false keeps nothing, and says so."""
    broker = audited_broker(env, audit={"enabled": False})
    assert not os.path.exists(os.path.join(broker.data, "audit"))
    client = env.connected(broker=broker)
    assert not client.publish("plant/gmp/cell-1/value", b"1", qos=1).user
    assert broker.http("/api/v1/audit")[0] == 404
    assert any("audit_disabled" in line for line in broker.stderr)


@mosquitto_differs(NO_AUDIT)
def test_second_person(env):
    """With approval: regulated a model that changes a regulated branch waits until another person approves; the record
    names both. What touches no regulated branch is applied at once."""
    tokens = os.path.join(env.temporary(), "tokens")
    with open(tokens, "w", encoding="utf-8") as file:
        for name in ("anna", "otto"):
            file.write(f"{name}:{hashlib.sha256(name.encode()).hexdigest()}\n")
    broker = audited_broker(env)
    broker.stop()
    broker.extra_config = {"admin": {"listen": f"127.0.0.1:{broker.admin_port}", "tokens_file": tokens},
                           "audit": {"approval": "regulated"}}
    broker.start()

    def by(name, *arguments, code=0):
        return trunkctl(broker, *arguments, environment={"TRUNKLINE_TOKEN": name}, code=code)

    def in_force():
        return json.loads(by("anna", "model", "show", "-o", "json"))["version"]

    free = MODEL.replace("1.0.0", "1.1.0").replace("    free:\n", "    free:\n      $owner: ot@plant.example\n")
    by("anna", "model", "apply", write_model(free, "free.yaml", env.temporary()), "--reason", "owner")
    assert in_force() == "1.1.0"
    gmp = free.replace("1.1.0", "1.2.0").replace("$regulated: true", "$regulated: true\n      $owner: qa@plant.example")
    said = by("anna", "model", "apply", write_model(gmp, "gmp.yaml", env.temporary()), "--reason", "change 4712")
    assert "waits as 1" in said and in_force() == "1.1.0", said
    assert "change 4712" in by("otto", "model", "pending")
    assert "Another person" in by("anna", "model", "approve", "1", code=4)
    assert in_force() == "1.1.0"
    by("otto", "model", "approve", "1")
    assert in_force() == "1.2.0"
    by("otto", "model", "approve", "1", code=1)
    found = json.loads(by("anna", "audit", "search", "--action", "model.apply", "-o", "json"))[-1]
    assert (found["actor"], found["approver"], found["reason"]) == ("anna", "otto", "change 4712"), found
    assert "1.1.0" in json.dumps(found["old"]) and "1.2.0" in json.dumps(found["new"]), found
    proposed = json.loads(by("anna", "audit", "search", "--action", "model.propose", "-o", "json"))
    assert proposed[-1]["actor"] == "anna", proposed
    said = by("otto", "model", "rollback", "1.1.0", "--reason", "back")
    assert "waits as 2" in said and in_force() == "1.2.0", said
    by("otto", "model", "withdraw", "2")
    assert "1.1.0" not in by("anna", "model", "pending")
