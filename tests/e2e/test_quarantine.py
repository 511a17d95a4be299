"""The quarantine and the list of violations, as publishers, subscribers and the people in charge see them."""
import json
import os
import subprocess
import time

import mqttcodec as codec
from governed import (MODEL, NO_MODELS, PATH, ROWS, TEMPERATURE, reading, saw_nothing_before, watcher, write_model)
from harness import ROOT, eventually, mosquitto_differs, profile, versions
from mqttcodec import V311, V5, Will
from test_admin import api, trunkctl
from test_governance import metric

KEPT = "kept-apart/cell-1/temperature"
BAD = reading("131.4")


def governed_broker(env, model=None):
    return env.own_broker(flags=("--model", write_model(model, "model.yaml", env.temporary()) if model else PATH))


def quarantine(broker, query=""):
    return api(broker, "/api/v1/quarantine" + query)["messages"]


def restart_with(env, broker, model):
    """kill -9, and on with another model."""
    broker.kill()
    broker.flags = ("--model", write_model(model, "next.yaml", env.temporary())) if model else ()
    broker.start()


@profile("governed")
@versions(V311, V5)
@mosquitto_differs(NO_MODELS)
def test_quarantined_publishes(env, version):
    """[MQTT-3.4.2-1] quarantined at QoS 0, 1 and 2: acknowledged with 0x00 and the user property `uns-verdict:
    quarantined`, not delivered, not retained; a live copy goes to $UNS/quarantine/<topic>."""
    watch = watcher(env)
    copies = env.connected()
    copies.subscribe("$UNS/quarantine/" + env.topic("#"), qos=1)
    client = env.connected(version=version)
    for qos in (0, 1, 2):
        payload = reading(f"{200 + qos}")
        found = client.publish(env.topic(KEPT), payload, qos=qos, retain=qos == 1)
        if version == V5 and qos:
            assert found.reason == 0 and dict(found.user).get("uns-verdict") == "quarantined", found
        copy = copies.wait_for(codec.PUBLISH)
        copies.acknowledge(copy)
        assert (copy.topic, copy.payload, copy.retain) == ("$UNS/quarantine/" + env.topic(KEPT), payload, False), copy
    client.publish(env.topic(KEPT), reading("20"), qos=1)
    assert watch.message().payload == reading("20")
    saw_nothing_before(watch, client, env.topic(TEMPERATURE))
    reader = env.connected()
    reader.subscribe(env.topic("#"))
    reader.ping()
    assert not reader.stash, reader.stash
    eventually(lambda: len(quarantine(env.broker, f"?filter={env.topic('%23')}")) == 3, 3, "three are kept")
    first, second, third = quarantine(env.broker, f"?filter={env.topic('%23')}")
    assert [entry["qos"] for entry in (first, second, third)] == [0, 1, 2]
    assert [entry["retain"] for entry in (first, second, third)] == [False, True, False]
    assert second["rule"] == "TL-3102" and second["text"] == "value 201 is above max 120 Cel", second
    assert second["topic"] == env.topic(KEPT) and second["at"] == "/value" and second["fix"], second
    for entry in (first, second, third):
        api(env.broker, f"/api/v1/quarantine/{entry['id']}", "DELETE")


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_quarantined_by_alias(env):
    """A publish by a topic alias alone is quarantined under its topic."""
    client = env.connected()
    client.publish(env.topic(KEPT), reading("20"), qos=1, props={"topic_alias": 2})
    found = client.publish("", BAD, qos=1, props={"topic_alias": 2})
    assert dict(found.user).get("uns-verdict") == "quarantined", found
    (entry,) = quarantine(env.broker, f"?filter={env.topic('%23')}")
    assert entry["topic"] == env.topic(KEPT)


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_quarantined_wills(env):
    """A will into a branch that quarantines is no reason to refuse the connection: it is quarantined when sent."""
    watch = watcher(env)
    copies = env.connected()
    copies.subscribe("$UNS/quarantine/" + env.topic("#"), qos=1)
    for version in (V311, V5):
        for qos in (0, 1):
            payload = reading(f"{300 + qos}")
            client = env.connected(version=version, will=Will(env.topic(KEPT), payload, qos=qos, retain=True))
            client.reset()
            assert copies.message().payload == payload
    assert len(quarantine(env.broker, f"?filter={env.topic('%23')}")) == 4
    saw_nothing_before(watch, env.connected(), env.topic(TEMPERATURE))


