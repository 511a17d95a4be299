"""Session state, expiry, resending after a reconnect, queues of offline sessions, order across reconnects."""
import time

import mqttcodec as codec
from harness import mosquitto_differs, versions
from mqttcodec import CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V311, V5

KEEP = {"session_expiry_interval": 60}


def keep(version):
    """Arguments of a CONNECT that keeps its session."""
    return {"version": version, "clean": False, "props": KEEP if version == V5 else None}


def test_session_ends_with_its_expiry(env):
    """[MQTT-4.1.0-2] [MQTT-3.1.2-23] one second after the connection an expiry of 1 has taken the session, not one of
    60; the expiry counts from the end of the connection."""
    props = {"session_expiry_interval": 1}
    short, long = env.connected(env.id("short"), props=props), env.connected(env.id("long"), props=KEEP)
    time.sleep(1.2)
    short.ping()
    short.drop()
    long.drop()
    time.sleep(2.5)
    assert env.connected(env.id("long"), clean=False).connack.session_present is True
    assert env.connected(env.id("short"), clean=False).connack.session_present is False


def test_expiry_0_and_absent_end_at_once(env):
    """[MQTT-4.1.0-2] without an expiry interval the session ends with the connection."""
    for props in (None, {"session_expiry_interval": 0}):
        client = env.connected(env.id(), props=props)
        client.subscribe(env.topic(), qos=1)
        client.drop()
        time.sleep(0.1)
        assert env.connected(env.id(), clean=False, props=props).connack.session_present is False


def test_reconnect_renews_the_expiry(env):
    """[MQTT-4.1.0-2] each connection sets the expiry anew: reconnecting with 0 ends a session of 60."""
    env.connected(env.id(), props=KEEP).drop()
    client = env.connected(env.id(), clean=False, props={"session_expiry_interval": 0})
    assert client.connack.session_present is True
    client.drop()
    time.sleep(0.1)
    assert env.connected(env.id(), clean=False).connack.session_present is False


@versions(V311, V5)
def test_offline_session_queues_qos_1_and_2(env, version):
    """[MQTT-4.1.0-1] [MQTT-4.5.0-1] [MQTT-4.6.0-5] QoS 1 and 2 messages wait for an offline session in their order, at
    their QoS; QoS 0 is not queued."""
    client = env.connected(env.id(), **keep(version))
    client.subscribe(env.topic("#"), qos=2)
    client.drop()
    publisher = env.connected()
    for number in range(50):
        for qos in (0, 1, 2):
            publisher.publish(env.topic(str(qos)), str(number).encode(), qos=qos)
    client = env.connected(env.id(), **keep(version))
    assert client.connack.session_present is True
    got = client.take(100)
    for qos in (1, 2):
        assert [int(found.payload) for found in got if found.qos == qos] == list(range(50))
    assert not any(found.dup or found.qos == 0 for found in got)
    client.expect_nothing(0.2)


@versions(V311, V5)
def test_unacknowledged_messages_are_resent(env, version):
    """[MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-4.3.2-3] [MQTT-4.3.2-1] [MQTT-4.6.0-1] after resuming, and only then, what
    was not acknowledged comes again with its identifier and DUP 1, in the original order, before newer messages; what
    was acknowledged does not."""
    client = env.connected(env.id(), **keep(version))
    client.subscribe(env.topic(), qos=1)
    publisher = env.connected()
    for number in range(6):
        publisher.publish(env.topic(), str(number).encode(), qos=1)
    sent = [client.expect(PUBLISH, dup=False) for _ in range(6)]
    for index in (0, 2):
        client.puback(sent[index])
    client.ping()
    client.expect_nothing(0.5)
    client.drop()
    publisher.publish(env.topic(), b"newer", qos=1)
    client = env.connected(env.id(), **keep(version))
    for index in (1, 3, 4, 5):
        client.message(packet_id=sent[index].packet_id, payload=sent[index].payload, dup=True)
    client.message(payload=b"newer", dup=False)
    client.ping()
    client.drop()
    client = env.connected(env.id(), **keep(version))
    client.expect_nothing(0.2)


