"""The life of a model: check, apply, versions, rollback, plan, learn, drift, new assets, explain, through trunkctl."""
import json
import os
import time

from harness import eventually, mosquitto_differs
from test_admin import api, trunkctl

PLANT = """# the plant
trunkline: 1
namespace: acme
version: 1.0.0
defaults: {mode: enforce, unmodelled: reject}
levels: [enterprise, site, area, line, cell]
naming: {unique_ignoring_case: true}
types:
  filler:
    version: 2
    metrics:
      temperature: {type: number, unit: Cel, min: -20, max: 120, every: 1s}
      state: {type: string, enum: [idle, running, held, fault]}
    commands:
      target-rate: {type: number, writers: ["client:scada-*"]}
tree:
  acme:
    munich:
      packaging:
        line-1:
          filler-1: {$type: filler@2}   # the old one
"""
FILLER = "acme/munich/packaging/line-1/filler-1"


def write(env, text, name="plant.yaml", folder=None):
    path = os.path.join(folder or env.temporary(), name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def reading(value, **more):
    return json.dumps({"value": value, "timestamp": int(time.time() * 1000), **more}).encode()


def say(broker, client, topic, payload):
    """Publishes, and waits until browsing has it: of what comes within a moment it looks at the last alone."""
    client.publish(topic, payload, qos=1)

    def is_seen():
        status, text = broker.http(f"/api/v1/namespace/get?topic={topic}")
        return status == 200 and json.loads(text)["payload"] == payload.decode()
    eventually(is_seen, 5, f"{topic} to be seen")


@mosquitto_differs("has no model")
def test_a_model_is_checked_applied_and_rolled_back(env):
    """check and apply name every fault with file:line; versions are immutable, and an earlier one comes back."""
    broker = env.own_broker()
    assert "no model is applied" in trunkctl(broker, "model", "show", code=1)
    bad = write(env, PLANT.replace("max: 120", "max: -120").replace("filler@2}", "fillr@2}"), "bad.yaml")
    for command in (("model", "check", bad), ("model", "apply", bad), ("model", "plan", bad)):
        text = trunkctl(broker, *command, code=1)
        assert "2 problems" in text and f"{bad}:12:" in text and f"{bad}:21:" in text, text
        assert "did you mean filler?" in text, text
    status, text = broker.http("/api/v1/model", "PUT", b"trunkline: 2\n")
    document = json.loads(text)
    assert status == 422 and document["type"].endswith("model-invalid"), text
    assert len(document["problems"]) == 3 and all(entry["fix"] for entry in document["problems"]), text

    good = write(env, PLANT)
    assert "is good: acme 1.0.0" in trunkctl(broker, "model", "check", good)
    assert "would apply acme 1.0.0" in trunkctl(broker, "model", "apply", good, "--dry-run")
    assert api(broker, "/api/v1/model")["applied"] is False
    assert "applied acme 1.0.0" in trunkctl(broker, "model", "apply", good, "--reason", "first")
    shown = trunkctl(broker, "model", "show")
    assert "acme 1.0.0, 5 nodes, 3 members" in shown and "by admin: first" in shown, shown
    assert trunkctl(broker, "model", "export") == PLANT
    assert json.loads(trunkctl(broker, "model", "export", "--json"))["namespace"] == "acme"
    assert "no difference" in trunkctl(broker, "model", "diff", good)

    same_version = write(env, PLANT.replace("max: 120", "max: 90"), "same.yaml")
    assert "exists with another content" in trunkctl(broker, "model", "apply", same_version, code=1)
    newer = write(env, PLANT.replace("max: 120", "max: 90").replace("1.0.0", "1.1.0"), "newer.yaml")
    changes = trunkctl(broker, "model", "diff", good, newer, code=1)
    assert "max 120 -> 90" in changes and "breaking" in changes, changes
    assert "max 120 -> 90" in trunkctl(broker, "model", "apply", newer)
    client = env.connected(broker=broker)
    client.publish(f"{FILLER}/temperature", reading(100), qos=1, reason=0x99)
    assert "in force again: 1.0.0" in trunkctl(broker, "model", "rollback", "--reason", "too tight")
    client.publish(f"{FILLER}/temperature", reading(100), qos=1)
    versions = json.loads(trunkctl(broker, "model", "versions", "-o", "json"))
    assert [entry["version"] for entry in versions] == ["1.0.0", "1.1.0", "1.0.0"], versions
    assert [entry["in_force"] for entry in versions] == [False, False, True]
    assert versions[2]["why"] == "too tight" and versions[2]["rolled_back_from"] == 2
    with open(newer, encoding="utf-8") as file:
        assert api(broker, "/api/v1/model/versions/1.1.0")["yaml"] == file.read()
    assert "no such version" in trunkctl(broker, "model", "rollback", "9.9.9", code=1)
    broker.stop()


@mosquitto_differs("has no model")
def test_explain_tells_every_check(env):
    """explain shows the checks in order, the deciding rule with file:line, the reason code and the fix."""
    broker = env.own_broker()
    trunkctl(broker, "model", "apply", write(env, PLANT))
    wrong = trunkctl(broker, "explain", "--client", "edge-7", "-t", "acme/munich/Packaging/line-1/filler-1/temperature",
                     "-m", '{"value":131.4,"timestamp":1}', code=1)
    lines = wrong.splitlines()
    assert lines[0].startswith("1 authenticate  skipped") and lines[1].startswith("2 authorise     skipped"), wrong
    name = next(line for line in lines if "TL-2103" in line)
    assert name.split()[1:3] == ["name", "FAIL"] and name.endswith("plant.yaml:19"), wrong
    payload = next(line for line in lines if "TL-3102" in line)
    assert payload.split()[1:3] == ["payload", "FAIL"] and payload.endswith("plant.yaml:12"), wrong
    assert "verdict         reject, PUBACK 0x90 Topic Name invalid" in lines, wrong
    assert f"fix             publish to {FILLER}/temperature" in lines, wrong
    right = trunkctl(broker, "explain", "--client", "edge-7", "-t", f"{FILLER}/temperature", "-m", reading(20).decode())
    assert "accept, PUBACK 0x00 Success" in right and "FAIL" not in right, right
    command = trunkctl(broker, "explain", "--client", "edge-7", "-t", f"{FILLER}/target-rate", "-m",
                       reading(20).decode(), code=1)
    assert "TL-1201" in command and "0x87 Not authorized" in command, command
    report = json.loads(trunkctl(broker, "explain", "--client", "scada-1", "-t", f"{FILLER}/target-rate", "-r", "-m",
                                 reading(20).decode(), "-o", "json", code=1))
    assert report["reason_code"] == 0x83 and report["checks"][-2]["rule"] == "TL-4102", report
    assert "matches 3 topics" in trunkctl(broker, "explain", "--subscribe", "-t", "acme/+/packaging/#")
    assert "nothing will come" in trunkctl(broker, "explain", "--subscribe", "-t", "acme/lyon/#")
    assert api(broker, "/api/v1/explain", "POST", {"topic": "a/#"}, code=400)["title"]
    assert api(broker, "/api/v1/explain", "POST", {"topic": "a", "who": "x"}, code=400)["title"]
    broker.stop()


@mosquitto_differs("has no model")
def test_learn_plan_and_drift_on_live_traffic(env):
    """A model learned from traffic takes that traffic in enforce; plan and drift then name the mistakes, no others."""
    broker = env.own_broker()
    assert "nothing was published" in trunkctl(broker, "model", "learn", code=1)
    edge = env.connected("edge-1", broker=broker)
    watcher = env.connected("watcher", broker=broker)
    watcher.subscribe(f"{FILLER}/gone", qos=1)
    for i in range(8):
        for cell in (1, 2):
            asset = f"acme/munich/packaging/line-1/filler-{cell}"
            edge.publish(f"{asset}/temperature", reading(20.5 + 3 * i % 8, unit="Cel"), qos=1)
            say(broker, edge, f"{asset}/state", reading(("idle", "running")[i % 2]))
    learned = trunkctl(broker, "model", "learn", "--mode", "enforce", "--name", "plant")
    path = write(env, learned, "learned.yaml")
    assert "unit: Cel" in learned and "enum: [idle, running]" in learned, learned
    assert "is good: plant 0.1.0" in trunkctl(broker, "model", "check", path)
    plan = trunkctl(broker, "model", "plan", path)
    assert "then      32 accepted" in plan and "nothing that works today would break" in plan, plan

    say(broker, edge, f"{FILLER}/gone", reading(1))
    bad = env.connected("edge-bad", broker=broker)
    mistakes = [(f"{FILLER.replace('pack', 'Pack')}/temperature", reading(20), "TL-2103"),
                (f"{FILLER}/temperature", reading("hot"), "TL-3101"), (f"{FILLER}/state", reading("odd"), "TL-3103"),
                (f"{FILLER}/temperature", reading(900), "TL-3102"),
                (f"{FILLER}/temperature", reading(20, unit="[degF]"), "TL-3303"),
                (f"{FILLER}/temprature", reading(20), "TL-2106")]
    for topic, payload, _ in mistakes:
        say(broker, bad, topic, payload)

    def found():
        report = json.loads(trunkctl(broker, "model", "plan", path, "-o", "json", code=1))
        return {(entry["topic"], entry["rule"]) for entry in report["findings"] if entry["client_id"] == "edge-bad"}
    wanted = {(topic, rule) for topic, _, rule in mistakes}
    eventually(lambda: found() == wanted, 5, "the mistakes")
    text = trunkctl(broker, "model", "plan", path, code=1)
    assert f"watcher  {FILLER}/gone" in text and "learned.yaml:" in text, text
    assert f"fix: {FILLER}/temperature" in text, text

    trunkctl(broker, "model", "apply", path)
    edge.publish(f"{FILLER}/temperature", reading(21, unit="Cel"), qos=1)
    bad.publish(f"{FILLER}/temperature", reading("hot"), qos=1, reason=0x99)
    drift = json.loads(trunkctl(broker, "model", "drift", "-o", "json", code=1))
    rules = {item["rule"] for item in drift["items"]}
    assert {rule for _, _, rule in mistakes} <= rules, drift
    assert "change: " in trunkctl(broker, "model", "drift", code=1)
    broker.stop()



@mosquitto_differs("has no model")
def test_a_new_asset_is_added_applied_and_waited_for(env):
    """new-asset writes one line, applies the next version, prints what to send, and says what is missing."""
    broker = env.own_broker()
    path = write(env, PLANT)
    trunkctl(broker, "model", "apply", path)
    topic = "acme/munich/packaging/line-1/filler-2"
    client = env.connected(broker=broker)
    client.publish(f"{topic}/temperature", reading(20), qos=1, reason=0x90)
    text = trunkctl(broker, "model", "new-asset", "filler@2", topic, "--file", path, "--apply", "--wait", "1s", code=1)
    assert f"added {topic} (filler@2) at {path}:22, version 1.0.0 -> 1.0.1" in text, text
    assert f"MISSING  {topic}/temperature" in text and f"MISSING  {topic}/state" in text, text
    assert "-20 to 120" in text and "Cel" in text and '"timestamp":' in text, text
    with open(path, encoding="utf-8") as file:
        assert file.read() == PLANT.replace("1.0.0", "1.0.1") + "          filler-2: {$type: filler@2}\n"
    client.publish(f"{topic}/temperature", reading(20), qos=1)
    client.publish(f"{topic}/state", reading("idle"), qos=1)
    again = trunkctl(broker, "model", "new-asset", "filler@2", topic, "--file", path, "--wait", "10s")
    assert "is there already" in again and "all of it was heard" in again, again
    assert api(broker, f"/api/v1/model/sheet?asset={topic}")["topics"][0]["topic"] == f"{topic}/state"
    broker.stop()


@mosquitto_differs("has no model")
def test_an_emqx_model_is_imported_without_a_broker(env):
    """import writes a model that check takes and that a broker applies; overlapping models are refused with a topic."""
    broker = env.own_broker()
    model = {"id": "m1", "variable_types": {"line": {"type": "string", "pattern": "^Line[0-9]+$"}},
             "payload_types": {"p": {"required": ["Status"]}},
             "tree": {"default": {"children": {"{line}": {"children": {"Control": {"_payload": "p"}}}}}}}
    source = write(env, json.dumps(model), "emqx.json")
    offline = {"server": "127.0.0.1:1"}
    path = write(env, trunkctl(broker, "model", "import", source, **offline), "imported.yaml")
    assert "is good: m1 1.0.0" in trunkctl(broker, "model", "check", path, **offline)
    trunkctl(broker, "model", "apply", path)
    client = env.connected(broker=broker)
    client.publish("default/Line7/Control", b'{"Status":1}', qos=1)
    client.publish("default/Line7/Control", b"{}", qos=1, reason=0x99)
    client.publish("default/line7/Control", b'{"Status":1}', qos=1, reason=0x90)
    twice = write(env, json.dumps([model, {**model, "id": "m2"}]), "twice.json")
    assert "both match topics such as" in trunkctl(broker, "model", "import", twice, code=1, **offline)
    broker.stop()


@mosquitto_differs("has no model")
def test_models_may_be_large_and_other_bodies_not(env):
    """A model may have 16 MiB, every other body 1 MiB; more is 413 and the broker goes on."""
    broker = env.own_broker()
    large = (PLANT + "# " + "x" * (3 << 20) + "\n").encode()
    status, text = broker.http("/api/v1/model?dry_run=true", "PUT", large, timeout=30)
    assert status == 200, (status, text[:300])
    assert broker.http("/api/v1/publish", "POST", b" " * (2 << 20))[0] in (413, 0)
    assert broker.http("/api/v1/model", "PUT", b" " * (17 << 20), timeout=30)[0] in (413, 0)
    nodes = "".join(f"          c{i}: {{$type: filler@2}}\n" for i in range(100_000))
    many = PLANT.replace("          filler-1:", nodes + "          filler-1:")
    begun = time.monotonic()
    status, text = broker.http("/api/v1/model", "PUT", many.encode(), timeout=60)
    assert status == 200 and json.loads(text)["nodes"] == 100_005, (status, text[:300])
    print(f"100,000 nodes applied in {time.monotonic() - begun:.2f} s")
    assert broker.http("/readyz")[0] == 200
    broker.stop()