@mosquitto_differs(NO_MODELS)
def test_quarantined_once_at_qos_2(env):
    """[MQTT-4.3.3-10] a QoS 2 message that is sent again, before its PUBREL or after kill -9, is quarantined once."""
    broker = env.own_broker(flags=("--model", PATH))
    props = {"session_expiry_interval": 300}
    again = codec.publish(env.topic(KEPT), BAD, qos=2, packet_id=5, dup=True)
    client = env.connected("twice", broker=broker, props=props)
    client.send(codec.publish(env.topic(KEPT), BAD, qos=2, packet_id=5))
    client.expect(codec.PUBREC, packet_id=5, reason=0)
    client.send(again)
    client.expect(codec.PUBREC, packet_id=5, reason=0)
    broker.kill()
    broker.start()
    client = env.connected("twice", broker=broker, clean=False, props=props)
    assert client.connack.session_present
    client.send(again)
    client.expect(codec.PUBREC, packet_id=5, reason=0)
    client.send(codec.ack(codec.PUBREL, 5))
    client.expect(codec.PUBCOMP, packet_id=5, reason=0)
    assert len(quarantine(broker)) == 1
    client.send(codec.publish(env.topic(KEPT), BAD, qos=2, packet_id=5))
    client.expect(codec.PUBREC, packet_id=5, reason=0)
    assert len(quarantine(broker)) == 2