@versions(V311, V5)
def test_qos_2_delivery_is_resumed_at_its_step(env, version):
    """[MQTT-4.4.0-1] [MQTT-4.3.3-3] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.3.3-2] before PUBREC: PUBLISH again; after
    PUBREC: only PUBREL again, never the PUBLISH; after PUBCOMP: nothing."""
    client = env.connected(env.id(), **keep(version))
    client.subscribe(env.topic(), qos=2)
    publisher = env.connected()
    for number in range(3):
        publisher.publish(env.topic(), str(number).encode(), qos=2)
    sent = [client.expect(PUBLISH, qos=2, dup=False).packet_id for _ in range(3)]
    assert len(set(sent)) == 3
    for packet_id in sent[:2]:
        client.send(codec.ack(PUBREC, packet_id))
        client.expect(PUBREL, packet_id=packet_id)
    client.send(codec.ack(PUBCOMP, sent[0]))
    client.ping()
    client.drop()
    for _ in range(2):
        client = env.connected(env.id(), **keep(version))
        seen = {(found.kind, found.packet_id, found.dup) for found in (client.recv(), client.recv())}
        assert seen == {(PUBREL, sent[1], None), (PUBLISH, sent[2], True)}, seen
        client.expect_nothing(0.2)
        client.drop()
    client = env.connected(env.id(), **keep(version))
    client.recv(), client.recv()
    client.send(codec.ack(PUBCOMP, sent[1]), codec.ack(PUBREC, sent[2]))
    client.expect(PUBREL, packet_id=sent[2])
    client.send(codec.ack(PUBCOMP, sent[2]))
    client.ping()
    client.drop()
    client = env.connected(env.id(), **keep(version))
    client.expect_nothing(0.2)


def test_nothing_is_resent_within_a_connection(env):
    """[MQTT-4.4.0-1] an unacknowledged PUBLISH is not repeated while the connection lasts."""
    client = env.connected()
    client.subscribe(env.topic(), qos=2)
    publisher = env.connected()
    publisher.publish(env.topic(), b"1", qos=1)
    publisher.publish(env.topic(), b"2", qos=2)
    client.expect(PUBLISH), client.expect(PUBLISH)
    client.expect_nothing(2)


def test_order_is_kept_over_many_reconnects(env):
    """[MQTT-4.6.0-5] [MQTT-4.6.0-1] 300 messages to a subscriber that breaks its connection after every few: each new
    message appears in order, none is missing."""
    client = env.connected(env.id(), **keep(V5))
    client.subscribe(env.topic(), qos=1)
    publisher = env.connected()
    publisher.send(*(codec.publish(env.topic(), str(number).encode(), qos=1, packet_id=number + 1)
                     for number in range(300)))
    fresh = []
    while len(fresh) < 300:
        for _ in range(17):
            found = client.recv(3)
            number = int(found.payload)
            if number not in fresh:
                fresh.append(number)
            if number % 3:
                client.puback(found)
            if len(fresh) == 300:
                break
        if len(fresh) < 300:
            for found in list(client.in_flight):
                client.send(codec.ack(PUBACK, found))
            client.ping()
            for found in client.stash:
                if found.kind == PUBLISH and int(found.payload) not in fresh:
                    fresh.append(int(found.payload))
            client.drop()
            client = env.connected(env.id(), **keep(V5))
    assert fresh == list(range(300))


@mosquitto_differs("has one more in flight than the client takes")
def test_receive_maximum_of_a_resumed_session(env):
    """[MQTT-3.3.4-9] [MQTT-4.9.0-1] a smaller Receive Maximum on the new connection holds for resent messages, too
    (the client checks), and all arrive."""
    client = env.connected(env.id(), **keep(V5))
    client.subscribe(env.topic(), qos=1)
    publisher = env.connected()
    for number in range(40):
        publisher.publish(env.topic(), str(number).encode(), qos=1)
    for _ in range(40):
        client.expect(PUBLISH)
    client.drop()
    client = env.connected(env.id(), clean=False, props={**KEEP, "receive_maximum": 3})
    assert len(client.drain(0.3)) == 3
    client.drop()
    client = env.connected(env.id(), clean=False, props={**KEEP, "receive_maximum": 3})
    assert [int(found.payload) for found in client.take(40)] == list(range(40))


def test_versions_share_one_session(env):
    """[MQTT-3.1.2-5] a session opened with 5.0 is resumed with 3.1.1, subscriptions and queue included."""
    client = env.connected(env.id(), **keep(V5))
    client.subscribe(env.topic(), qos=1)
    client.drop()
    env.connected().publish(env.topic(), b"x", qos=1, props={"user_property": ("a", "b")})
    client = env.connected(env.id(), version=V311, clean=False)
    assert client.connack.session_present is True
    client.message(payload=b"x", qos=1)


