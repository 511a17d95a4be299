"""Retained messages, Retain Handling, Retain As Published."""
import time

import mqttcodec as codec
from harness import mosquitto_differs, versions
from mqttcodec import PUBLISH, V311, V5


@versions(V311, V5)
def test_retained_message_is_replaced_and_removed(env, version):
    """[MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT-3.3.1-8] RETAIN 1 replaces, an empty payload removes and is
    not kept itself, RETAIN 0 changes nothing; at every QoS."""
    publisher = env.connected(version=version)

    def kept():
        reader = env.connected(version=version)
        reader.subscribe(env.topic(), qos=2)
        found = reader.drain(0.25)
        reader.disconnect()
        assert all(message.retain for message in found), found
        return [message.payload for message in found]

    for qos in (0, 1, 2):
        publisher.publish(env.topic(), b"first", qos=qos, retain=True)
        publisher.publish(env.topic(), b"second", qos=qos, retain=True)
        publisher.publish(env.topic(), b"passing", qos=qos)
        publisher.publish(env.topic(), b"", qos=qos)
        publisher.ping()
        assert kept() == [b"second"], f"QoS {qos}"
        publisher.publish(env.topic(), b"", qos=qos, retain=True)
        publisher.ping()
        assert kept() == [], f"QoS {qos}"


@versions(V311, V5)
def test_removal_is_delivered_to_subscribers(env, version):
    """[MQTT-3.3.1-6] the empty retained message itself reaches those who are subscribed, as any message."""
    client = env.connected(version=version)
    client.subscribe(env.topic(), qos=1)
    client.publish(env.topic(), b"x", qos=1, retain=True)
    client.wait_for(PUBLISH, payload=b"x", retain=False)
    client.publish(env.topic(), b"", qos=1, retain=True)
    client.wait_for(PUBLISH, payload=b"", retain=False)


def test_retain_handling(env):
    """[MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4] 0: sent at each subscribe; 1: only when the
    subscription is new; 2: never."""
    env.connected().publish(env.topic(), b"kept", qos=1, retain=True)
    always, first, never = env.connected(), env.connected(), env.connected()
    for _ in range(2):
        always.subscribe(env.topic(), retain_handling=0)
        always.message(payload=b"kept", retain=True)
    first.subscribe(env.topic(), retain_handling=1)
    first.message(payload=b"kept", retain=True)
    first.subscribe(env.topic(), retain_handling=1)
    never.subscribe(env.topic(), retain_handling=2)
    never.subscribe(env.topic(), retain_handling=2)
    first.expect_nothing(0.2)
    never.expect_nothing(0.1)
    first.unsubscribe(env.topic())
    first.subscribe(env.topic(), retain_handling=1)
    first.message(payload=b"kept")


def test_retain_handling_1_in_a_resumed_session(env):
    """[MQTT-3.3.1-10] a subscription that the resumed session has is not new."""
    env.connected().publish(env.topic(), b"kept", qos=1, retain=True)
    props = {"session_expiry_interval": 60}
    client = env.connected(env.id(), props=props)
    client.subscribe(env.topic(), retain_handling=1)
    client.message(payload=b"kept")
    client.drop()
    client = env.connected(env.id(), clean=False, props=props)
    client.subscribe(env.topic(), retain_handling=1)
    client.expect_nothing(0.3)


def test_retain_as_published(env):
    """[MQTT-3.3.1-12] [MQTT-3.3.1-13] 0: the RETAIN flag is forwarded as 0; 1: as it was published. What is sent
    because of a subscribe has RETAIN 1 in both."""
    plain, faithful, publisher = env.connected(), env.connected(), env.connected()
    plain.subscribe(env.topic("#"), retain_as_published=False)
    faithful.subscribe(env.topic("#"), retain_as_published=True)
    publisher.publish(env.topic("r"), b"r", qos=1, retain=True)
    publisher.publish(env.topic("n"), b"n", qos=1)
    assert [found.retain for found in plain.take(2)] == [False, False]
    assert [found.retain for found in faithful.take(2)] == [True, False]
    plain.subscribe(env.topic("r"), retain_as_published=False)
    plain.message(payload=b"r", retain=True)


def test_v311_clears_retain_when_forwarding(env):
    """MQTT 3.1.1 [3.1.1: MQTT-3.3.1-9]: live messages are forwarded with RETAIN 0, stored ones with RETAIN 1."""
    client = env.connected(version=V311)
    client.subscribe(env.topic())
    client.publish(env.topic(), b"x", qos=1, retain=True)
    client.wait_for(PUBLISH, retain=False)
    client.subscribe(env.topic())
    client.wait_for(PUBLISH, retain=True)


def test_retained_message_keeps_its_properties_and_qos(env):
    """[MQTT-3.3.2-17] [MQTT-3.3.2-20] [MQTT-3.8.4-8] a retained message is stored with its properties; its QoS goes
    out as the lesser of its own and the granted one."""
    props = {"content_type": "t", "response_topic": "r", "correlation_data": b"\0c", "payload_format_indicator": 1,
             "user_property": [("z", "1"), ("a", "2")]}
    env.connected().publish(env.topic(), b"kept", qos=2, retain=True, props=props)
    for qos in (0, 1, 2):
        reader = env.connected()
        reader.subscribe(env.topic(), qos=qos)
        assert reader.message(payload=b"kept", qos=qos, retain=True).props == props


