"""What a publish gets that breaks the namespace model: each row of the table in docs/model.md, by clients of 5.0 and
3.1.1, at each QoS, as a publish, retained, by a topic alias and as a will."""
import json
import queue
import re
import subprocess
import time

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCodes

import mqttcodec as codec
from governed import (MODEL, NO_MODELS, PATH, ROWS, TEMPERATURE, check_explained, reading, saw_nothing_before, watcher,
                      write_model)
from harness import eventually, mosquitto_differs, profile
from mqttcodec import V311, V5, Will
from test_admin import api
from test_clients import Paho, mqttjs_folder

RANGE = next(row for row in ROWS if row.rule == "TL-3102")
CASE = next(row for row in ROWS if row.rule == "TL-2103")


def send(client, row, env, qos, **kwargs):
    """Publishes the row's message without waiting; the packet identifier, None at QoS 0."""
    number = client.packet_id() if qos else None
    client.send(codec.publish(kwargs.pop("topic", env.topic(row.tail)), row.payload, version=client.version, qos=qos,
                              packet_id=number, retain=row.retain, **kwargs))
    return number


def sender(env, row, version=V5, **kwargs):
    return env.connected(f"{row.client}{env.id(row.rule)}", version=version, **kwargs)


def metric(broker, name):
    """The value of a metric with its labels as they are printed; 0 when it is not there."""
    _, text = broker.http("/metrics")
    found = re.search(rf"^trunkline_{re.escape(name)} (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0.0


# ---------------------------------------------------------------- MQTT 5

@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v5_refusals(env):
    """[MQTT-3.4.2-1] [MQTT-3.5.2-1] each row at QoS 1 and 2: reason code, Reason String and user properties; nothing is
    delivered or retained, the connection goes on, and after a refusing PUBREC the packet identifier is free."""
    watch = watcher(env)
    for row in ROWS:
        client = sender(env, row)
        for qos, kind in ((1, codec.PUBACK), (2, codec.PUBREC)):
            for _ in range(2):  # a topic that the shard does not know yet, and one that it knows
                number = send(client, row, env, qos)
                found = client.expect(kind, packet_id=number, reason=row.reason)
                check_explained(env, row, found.props)
        client.send(codec.publish(env.topic("line-1/cell-2/temperature"), reading("1"), qos=2, packet_id=number))
        client.expect(codec.PUBREC, packet_id=number, reason=0)
        client.send(codec.ack(codec.PUBREL, number))
        client.expect(codec.PUBCOMP, packet_id=number, reason=0)
        assert watch.message(topic=env.topic("line-1/cell-2/temperature"))
        client.disconnect()
    saw_nothing_before(watch, env.connected(), env.topic(TEMPERATURE))


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v5_refusals_at_qos_0(env):
    """At QoS 0 there is no answer: with `v3_reject: ack` the message is dropped and the connection goes on."""
    watch = watcher(env)
    for row in ROWS:
        client = sender(env, row)
        send(client, row, env, 0)
        client.ping()
        assert not client.stash, client.stash
    saw_nothing_before(watch, env.connected(), env.topic(TEMPERATURE))


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v5_refusals_of_retained_messages(env):
    """What is refused is never retained, and does not take away what is; an empty one clears."""
    topic = env.topic(TEMPERATURE)
    client = env.connected()
    client.publish(topic, reading("21"), qos=1, retain=True)
    for row in (RANGE, CASE):
        for qos in (0, 1, 2):
            number = client.packet_id() if qos else None
            client.send(codec.publish(env.topic(row.tail), row.payload, qos=qos, packet_id=number, retain=True))
            if qos:
                check_explained(env, row, client.recv().props)
    reader = env.connected()
    reader.subscribe(env.topic("#"), qos=1)
    assert reader.message().payload == reading("21")
    reader.ping()
    assert not reader.stash, reader.stash
    client.publish(topic, b"", qos=1, retain=True)
    late = env.connected()
    late.subscribe(env.topic("#"))
    late.ping()
    assert not late.stash, late.stash


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v5_refusals_by_topic_alias(env):
    """[MQTT-3.3.2-12] a publish with an alias alone is judged as of its topic; a refused one sets the alias."""
    watch = watcher(env)
    for row in ROWS:
        client = sender(env, row)
        for qos, kind in ((1, codec.PUBACK), (2, codec.PUBREC)):
            send(client, row, env, qos, props={"topic_alias": qos})
            client.expect(kind, reason=row.reason)
            for _ in range(2):
                send(client, row, env, qos, topic="", props={"topic_alias": qos})
                check_explained(env, row, client.expect(kind, reason=row.reason).props)
    client = env.connected()
    client.publish(env.topic(TEMPERATURE), reading("1"), qos=1, props={"topic_alias": 1})
    assert watch.message().payload == reading("1")
    found = client.publish("", RANGE.payload, qos=1, reason=0x99, props={"topic_alias": 1})
    check_explained(env, RANGE, found.props)
    client.publish("", reading("2"), qos=1, props={"topic_alias": 1})
    assert watch.message().payload == reading("2")


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v5_without_problem_information(env):
    """[MQTT-3.1.2-29] Request Problem Information 0: the reason code alone, also of what is quarantined."""
    for row in ROWS:
        client = sender(env, row, props={"request_problem_information": 0})
        send(client, row, env, 1)
        check_explained(env, row, client.expect(codec.PUBACK, reason=row.reason).props, reason_only=True)
        send(client, row, env, 2)
        check_explained(env, row, client.expect(codec.PUBREC, reason=row.reason).props, reason_only=True)
    client = env.connected(props={"request_problem_information": 0})
    found = client.publish(env.topic("kept-apart/cell-1/temperature"), reading("999"), qos=1)
    assert found.reason == 0 and not found.props, found


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v5_small_packets(env):
    """[MQTT-3.1.2-24] [MQTT-3.4.2-2] [MQTT-3.4.2-3] what Maximum Packet Size has no room for is left out; the reason
    code always comes. The larger it is, the more is told."""
    told = []
    for size in (20, 40, 60, 80, 120, 200, 300, 500, 1000):
        client = sender(env, CASE, props={"maximum_packet_size": size})
        for qos, kind in ((1, codec.PUBACK), (2, codec.PUBREC)):
            send(client, CASE, env, qos)
            found = client.expect(kind, reason=0x90)
            assert len(found.raw) <= size
        told.append(("reason_string" in found.props) + len(found.user))
        client.disconnect()
    assert told[0] == 0 and told[-1] == 5 and told == sorted(told), told
    assert any(0 < count < 5 for count in told), told


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v5_wills_are_judged_at_connect(env):
    """A will that breaks the model is refused at CONNECT, with the reason code that the publish would get and why."""
    watch = watcher(env)
    for row in ROWS:
        for qos in (0, 1, 2):
            client = env.client()
            client.send_connect(f"{row.client}{env.id(f'{row.rule}q{qos}')}",
                                will=Will(env.topic(row.tail), row.payload, qos=qos, retain=row.retain))
            found = client.expect(codec.CONNACK, reason=row.reason)
            told = found.props["reason_string"]
            assert told == f"will: {row.rule} {row.filled(env, row.text)}", (row.name, told)
            client.expect_close()
    good = env.connected(will=Will(env.topic(TEMPERATURE), reading("5"), qos=1))
    good.reset()
    found = watch.message()
    assert found.payload == reading("5"), found


@mosquitto_differs(NO_MODELS)
def test_wills_are_judged_again_when_sent(env):
    """A will that was in order at CONNECT and breaks the model by the time it is sent is refused then, and counted. The
    will waits for its delay while the broker gets a new model."""
    broker = env.own_broker(flags=("--model", PATH))
    props = {"session_expiry_interval": 120}
    watch = env.connected("watch", broker=broker, props=props)
    watch.subscribe(env.topic("#"), qos=1)
    for tail, value in (("line-1/cell-1/temperature", "110"), ("line-1/cell-2/temperature", "10")):
        client = env.connected(broker=broker, props=props,
                               will=Will(env.topic(tail), reading(value), qos=1, props={"will_delay_interval": 2}))
        client.drop()
    time.sleep(0.3)
    broker.kill()
    path = write_model(MODEL.replace("max: 120", "max: 100").replace("1.0.0", "1.1.0"), "tighter.yaml",
                       env.temporary())
    broker.flags = ("--model", path)
    broker.start()
    watch = env.connected("watch", broker=broker, clean=False, props=props)
    assert watch.message(timeout=10).payload == reading("10")
    eventually(lambda: metric(broker, 'violations_total{rule="TL-3102"}') == 1, 5, "the will is counted")
    watch.ping()
    assert not watch.stash, watch.stash
    broker.stop()


# ---------------------------------------------------------------- MQTT 3.1.1

@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v3_refusals_are_acknowledged(env):
    """`v3_reject: ack`: 3.1.1 has no negative acknowledgement, so its clients get a positive one at QoS 1 and 2, and
    nothing is delivered."""
    watch = watcher(env)
    for row in ROWS:
        client = sender(env, row, V311)
        for qos in (0, 1, 2, 2):
            client.publish(env.topic(row.tail), row.payload, qos=qos, retain=row.retain)
        client.ping()
        assert not client.stash, client.stash
    saw_nothing_before(watch, env.connected(version=V311), env.topic(TEMPERATURE))
    reader = env.connected(version=V311)
    reader.subscribe(env.topic("#"))
    reader.ping()
    assert not reader.stash, reader.stash


@profile("strict")
@mosquitto_differs(NO_MODELS)
def test_v3_refusals_end_the_connection(env):
    """`v3_reject: disconnect`: the connection ends without an acknowledgement, at each QoS."""
    watch = watcher(env)
    for row in ROWS:
        for qos in (0, 1, 2):
            client = sender(env, row, V311)
            send(client, row, env, qos)
            client.expect_close()
    saw_nothing_before(watch, env.connected(version=V311), env.topic(TEMPERATURE))


@profile("strict")
@mosquitto_differs(NO_MODELS)
def test_v5_is_told_where_v3_is_disconnected(env):
    """`v3_reject: disconnect` changes nothing for 5.0 at QoS 1 and 2; at QoS 0 a DISCONNECT has the reason code."""
    for row in ROWS:
        client = sender(env, row)
        send(client, row, env, 1)
        check_explained(env, row, client.expect(codec.PUBACK, reason=row.reason).props)
        send(client, row, env, 2)
        client.expect(codec.PUBREC, reason=row.reason)
        send(client, row, env, 0)
        client.expect_disconnect(row.reason)


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_v3_wills_are_judged_at_connect(env):
    """[MQTT-3.2.2-5] a 3.1.1 client with a will that breaks the model gets a CONNACK that refuses, then the close."""
    for row in ROWS:
        client = env.client(V311)
        client.send_connect(f"{row.client}{env.id(row.rule)}", will=Will(env.topic(row.tail), row.payload, qos=1,
                                                                         retain=row.retain))
        assert client.expect(codec.CONNACK).reason != 0
        client.expect_close()


# ---------------------------------------------------------------- observe, moved, exempt, quotas

@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_observed_messages_are_delivered_and_counted(env):
    """`observe`: acknowledged as ever, delivered, retained, and counted as what would have happened."""
    topic = env.topic("watched/cell-1/temperature")
    observed = 'publish_verdicts_total{verdict="observe",stage="payload"}'
    before = metric(env.broker, observed)
    watch = watcher(env)
    for version in (V311, V5):
        client = env.connected(version=version)
        for qos in (0, 1, 2):
            found = client.publish(topic, reading("131.4"), qos=qos, retain=True)
            assert not found or not found.reason, found
            assert watch.message().payload == reading("131.4")
    reader = env.connected()
    reader.subscribe(topic)
    assert reader.message().retain
    eventually(lambda: metric(env.broker, observed) >= before + 6, 3, "six are counted")


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_moved_topics(env):
    """`$aliases`: what is published below an old path is stored and delivered under the new one, also by a topic alias
    and as a will; after its end date the old path is refused."""
    watch = env.connected()
    watch.subscribe("moved/#", "old/#", qos=2)
    client = env.connected(env.id("mover"))
    for qos in (0, 1, 2):
        client.publish("old/hall/cell-1/temperature", reading(str(qos)), qos=qos)
        found = watch.message()
        assert (found.topic, found.payload) == ("moved/cell-1/temperature", reading(str(qos))), found
    client.publish("old/hall/cell-1/temperature", reading("7"), qos=1, props={"topic_alias": 3})
    client.publish("", reading("8"), qos=1, props={"topic_alias": 3})
    assert [found.topic for found in watch.take(2)] == ["moved/cell-1/temperature"] * 2
    client.publish("old/hall/cell-1/temperature", reading("9"), qos=1, retain=True)
    assert watch.message().topic == "moved/cell-1/temperature"
    reader = env.connected()
    reader.subscribe("moved/#", "old/#")
    assert reader.message().topic == "moved/cell-1/temperature"
    found = client.publish("older/hall/cell-1/temperature", reading(), qos=1, reason=0x90)
    told = dict(found.user)
    assert told["uns-rule"] == "TL-2107" and "moved/cell-1/temperature" in told["uns-fix"], told
    found = client.publish("old/hall/cell-1/temperature", reading("131.4"), qos=1, reason=0x99)
    assert dict(found.user)["uns-rule"] == "TL-3102"
    env.connected(will=Will("old/hall/cell-1/temperature", reading("11"), qos=1)).reset()
    found = watch.message()
    assert (found.topic, found.payload) == ("moved/cell-1/temperature", reading("11")), found
    client.publish("moved/cell-1/temperature", b"", qos=1, retain=True)


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_exempt_topics_and_topics_of_the_broker(env):
    """`exempt`: never checked. Other topics that begin with $ are refused."""
    watch = env.connected()
    watch.subscribe("free/" + env.topic("#"), qos=2)
    for version in (V311, V5):
        client = env.connected(version=version)
        for qos in (0, 1, 2):
            client.publish("free/" + env.topic("Any/thing"), b"\xff\x00", qos=qos, retain=True)
            assert watch.message().payload == b"\xff\x00"
        client.publish("free/" + env.topic("Any/thing"), b"", qos=1, retain=True)
        watch.message()
    client = env.connected()
    found = client.publish("$mine/x", b"1", qos=1, reason=0x90)
    assert dict(found.user)["uns-rule"] == "TL-2108"
    for topic in ("$SYS/x", "$UNS/x", "$UNS/violations"):
        assert client.publish(topic, b"1", qos=1, reason=0x90)


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_quota_of_topics(env):
    """`$quota: {topics: 2}`: topics that exist go on, a third is refused with 0x97 and TL-5101."""
    client = env.connected()
    for _ in range(3):
        for cell in (1, 2):
            client.publish(env.topic(f"few/cell-{cell}/temperature"), reading(), qos=1)
    for qos in (1, 2):
        found = client.publish(env.topic("few/cell-3/temperature"), reading(), qos=qos, reason=0x97)
        told = dict(found.user)
        assert told["uns-rule"] == "TL-5101" and "2" in told["uns-expected"] and told["uns-fix"], told
        assert found.props["reason_string"].startswith("TL-5101 "), found
    client.publish(env.topic("few/cell-1/temperature"), reading(), qos=1)
    old = env.connected(version=V311)
    old.publish(env.topic("few/cell-4/temperature"), reading(), qos=1)
    watch = env.connected()
    watch.subscribe(env.topic("few/cell-4/#"))
    watch.ping()
    assert not watch.stash, watch.stash


def refused_of(client, topic, payload, count):
    """Sends so many at QoS 1 at once; the rules of those that were refused."""
    numbers = [client.packet_id() for _ in range(count)]
    client.send(*(codec.publish(topic, payload, qos=1, packet_id=number) for number in numbers))
    answers = [client.wait_for(codec.PUBACK, packet_id=number) for number in numbers]
    assert all(found.reason in (0, 0x10, 0x97) for found in answers), answers
    return [dict(found.user)["uns-rule"] for found in answers if found.reason == 0x97]


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_quotas_of_messages_and_bytes(env):
    """`rate: 5/s`, `bytes: 1 KiB/s`: above them messages are refused with 0x97; a while later they are taken again."""
    client = env.connected()
    for tail, payload, rule in (("slow/cell-1/temperature", reading(), "TL-5102"),
                                ("narrow/cell-1/temperature", reading() + b" " * 300, "TL-5103")):
        topic = env.topic(tail)
        rules = refused_of(client, topic, payload, 30)
        assert 15 <= len(rules) < 30 and set(rules) == {rule}, rules
        eventually(lambda topic=topic, payload=payload: not refused_of(client, topic, payload, 1), 5, "room again")


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_publishes_by_api(env):
    """POST /api/v1/publish is judged as a client's publish: 422 with the rule and the fix; what the model takes goes
    out, with the defaults of QoS and RETAIN."""
    watch = watcher(env)
    for row in ROWS:
        if row.client == "scada-":
            continue  # the API is no writer of that command
        body = {"topic": env.topic(row.tail), "payload": row.payload.decode(), "retain": row.retain}
        answer = api(env.broker, "/api/v1/publish", "POST", body, 422)
        assert answer["detail"] == f"{row.rule} {row.filled(env, row.text)}", answer
        assert row.filled(env, row.fix) in answer["fix"], answer
    body = {"topic": env.topic(TEMPERATURE), "payload": reading("8").decode()}
    assert api(env.broker, "/api/v1/publish", "POST", body)["accepted"]
    assert watch.message().payload == reading("8")
    api(env.broker, "/api/v1/publish", "POST", {**body, "topic": env.topic("kept-apart/cell-1/temperature"),
                                                "payload": "{}"}, 422)


# ---------------------------------------------------------------- what lasts

@mosquitto_differs(NO_MODELS)
def test_the_model_survives_kill_9(env):
    """The model that was applied holds after kill -9 without being given again; another one with the same version is
    refused; what was refused is not retained."""
    broker = env.own_broker(flags=("--model", PATH))
    client = env.connected(broker=broker)
    client.publish(env.topic(TEMPERATURE), RANGE.payload, qos=1, retain=True, reason=0x99)
    client.publish(env.topic(TEMPERATURE), reading("33"), qos=1, retain=True)
    broker.kill()
    broker.flags = ()
    broker.start()
    status = json.loads(broker.http("/api/v1/status")[1])
    assert (status["governance"]["model"]["name"], status["governance"]["model"]["version"]) == ("e2e", "1.0.0")
    client = env.connected(broker=broker)
    found = client.publish(env.topic(TEMPERATURE), RANGE.payload, qos=1, reason=0x99, retain=True)
    check_explained(env, RANGE, found.props)
    client.subscribe(env.topic("#"))
    assert client.message().payload == reading("33")
    broker.kill()
    broker.flags = ("--model", write_model(MODEL.replace("max: 120", "max: 99"), "same-version.yaml", env.temporary()))
    try:
        broker.start()
    except RuntimeError as error:
        assert "1.0.0" in str(error), error
    else:
        raise AssertionError("the broker takes another model under a version that was applied")


@mosquitto_differs(NO_MODELS)
def test_a_new_model_holds_at_once_for_everybody(env):
    """Once PUT of a model is answered, every connection on every worker is judged by it: topics that were in use,
    aliases that stand, wills; after kill -9 too."""
    broker = env.own_broker(flags=("--model", PATH), extra_config={"workers": 2})
    clients = [env.connected(broker=broker) for _ in range(6)]
    topics = [env.topic(f"line-1/cell-{number}/temperature") for number in range(6)]
    for client, topic in zip(clients, topics):
        client.publish(topic, reading("110"), qos=1, props={"topic_alias": 1})
    for version, most in (("1.1.0", 100), ("1.2.0", 120), ("1.3.0", 100)):
        text = MODEL.replace("max: 120", f"max: {most}").replace("1.0.0", version)
        status, answer = broker.http("/api/v1/model", "PUT", text.encode())
        assert status == 200, (status, answer)
        for client, topic in zip(clients, topics):
            reason = 0x99 if most == 100 else None
            client.publish("", reading("110"), qos=1, reason=reason, props={"topic_alias": 1})
            client.publish(topic, reading("110"), qos=2, reason=reason)
    refused = env.client(broker=broker)
    refused.send_connect(env.id("will"), will=Will(topics[0], reading("110")))
    refused.expect(codec.CONNACK, reason=0x99)
    broker.kill()
    broker.flags = ()
    broker.start()
    env.connected(broker=broker).publish(topics[0], reading("110"), qos=1, reason=0x99)
    assert broker.http("/api/v1/model", "PUT", MODEL.replace("max: 120", "max: 7").encode())[0] == 409


@mosquitto_differs(NO_MODELS)
def test_a_bad_model_file_stops_the_start(env):
    """A model with faults is not served: every fault is printed with file, line, column and rule."""
    path = write_model(MODEL.replace("type: number, unit: Cel", "type: nummer, unit: Celsius"), "bad.yaml",
                       env.temporary())
    broker = env.own_broker()
    broker.stop()
    broker.flags = ("--model", path)
    try:
        broker.start()
    except RuntimeError as error:
        assert re.search(r"bad\.yaml:10:\d+: TL-91\d\d", str(error)), error
        assert "nummer" in str(error), error
        assert "exited with 1" in str(error), error
    else:
        raise AssertionError("the broker starts with a faulty model")


# ---------------------------------------------------------------- other people's clients

@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_mosquitto_pub_says_why(env):
    """mosquitto_pub of 5.0 warns with the reason; of 3.1.1 it sees an acknowledgement."""
    port = str(env.broker.ports["mqtt"])
    for version, qos in (("5", "1"), ("5", "2"), ("311", "1"), ("311", "2")):
        for row, words in ((RANGE, "Payload format invalid"), (CASE, "Topic name invalid")):
            done = subprocess.run(["mosquitto_pub", "-p", port, "-V", version, "-q", qos, "-t", env.topic(row.tail),
                                   "-m", row.payload.decode()], capture_output=True, text=True, timeout=20, check=False)
            if version == "5":
                assert words.lower() in (done.stdout + done.stderr).lower(), done
            else:
                assert done.returncode == 0 and not done.stderr, done


class ExplainedPaho(Paho):
    """Paho 1.6 reads the reason and the properties of a PUBACK and PUBREC, and tells neither: this keeps them."""

    def __init__(self, *arguments, **kwargs):
        super().__init__(*arguments, **kwargs)
        self.answers = queue.Queue()
        for name, kind in (("_handle_pubackcomp", PacketTypes.PUBACK), ("_handle_pubrec", PacketTypes.PUBREC)):
            setattr(self.client, name, self.keeping(getattr(self.client, name), kind))

    def keeping(self, handle, kind):
        def keep(*arguments):
            raw = self.client._in_packet["packet"]  # pylint: disable=protected-access
            if not arguments or arguments[0] == "PUBACK":
                code, props = ReasonCodes(kind), Properties(kind)
                if len(raw) > 2:
                    code.unpack(raw[2:])
                if len(raw) > 3:
                    props.unpack(raw[3:])
                self.answers.put((code.value if len(raw) > 2 else 0, props))
            return handle(*arguments)
        return keep


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_paho_is_told_why(env):
    """Paho reads reason code, Reason String and user properties of each refusal at QoS 1 and 2, as 5.0 and 3.1.1."""
    watch = watcher(env)
    for row in ROWS:
        client = ExplainedPaho(env, "mqtt", V5, f"{row.client}{env.id('p' + row.rule)}")
        for qos in (1, 2):
            client.client.publish(env.topic(row.tail), row.payload, qos, row.retain)
            code, props = client.answers.get(timeout=10)
            assert code == row.reason, (row.name, code)
            check_explained(env, row, {"reason_string": props.ReasonString, "user_property": props.UserProperty})
        client.close()
        old = Paho(env, "mqtt", V311, f"{row.client}{env.id('o' + row.rule)}")
        for qos in (0, 1, 2):
            old.publish(env.topic(row.tail), row.payload, qos, row.retain)
        old.close()
    saw_nothing_before(watch, env.connected(), env.topic(TEMPERATURE))


@profile("governed")
@mosquitto_differs(NO_MODELS)
def test_mqttjs_is_told_why(env):
    """MQTT.js reads reason code, Reason String and user properties of each refusal at QoS 1 and 2."""
    folder = mqttjs_folder()
    rows = [(row, qos) for row in ROWS for qos in (1, 2)]
    messages = [{"topic": env.topic(row.tail), "payload": row.payload.decode(), "qos": qos, "retain": row.retain,
                 "client": row.client} for row, qos in rows]
    done = subprocess.run(["node", "refused.js", f"mqtt://localhost:{env.broker.ports['mqtt']}", env.id("js")],
                          cwd=folder, input=json.dumps(messages), capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told) == len(rows)
    for (row, _), answer in zip(rows, told):
        assert answer["code"] == row.reason, (row.name, answer)
        check_explained(env, row, {"reason_string": answer["reason"], "user_property": list(answer["user"].items())})