@versions(V311, V5)
def test_session_survives_a_restart(env, version):
    """[MQTT-4.1.0-1] [MQTT-3.1.2-5] after a clean stop and start: subscription, queue, unacknowledged deliveries with
    their identifiers, received QoS 2 identifiers and retained messages are still there."""
    broker = env.own_broker()
    client = env.connected(env.id(), broker=broker, **keep(version))
    client.subscribe(env.topic(), qos=2)
    publisher = env.connected(env.id("p"), broker=broker, **keep(version))
    publisher.publish(env.topic("kept"), b"kept", qos=1, retain=True)
    publisher.publish(env.topic(), b"unacknowledged", qos=1)
    first = client.expect(PUBLISH)
    client.drop()
    publisher.publish(env.topic(), b"queued", qos=2)
    publisher.send(codec.publish(env.topic(), b"half", qos=2, packet_id=500, version=version))
    publisher.expect(PUBREC, packet_id=500)
    broker.stop()
    broker.start()
    publisher = env.connected(env.id("p"), broker=broker, **keep(version))
    assert publisher.connack.session_present is True
    publisher.send(codec.publish(env.topic(), b"half", qos=2, packet_id=500, dup=True, version=version))
    publisher.expect(PUBREC, packet_id=500)
    publisher.send(codec.ack(PUBREL, 500))
    publisher.expect(PUBCOMP, packet_id=500)
    client = env.connected(env.id(), broker=broker, **keep(version))
    client.message(payload=b"unacknowledged", packet_id=first.packet_id, dup=True)
    client.message(payload=b"queued", qos=2)
    client.message(payload=b"half", qos=2)
    client.expect_nothing(0.2)
    client.subscribe(env.topic("kept"))
    client.message(payload=b"kept", retain=True)
    broker.stop()


@mosquitto_differs("persists only now and then")
def test_acknowledged_state_survives_kill_9(env):
    """[MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.1.0-1] PUBACK, PUBREC, SUBACK, UNSUBACK and a retained swap that were
    acknowledged outlive kill -9."""
    broker = env.own_broker()
    client = env.connected(env.id(), broker=broker, **keep(V5))
    client.subscribe(env.topic("a"), env.topic("b"), qos=2)
    client.unsubscribe(env.topic("b"))
    client.drop()
    publisher = env.connected(env.id("p"), broker=broker, **keep(V5))
    publisher.publish(env.topic("kept"), b"old", qos=1, retain=True)
    publisher.publish(env.topic("kept"), b"new", qos=1, retain=True)
    publisher.publish(env.topic("gone"), b"x", qos=1, retain=True)
    publisher.publish(env.topic("gone"), b"", qos=1, retain=True)
    publisher.publish(env.topic("b"), b"not subscribed", qos=1)
    publisher.publish(env.topic("a"), b"one", qos=1)
    publisher.send(codec.publish(env.topic("a"), b"two", qos=2, packet_id=77))
    publisher.expect(PUBREC, packet_id=77)
    broker.kill()
    broker.start()
    publisher = env.connected(env.id("p"), broker=broker, **keep(V5))
    assert publisher.connack.session_present
    publisher.send(codec.publish(env.topic("a"), b"two", qos=2, packet_id=77, dup=True))
    publisher.expect(PUBREC, packet_id=77)
    client = env.connected(env.id(), broker=broker, **keep(V5))
    assert client.connack.session_present
    client.message(payload=b"one", qos=1)
    client.message(payload=b"two", qos=2)
    client.expect_nothing(0.2)
    client.subscribe(env.topic("kept"), env.topic("gone"))
    client.message(payload=b"new", retain=True)
    client.expect_nothing(0.2)
    broker.stop()


@versions(V311, V5)
def test_wrong_state_acknowledgements(env, version):
    """[MQTT-4.13.1-1] acknowledgements of the wrong kind or of unknown identifiers do not harm: the exchange they
    hit, if any, is not completed by them, and the broker serves on."""
    for packet in (codec.ack(PUBACK, 9), codec.ack(PUBREC, 9), codec.ack(PUBCOMP, 9), codec.ack(PUBREL, 9)):
        client = env.connected(version=version)
        client.send(packet)
        client.drain(0.05)
    client = env.connected(env.id(), **keep(version))
    client.subscribe(env.topic(), qos=2)
    env.connected().publish(env.topic(), b"x", qos=2)
    found = client.expect(PUBLISH)
    client.send(codec.ack(PUBACK, found.packet_id))
    client.send(codec.ack(PUBCOMP, found.packet_id))
    client.drain(0.1)
    client.drop()
    client = env.connected(env.id(), **keep(version))
    seen = [item for item in client.drain(0.3) if item.kind in (PUBLISH, PUBREL)]
    assert len(seen) <= 1
    env.still_serves()


def test_a_connection_given_up_takes_no_session(env):
    """[MQTT-3.1.4-3] in the order of the connections: who gives one up before its answer and connects anew is let in,
    whichever of the two the broker deals with first."""
    broker = env.own_broker(extra_config={"workers": 2})
    for _ in range(20):
        clients = []
        for number in range(16):
            first, second = env.client(broker=broker), env.client(broker=broker)
            for client in (first, second):
                client.send_connect(env.id(str(number)), clean=False, props=KEEP)
                if client is first:
                    client.close()
            clients.append(second)
        for client in clients:
            assert client.expect(CONNACK).reason == 0
        for client in clients:
            client.ping()
            client.drop()