@profile("governed")
@versions(V311, V5)
@mosquitto_differs(NO_MODELS)
def test_answers_keep_their_order(env, version):
    """[MQTT-4.6.0-2] messages that are taken, retained, refused and quarantined, sent at once: their acknowledgements
    come in the order in which the messages did."""
    client = env.connected(version=version)
    kinds = [(TEMPERATURE, reading(), False, 0), (TEMPERATURE, reading(), True, 0), (TEMPERATURE, BAD, False, 0x99),
             (KEPT, BAD, False, 0), ("nowhere", b"1", False, 0x90)]
    sent = [(number, *kinds[(number * 7 + number // 3) % len(kinds)]) for number in range(1, 201)]
    client.send(*(codec.publish(env.topic(tail), payload, version=version, qos=1, packet_id=number, retain=retain)
                  for number, tail, payload, retain, _ in sent))
    answers = [client.expect(codec.PUBACK) for _ in sent]
    assert [answer.packet_id for answer in answers] == [number for number, *_ in sent]
    if version == V5:
        assert all(answer.reason in (reason, 0x10 if not reason else reason)
                   for answer, (*_, reason) in zip(answers, sent)), answers
    client.publish(env.topic(TEMPERATURE), b"", qos=1, retain=True)


@mosquitto_differs(NO_MODELS)
def test_a_full_quarantine_refuses(env):
    """The quarantine is bounded: when it is full, 5.0 publishers get 0x97 and 3.1.1 publishers no acknowledgement but
    the end of their connection; nothing acknowledged is missing, and there is room again when something was dropped."""
    broker = env.own_broker(limits={"quarantine_messages": 10}, flags=("--model", PATH))
    client = env.connected(broker=broker)
    for number in range(10):
        client.publish(env.topic(KEPT), reading(str(200 + number)), qos=1 + number % 2)
    for qos in (1, 2):
        assert client.publish(env.topic(KEPT), BAD, qos=qos, reason=0x97).props["reason_string"]
    old = env.connected(broker=broker, version=V311)
    old.send(codec.publish(env.topic(KEPT), BAD, version=V311, qos=1, packet_id=7))
    old.expect_close(timeout=20)
    client.publish(env.topic(TEMPERATURE), reading(), qos=1)
    entries = quarantine(broker)
    assert [entry["text"][6:9] for entry in entries] == [str(200 + number) for number in range(10)], entries
    api(broker, f"/api/v1/quarantine/{entries[0]['id']}", "DELETE")
    client.publish(env.topic(KEPT), BAD, qos=1)
    assert len(quarantine(broker)) == 10


@mosquitto_differs(NO_MODELS)
def test_quarantine_survives_kill_9(env):
    """What was acknowledged as quarantined is there after kill -9, byte for byte with its properties, once each; what
    was replayed or dropped stays away."""
    broker = governed_broker(env)
    client = env.connected("sender", broker=broker)
    for number in range(200):
        props = {"content_type": "application/json", "user_property": [("n", str(number))]}
        client.publish(env.topic(KEPT), reading(str(200 + number)), qos=1 + number % 2, props=props)
    broker.kill()
    broker.start()
    entries = quarantine(broker)
    assert len(entries) == 200 and metric(broker, "quarantined_messages") == 200
    assert [entry["id"] for entry in entries] == sorted(entry["id"] for entry in entries)
    for number in (0, 1, 77, 199):
        message = api(broker, f"/api/v1/quarantine/{entries[number]['id']}")
        assert message["payload"].encode() == reading(str(200 + number)) and message["client_id"] == "sender", message
        assert message["content_type"] == "application/json" and message["user_properties"] == [["n", str(number)]]
    api(broker, f"/api/v1/quarantine/{entries[5]['id']}", "DELETE")
    api(broker, f"/api/v1/quarantine/{entries[5]['id']}", "DELETE", code=404)
    broker.kill()
    broker.start()
    ids = [entry["id"] for entry in quarantine(broker)]
    assert ids == [entry["id"] for entry in entries if entry is not entries[5]]
    client = env.connected("sender", broker=broker)
    client.publish(env.topic(KEPT), BAD, qos=1)
    assert quarantine(broker)[-1]["id"] > entries[-1]["id"]


@mosquitto_differs(NO_MODELS)
def test_replay(env):
    """Replay judges again: refused with the rule while the model is as it was; once the model takes the message it is
    published as it was sent, to subscribers and as a retained value, and leaves the quarantine, also across kill -9."""
    broker = governed_broker(env)
    client = env.connected("sender", broker=broker)
    client.publish(env.topic(KEPT), BAD, qos=1, retain=True, props={"content_type": "x"})
    (entry,) = quarantine(broker)
    answer = api(broker, f"/api/v1/quarantine/{entry['id']}/replay", "POST", {}, code=422)
    assert answer["type"] == "urn:trunkline:problem:refused-by-model" and "TL-3102" in answer["detail"], answer
    assert "at most 120 Cel" in answer["fix"], answer
    output = trunkctl(broker, "quarantine", "replay", str(entry["id"]), code=1)
    assert "TL-3102" in output and "replayed 0 of 1 message" in output, output
    assert len(quarantine(broker)) == 1
    restart_with(env, broker, MODEL.replace("max: 120", "max: 150").replace("1.0.0", "1.1.0"))
    watch = env.connected("watch", broker=broker)
    watch.subscribe(env.topic("#"), qos=1, retain_as_published=True)
    output = trunkctl(broker, "quarantine", "replay", str(entry["id"]), "--reason", "range was wrong")
    assert "replayed 1 of 1 message" in output, output
    found = watch.message()
    assert (found.topic, found.payload, found.qos, found.retain) == (env.topic(KEPT), BAD, 1, True), found
    assert found.props.get("content_type") == "x", found
    assert not quarantine(broker)
    api(broker, f"/api/v1/quarantine/{entry['id']}/replay", "POST", {}, code=404)
    restart_with(env, broker, None)
    assert not quarantine(broker)
    late = env.connected(broker=broker)
    late.subscribe(env.topic("#"))
    assert late.message().payload == BAD


@mosquitto_differs(NO_MODELS)
def test_quarantine_for_people(env):
    """trunkctl quarantine ls, show and drop, by id and by filter, with --dry-run; pages; bad requests."""
    broker = governed_broker(env)
    client = env.connected("edge-9", broker=broker)
    for number in range(7):
        client.publish(env.topic(KEPT), reading(str(200 + number)), qos=1)
    client.publish(env.topic("kept-apart/cell-1/state"), b"\xff\xfe", qos=1)
    seen, cursor = [], ""
    while True:
        page = api(broker, f"/api/v1/quarantine?limit=3{cursor}")
        assert len(page["messages"]) <= 3 and page["total"] == 8
        seen += [entry["id"] for entry in page["messages"]]
        if "cursor" not in page:
            break
        cursor = f"&cursor={page['cursor']}"
    assert len(seen) == 8 and seen == sorted(set(seen))
    lines = trunkctl(broker, "quarantine", "ls").splitlines()
    assert lines[0].split() == ["ID", "AGE", "TOPIC", "CLIENT", "RULE", "WHAT", "BYTES"] and len(lines) == 9
    assert "edge-9" in lines[1] and "value 200 is above max 120 Cel" in lines[1], lines
    shown = trunkctl(broker, "quarantine", "show", str(seen[0]))
    assert "TL-3102" in shown and reading("200").decode() in shown and "at most 120 Cel" in shown, shown
    binary = json.loads(trunkctl(broker, "-o", "json", "quarantine", "show", str(seen[7])))
    assert (binary["payload"], binary["encoding"]) == ("//4=", "base64"), binary
    assert binary["rule"].startswith("TL-300"), binary
    trunkctl(broker, "quarantine", "show", "999999", code=1)
    trunkctl(broker, "quarantine", "drop", "x1", code=2)
    trunkctl(broker, "quarantine", "drop", code=2)
    assert "dropped 1 of 1 message" in trunkctl(broker, "quarantine", "drop", str(seen[0]))
    assert "not dropped" in trunkctl(broker, "quarantine", "drop", str(seen[0]), code=1)
    filtered = env.topic("kept-apart/+/temperature")
    assert "would drop 6 messages" in trunkctl(broker, "quarantine", "drop", "--filter", filtered, "--dry-run")
    assert len(quarantine(broker)) == 7
    assert "dropped 6 messages" in trunkctl(broker, "quarantine", "drop", "--filter", filtered)
    assert [entry["id"] for entry in quarantine(broker)] == [seen[7]]
    trunkctl(broker, "quarantine", "ls", filtered, code=1)
    for query in ("?filter=a%23", "?limit=0", "?limit=x", "?cursor=-1"):
        api(broker, "/api/v1/quarantine" + query, code=400)
    api(broker, "/api/v1/quarantine", "DELETE", code=400)
    for path in ("x", "-1", "99999999999999999999999", "7/what"):
        api(broker, f"/api/v1/quarantine/{path}", code=404)
    api(broker, f"/api/v1/quarantine/{seen[7]}/replay", "POST", {"why": 1}, code=400)
    assert "1 message" in trunkctl(broker, "status")


@mosquitto_differs(NO_MODELS)
def test_violations_for_people(env):
    """trunkctl violations and $UNS/violations name who, topic, rule, what and the fix, newest first; the same again is
    one line with a count; metrics and status count all."""
    broker = governed_broker(env)
    events = env.connected("events", broker=broker)
    events.subscribe("$UNS/violations", qos=0)
    client = env.connected("n-edge-7", broker=broker)
    scada = env.connected("scada-1", broker=broker)
    for row in ROWS:
        (scada if row.client == "scada-" else client).publish(env.topic(row.tail), row.payload, qos=1,
                                                              retain=row.retain, reason=row.reason)
        event = json.loads(events.message().payload)
        assert (event["topic"], event["rule"], event["outcome"]) == (env.topic(row.tail), row.rule, "reject"), event
        assert event["text"] == row.filled(env, row.text) and row.filled(env, row.fix) in event["fix"], event
        assert event["reason_code"] == row.reason and event["qos"] == 1 and event["model_version"] == "1.0.0", event
        assert event["client_id"] == ("scada-1" if row.client == "scada-" else "n-edge-7"), event
        assert abs(event["at_ms"] / 1000 - time.time()) < 60, event
    client.publish(env.topic(KEPT), BAD, qos=1)
    assert json.loads(events.message().payload)["outcome"] == "quarantine"
    for _ in range(20):
        client.publish(env.topic(ROWS[1].tail), ROWS[1].payload, qos=1, reason=ROWS[1].reason)
    page = api(broker, "/api/v1/violations")
    rules = [entry["rule"] for entry in page["violations"]]
    assert page["total"] == len(ROWS) + 21 and len(rules) == len(ROWS) + 1, page
    assert rules == ["TL-3102"] + [row.rule for row in reversed(ROWS)], rules
    assert next(entry for entry in page["violations"] if entry["rule"] == ROWS[1].rule)["repeated"] == 20
    lines = trunkctl(broker, "violations").splitlines()
    assert lines[0].split() == ["AGE", "CLIENT", "TOPIC", "RULE", "VERDICT", "TIMES", "WHAT", "FIX"], lines
    assert len(lines) == len(ROWS) + 2 and "quarantine" in lines[1], lines
    assert len(trunkctl(broker, "violations", "-n", "3").splitlines()) == 4
    assert len(json.loads(trunkctl(broker, "-o", "json", "violations"))) == len(ROWS) + 1
    api(broker, "/api/v1/violations?limit=0", code=400)
    total = sum(metric(broker, f'publish_verdicts_total{{verdict="reject",stage="{stage}"}}')
                for stage in ("writers", "name", "payload", "retain", "quota"))
    assert total == len(ROWS) + 20
    assert metric(broker, 'violations_total{rule="TL-2101"}') == 21
    assert metric(broker, 'model_info{name="e2e",version="1.0.0"}') == 1
    status = trunkctl(broker, "status")
    eventually(lambda: api(broker, "/api/v1/status")["governance"]["violations"]["per_minute"] == len(ROWS) + 21, 5,
               "the last minute's are in the status")
    assert "e2e 1.0.0, applied" in status and f"{len(ROWS) + 21} since the start" in status, status


@mosquitto_differs(NO_MODELS)
def test_violations_are_watched(env):
    """trunkctl violations --watch prints each as it comes."""
    broker = governed_broker(env)
    beside = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), "trunkctl")
    program = beside if os.path.exists(beside) else os.path.join(ROOT, "build", "release", "bin", "trunkctl")
    watching = subprocess.Popen(["timeout", "30", program, "--server", f"127.0.0.1:{broker.admin_port}", "violations",
                                 "--watch", "-n", "2"], stdout=subprocess.PIPE, text=True)
    try:
        eventually(lambda: metric(broker, "subscriptions") >= 1 or watching.poll() is not None, 5, "it watches")
        client = env.connected("edge-7", broker=broker)
        client.publish(env.topic(ROWS[3].tail), reading(), qos=1, reason=0x90)
        client.publish(env.topic(KEPT), BAD, qos=1)
        first, second = watching.stdout.readline(), watching.stdout.readline()
        assert "reject" in first and "edge-7" in first and "TL-2103" in first and "fix: " in first, first
        assert "quarantine" in second and "TL-3102 value 131.4 is above max 120 Cel" in second, second
        assert watching.wait(5) == 0
    finally:
        watching.kill()
        watching.wait(5)
        watching.stdout.close()


@mosquitto_differs(NO_MODELS)
def test_a_flood_of_violations_is_bounded(env):
    """Ten thousand different violations at once: each is counted, the list and the events are bounded, and others are
    served."""
    broker = governed_broker(env)
    events = env.connected("events", broker=broker)
    events.subscribe("$UNS/violations")
    client = env.connected(broker=broker)
    count = 10_000
    client.send(*(codec.publish(env.topic(f"nowhere-{number}/x"), b"1") for number in range(count)))
    client.ping()
    assert metric(broker, 'violations_total{rule="TL-2101"}') == count
    listed = api(broker, "/api/v1/violations?limit=1000")
    assert listed["total"] == count and 0 < len(listed["violations"]) <= 1000
    assert 0 < len(events.drain(0.5)) <= count / 5
    client.publish(env.topic(TEMPERATURE), reading(), qos=1)


def plant(broker, *arguments):
    """What `trunkbench plant -o json` prints, document by document."""
    beside = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), "trunkbench")
    program = beside if os.path.exists(beside) else os.path.join(ROOT, "build", "release", "bin", "trunkbench")
    done = subprocess.run([program, "plant", "--url", f"mqtt://127.0.0.1:{broker.ports['mqtt']}", "-o", "json",
                           "--duration", "4", "--rate", "400", *arguments], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done
    decoder, text, documents = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        document, end = decoder.raw_decode(text)
        documents.append(document)
        text = text[end:].strip()
    return documents


@mosquitto_differs(NO_MODELS)
def test_the_plant_and_its_mistakes(env):
    """The simulated plant keeps deploy/examples/discrete.yaml; of --mistakes each seeded one is found by its rule, from
    its gateway and with a fix, and nothing else is; what the model names and nobody sent is not among them."""
    broker = env.own_broker(flags=("--model", os.path.join(ROOT, "deploy", "examples", "discrete.yaml")))
    (report,) = plant(broker)
    assert report["readings"] > 1000 and report["refused"] == 0, report
    assert api(broker, "/api/v1/violations") == {"total": 0, "violations": []}
    seeded, report = plant(broker, "--mistakes")
    sent = [mistake for mistake in seeded["mistakes"] if mistake["rule"]]
    assert len(seeded["mistakes"]) == 8 and len(sent) == 7 and report["refused"] > 0, seeded
    page = api(broker, "/api/v1/violations?limit=1000")
    found = {(entry["topic"], entry["rule"], entry["client_id"]) for entry in page["violations"]}
    assert found == {(mistake["topic"], mistake["rule"], mistake["client"]) for mistake in sent}, found
    for entry in page["violations"]:
        mistake = next(mistake for mistake in sent if mistake["topic"] == entry["topic"])
        assert entry["fix"], entry
        assert mistake["topic"] == mistake["right"] or mistake["right"] in entry["fix"], entry
    kept = quarantine(broker, "?limit=10000")
    unknown = next(mistake for mistake in sent if mistake["mistake"] == "unknown metric")
    assert kept and {entry["topic"] for entry in kept} == {unknown["topic"]}, kept


@mosquitto_differs(NO_MODELS)
def test_pages_of_violations(env):
    """Pages of violations hold each once, newest first, while more of them come; a cursor that is none is refused."""
    broker = governed_broker(env)
    client = env.connected(broker=broker)
    names = [f"{env.unique}/watched/cell-1/unknown-{number}" for number in range(23)]

    def breaks(topic):
        client.publish(topic, reading("20"), qos=1)
    for name in names:
        breaks(name)
    eventually(lambda: len(api(broker, "/api/v1/violations")["violations"]) == len(names), 3, "all are listed")
    whole = api(broker, "/api/v1/violations")
    assert "cursor" not in whole and [one["topic"] for one in whole["violations"]] == names[::-1], whole
    seen, cursor = [], ""
    for number in range(20):
        page = api(broker, f"/api/v1/violations?limit=5{cursor}")
        assert 0 < len(page["violations"]) <= 5, page
        seen += [one["topic"] for one in page["violations"]]
        breaks(f"{env.unique}/watched/cell-1/later-{number}")
        if "cursor" not in page:
            break
        cursor = "&cursor=" + page["cursor"]
    assert seen == names[::-1], seen
    for wrong in ("x", "1", "1-2", "1-2-x", "--", "-1-2-3", "99999999999999999999-1-1"):
        api(broker, f"/api/v1/violations?cursor={wrong}", code=400)
    assert api(broker, "/api/v1/violations?cursor=1-1-1")["violations"] == []   # nothing is as old
    assert trunkctl(broker, "violations", "-n", "7", "-o", "jsonl").count("\n") == 7
    assert trunkctl(broker, "violations", "-n", "5000", "-o", "jsonl").count("\n") > len(names)
    broker.stop()