def test_retained_message_expires(env):
    """[MQTT-3.3.2-5] [MQTT-3.3.2-6] a retained message leaves with its expiry, and goes out with what is left."""
    publisher = env.connected()
    started = time.monotonic()
    publisher.publish(env.topic("short"), b"s", qos=1, retain=True, props={"message_expiry_interval": 1})
    publisher.publish(env.topic("long"), b"l", qos=1, retain=True, props={"message_expiry_interval": 50})
    time.sleep(2.2)
    reader = env.connected()
    reader.subscribe(env.topic("#"))
    found = reader.message(payload=b"l", retain=True)
    waited = time.monotonic() - started
    assert 50 - waited - 1 <= found.props["message_expiry_interval"] <= 48, f"{found} after {waited:.1f} s"
    reader.expect_nothing(0.2)


def test_retained_messages_by_wildcards(env):
    """[MQTT-4.7.1-2] [MQTT-4.7.1-1] retained look-ups match as live messages do."""
    publisher = env.connected()
    topics = [env.topic(tail) for tail in ("", "a", "a/b", "a/b/c", "a//c", "b/b", "/a")] + [env.unique]
    for topic in topics:
        publisher.publish(topic, topic.encode(), qos=1, retain=True)
    cases = {"#": topics, "+": [env.topic(""), env.topic("a")], "a/#": [env.topic(t) for t in
             ("a", "a/b", "a/b/c", "a//c")], "+/b": [env.topic("a/b"), env.topic("b/b")],
             "a/+/c": [env.topic("a/b/c"), env.topic("a//c")], "+/a": [env.topic("/a")], "a": [env.topic("a")]}
    for tail, wanted in cases.items():
        reader = env.connected()
        reader.subscribe(env.topic(tail))
        got = sorted(found.topic for found in (reader.expect(PUBLISH) for _ in wanted))
        assert got == sorted(wanted), f"{tail}: {got}"
        reader.expect_nothing(0.1)
        reader.disconnect()


def test_many_retained_within_receive_maximum(env):
    """[MQTT-3.3.4-9] [MQTT-4.9.0-2] 500 retained messages at QoS 1 go out no faster than a Receive Maximum of 7
    allows (the client checks), and all arrive."""
    publisher = env.connected()
    for number in range(500):
        publisher.send(codec.publish(env.topic(str(number)), b"r", qos=1, packet_id=number + 1, retain=True))
    for _ in range(500):
        publisher.expect(codec.PUBACK)
    reader = env.connected(props={"receive_maximum": 7})
    reader.subscribe(env.topic("#"), qos=1)
    assert len({found.topic for found in reader.take(500)}) == 500


@mosquitto_differs("sends them")
def test_no_retained_message_for_a_shared_subscription(env):
    """[MQTT-3.3.1-9] retained messages are not sent to shared subscriptions (section 4.8.2)."""
    env.connected().publish(env.topic(), b"kept", qos=1, retain=True)
    client = env.connected()
    client.subscribe(f"$share/g/{env.topic()}", qos=1)
    client.expect_nothing(0.3)


def test_retained_message_reaches_one_that_subscribes_meanwhile(env):
    """[MQTT-3.8.4-4] [MQTT-4.5.0-1] who subscribes while retained values change sees each topic's last value, live or
    retained."""
    publisher, readers = env.connected(), []
    for number in range(300):
        publisher.send(codec.publish(env.topic(str(number % 10)), str(number).encode(), qos=1, packet_id=number + 1,
                                     retain=True))
        if number % 30 == 15:
            reader = env.connected()
            reader.send(codec.subscribe(1, [(env.topic("#"), 1)]))
            readers.append(reader)
    for _ in range(300):
        publisher.expect(codec.PUBACK)
    for reader in readers:
        reader.wait_for(codec.SUBACK)
        last, missing = {}, set(range(290, 300))
        while missing:
            found = reader.wait_for(PUBLISH)
            reader.puback(found)
            value = int(found.payload)
            assert value >= last.get(found.topic, -1), "a value older than one already seen"
            last[found.topic] = value
            missing.discard(value)


@mosquitto_differs("has no such limit")
def test_dollar_sys_is_not_for_clients(env):
    """[MQTT-3.4.2-1] publishing to $SYS is refused: topic name invalid or not authorised; and nothing is stored."""
    client = env.connected()
    number = client.packet_id()
    client.send(codec.publish("$SYS/broker/" + env.unique, b"forged", qos=1, packet_id=number, retain=True))
    assert client.expect(codec.PUBACK, packet_id=number).reason in (0x87, 0x90)
    client.subscribe("$SYS/broker/" + env.unique)
    client.expect_nothing(0.2)


def test_unacknowledged_retained_messages_come_again(env):
    """[MQTT-4.4.0-1] a persistent session that goes away before it acknowledged the retained messages of its
    subscription gets them when it returns, without subscribing again; once it has acknowledged all, none."""
    publisher = env.connected()
    for index in range(3):
        publisher.publish(env.topic(str(index)), b"kept", qos=1, retain=True)
    props = {"session_expiry_interval": 60}
    client = env.connected(env.id(), props=props)
    client.subscribe(env.topic("#"), qos=1)
    for _ in range(3):
        client.message(payload=b"kept", ack=False)
    client.drop()
    client = env.connected(env.id(), clean=False, props=props)
    kept = {client.message(payload=b"kept", retain=True).topic for _ in range(3)}
    assert kept == {env.topic(str(i)) for i in range(3)}
    client.ping()
    client.drop()
    client = env.connected(env.id(), clean=False, props=props)
    client.expect_nothing(0.3)
