"""Flow control, packet size, and the broker's limits with the reason codes they are answered with."""
import threading
import time

import mqttcodec as codec
from harness import mosquitto_differs, versions
from mqttcodec import PINGRESP, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, V311, V5


@mosquitto_differs("has one more in flight than the client takes")
def test_receive_maximum_of_the_client(env):
    """[MQTT-3.3.4-9] [MQTT-4.9.0-2] [MQTT-4.9.0-1] never more unacknowledged QoS 1 and 2 than the client takes (it
    checks); at the limit exactly that many, and one more for each acknowledgement: PUBACK, PUBCOMP, a refusing
    PUBREC, but not for a PUBREC below 0x80."""
    client = env.connected(props={"receive_maximum": 3})
    client.subscribe(env.topic(), qos=2)
    publisher = env.connected()
    for number in range(10):
        publisher.publish(env.topic(), str(number).encode(), qos=1 + number % 2)
    one, two, three = (client.expect(PUBLISH) for _ in range(3))
    client.expect_nothing(0.3)
    client.puback(one)
    four = client.expect(PUBLISH, payload=b"3")
    client.send(codec.ack(PUBREC, two.packet_id))
    client.expect(PUBREL, packet_id=two.packet_id)
    client.expect_nothing(0.3)
    client.in_flight.pop(two.packet_id)
    client.send(codec.ack(PUBCOMP, two.packet_id))
    client.expect(PUBLISH, payload=b"4")
    client.in_flight.pop(four.packet_id)
    client.send(codec.ack(PUBREC, four.packet_id, 0x97))
    client.expect(PUBLISH, payload=b"5")
    client.expect_nothing(0.2)
    assert three.packet_id in client.in_flight


@mosquitto_differs("lets newer messages overtake")
def test_order_with_a_small_window_and_both_qos(env):
    """[MQTT-4.6.0-5] [MQTT-4.6.0-6] QoS 1 and QoS 2 streams of two publishers through a Receive Maximum of 5, with
    acknowledgements while more arrives: each topic stays in order."""
    client = env.connected(props={"receive_maximum": 5})
    client.subscribe(env.topic("#"), qos=2)

    def produce(qos):
        publisher = env.connected()
        for number in range(1000):
            publisher.publish(env.topic(str(qos)), str(number).encode(), qos=qos)
    threads = [threading.Thread(target=produce, args=(qos,)) for qos in (1, 2)]
    for thread in threads:
        thread.start()
    seen = {1: [], 2: []}
    while len(seen[1]) + len(seen[2]) < 2000:
        found = client.recv()
        if found.kind == PUBLISH:
            seen[found.qos].append(int(found.payload))
            if found.qos == 1:
                client.puback(found)
            else:
                client.send(codec.ack(PUBREC, found.packet_id))
        elif found.kind == PUBREL:
            client.in_flight.pop(found.packet_id)
            client.send(codec.ack(PUBCOMP, found.packet_id))
    for thread in threads:
        thread.join()
    for qos, numbers in seen.items():
        assert numbers == list(range(1000)), f"QoS {qos}: out of order"


def test_full_window_holds_back_nothing_else(env):
    """[MQTT-3.3.4-10] [MQTT-4.9.0-3] [MQTT-3.3.4-8] at quota zero PINGRESP, SUBACK, QoS 0 messages and
    acknowledgements of the client's own messages still come."""
    client = env.connected(props={"receive_maximum": 1})
    client.subscribe(env.topic("#"), qos=2)
    publisher = env.connected()
    for number in range(5):
        publisher.publish(env.topic("q"), str(number).encode(), qos=1)
    client.expect(PUBLISH, payload=b"0")
    client.send(codec.pingreq(), codec.subscribe(50, [(env.topic("other"), 0)]))
    client.expect(PINGRESP)
    client.expect(SUBACK, packet_id=50)
    publisher.publish(env.topic("zero"), b"qos 0")
    client.expect(PUBLISH, payload=b"qos 0", qos=0)
    client.publish("elsewhere/" + env.unique, b"", qos=1)
    client.publish("elsewhere/" + env.unique, b"", qos=2)


@mosquitto_differs("announces another maximum")
def test_receive_maximum_of_the_server(env):
    """[MQTT-3.3.4-7] the announced 1,024 QoS 2 messages may be under way at once, one more is DISCONNECT 0x93."""
    client = env.connected()
    assert client.connack.props["receive_maximum"] == 1024
    client.send(*(codec.publish(env.topic(), b"", qos=2, packet_id=number) for number in range(1, 1025)))
    for number in range(1, 1025):
        client.expect(PUBREC, packet_id=number)
    client.ping()
    client.send(codec.publish(env.topic(), b"", qos=2, packet_id=1025))
    client.expect_disconnect(0x93)


@versions(V311, V5)
def test_sending_ahead_of_acknowledgements(env, version):
    """[MQTT-3.3.4-1] 20,000 QoS 1 messages as fast as the socket takes them, never above the window, are all
    acknowledged and delivered in order."""
    subscriber, publisher = env.connected(version=version), env.connected(version=version)
    subscriber.subscribe(env.topic(), qos=0)
    sent = acknowledged = received = 0
    while acknowledged < 20000:
        burst = []
        while sent - acknowledged < 1000 and sent < 20000:
            sent += 1
            burst.append(codec.publish(env.topic(), str(sent).encode(), qos=1, packet_id=sent, version=version))
        if burst:
            publisher.send(*burst)
        for _ in range(min(200, sent - acknowledged)):
            acknowledged += 1
            publisher.expect(PUBACK, packet_id=acknowledged)
            received += 1
            subscriber.expect(PUBLISH, payload=str(received).encode())


@mosquitto_differs("is one byte off")
def test_maximum_packet_size_of_the_client(env):
    """[MQTT-3.1.2-24] [MQTT-3.1.2-25] a message too large for the client is dropped as if it had been delivered: what
    follows comes, nothing is resent, other subscribers have it; a message of exactly the limit arrives."""
    props = {"maximum_packet_size": 100, "session_expiry_interval": 60}
    client, other, publisher = env.connected(env.id(), props=props), env.connected(), env.connected()
    client.subscribe(env.topic(), qos=2)
    other.subscribe(env.topic(), qos=2)
    room = 100 - len(codec.publish(env.topic(), b"", qos=1, packet_id=1))
    for qos in (0, 1, 2):
        publisher.publish(env.topic(), b"x" * 200, qos=qos)
        other.message(payload=b"x" * 200)
    publisher.publish(env.topic(), b"y" * room, qos=1)
    assert len(client.message(payload=b"y" * room).raw) == 100
    publisher.publish(env.topic(), b"z" * (room + 1), qos=1)
    publisher.publish(env.topic(), b"end", qos=1)
    client.message(payload=b"end")
    client.drop()
    publisher.publish(env.topic(), b"w" * 200, qos=1)
    publisher.publish(env.topic(), b"after", qos=1)
    client = env.connected(env.id(), clean=False, props=props)
    client.message(payload=b"after", dup=False)
    client.expect_nothing(0.2)


def test_too_large_retained_message_is_left_out(env):
    """[MQTT-3.1.2-24] [MQTT-3.1.2-25] the same for retained messages."""
    publisher = env.connected()
    publisher.publish(env.topic("big"), b"x" * 500, qos=1, retain=True)
    publisher.publish(env.topic("small"), b"s", qos=1, retain=True)
    client = env.connected(props={"maximum_packet_size": 128})
    client.subscribe(env.topic("#"), qos=1)
    client.message(payload=b"s")
    client.expect_nothing(0.2)


@mosquitto_differs("is one byte off")
def test_maximum_packet_size_counts_properties(env):
    """[MQTT-3.1.2-24] subscription identifiers and user properties count (the client checks the size)."""
    client, publisher = env.connected(props={"maximum_packet_size": 60}), env.connected()
    client.subscribe(env.topic("#"), qos=1, props={"subscription_identifier": 268435455})
    for number in range(50):
        publisher.publish(env.topic(), b"", qos=1, props={"user_property": ("k", "v" * number)})
    got = 0
    for found in client.drain(0.3):
        got += found.kind == PUBLISH
    assert 10 < got < 50, got


@versions(V311, V5)
def test_packet_above_the_maximum(env, version):
    """[MQTT-3.2.2-15] a packet over 1 MiB is refused from its header alone, with 0x95; one of exactly 1 MiB passes."""
    client = env.connected(version=version)
    head = len(codec.publish(env.topic(), b"", version=version, qos=1, packet_id=1)) - 2
    exact = codec.publish(env.topic(), bytes((1 << 20) - 4 - head), version=version, qos=1, packet_id=1)
    assert len(exact) == 1 << 20
    client.send(exact)
    client.expect(PUBACK, packet_id=1)
    client.send(b"\x30" + codec.vbi(1 << 20))
    client.expect_disconnect(0x95)


@mosquitto_differs("has no such limits")
def test_topic_limits(env):
    """[MQTT-3.4.2-1] [MQTT-3.5.2-1] over 1,024 bytes or 64 levels: 0x90 in PUBACK and PUBREC; up to that they pass."""
    client = env.connected()
    levels = env.unique + "/x" * 63
    longest = env.unique + "/" + "y" * (1023 - len(env.unique))
    assert len(longest) == 1024
    client.subscribe(env.topic("#"), qos=0)
    for topic in (levels, longest):
        client.publish(topic, b"", qos=1)
        client.wait_for(PUBLISH, topic=topic)
    for topic in (levels + "/x", longest + "y"):
        for qos in (1, 2):
            client.publish(topic, b"", qos=qos, reason=0x90)
    client.expect_nothing(0.1)


@mosquitto_differs("has no such limit")
def test_subscription_limit(env):
    """[MQTT-3.9.2-1] [MQTT-3.9.3-2] the 1,001st subscription of a client gets 0x97; replacing and, after an
    unsubscribe, adding still work."""
    client = env.connected()
    for start in range(0, 1000, 250):
        client.subscribe(*(env.topic(str(number)) for number in range(start, start + 250)))
    client.subscribe(env.topic("one more"), codes=[0x97])
    client.subscribe(env.topic("7"), qos=1, codes=[1])
    client.unsubscribe(env.topic("8"))
    client.subscribe(env.topic("one more"), qos=1, codes=[1])


@mosquitto_differs("has no such limit")
def test_user_property_limits(env):
    """[MQTT-3.4.2-1] more than 32 user properties, or more than 8 KiB of them, get 0x97 and are not delivered."""
    client = env.connected()
    client.subscribe(env.topic(), qos=1)
    many = {"user_property": [("k", str(number)) for number in range(33)]}
    large = {"user_property": [("k", "v" * 3000)] * 3}
    for props in (many, large):
        for qos in (1, 2):
            client.publish(env.topic(), b"", qos=qos, reason=0x97, props=props)
    client.expect_nothing(0.2)


@mosquitto_differs("has no such limit")
def test_full_queue_refuses_the_publisher(env):
    """[MQTT-3.4.2-1] a session queue at its limit refuses with 0x97; all that was acknowledged is delivered."""
    broker = env.own_broker(limits={"queue_messages": 50, "transient_queue_messages": 50})
    props = {"session_expiry_interval": 60}
    client = env.connected(env.id(), broker=broker, props=props)
    client.subscribe(env.topic(), qos=1)
    client.drop()
    publisher = env.connected(broker=broker)
    accepted = []
    for number in range(200):
        publisher.send(codec.publish(env.topic(), str(number).encode(), qos=1, packet_id=number + 1))
        found = publisher.expect(PUBACK, packet_id=number + 1)
        assert found.reason in (0, 0x97), found
        if found.reason == 0:
            accepted.append(number)
    assert 40 <= len(accepted) <= 120, f"{len(accepted)} accepted with a limit of 50"
    client = env.connected(env.id(), broker=broker, clean=False, props=props)
    assert [int(found.payload) for found in client.take(len(accepted))] == accepted
    client.ping()  # the acknowledgements have arrived
    publisher.publish(env.topic(), b"room again", qos=1, reason=0)
    client.message(payload=b"room again")
    broker.stop()


@mosquitto_differs("has no such limit per listener here")
def test_connection_limit(env):
    """[MQTT-3.1.4-2] [MQTT-3.2.2-8] connections over the limit get CONNACK 0x97 (3.1.1: 0x03) or the close; when one
    leaves there is room again."""
    broker = env.own_broker(limits={"max_connections": 5})
    clients = [env.connected(broker=broker) for _ in range(5)]
    for version, reason in ((V5, 0x97), (V311, 3)):
        client = env.client(version, broker=broker)
        client.send_connect(env.id("more"))
        seen = client.expect_close(allow=(codec.CONNACK,))
        assert [found.reason for found in seen] in ([], [reason]), seen
    clients[0].disconnect()
    time.sleep(0.2)
    env.connected(broker=broker)
    broker.stop()


def test_slow_reader_does_not_hold_up_others(env):
    """[MQTT-4.9.0-3] a subscriber that reads nothing while 40 MB come for it delays neither the publisher nor another
    subscriber."""
    lazy, keen, publisher = env.connected(), env.connected(), env.connected()
    lazy.subscribe(env.topic(), qos=0)
    keen.subscribe(env.topic(), qos=0)
    started = time.monotonic()
    for number in range(400):
        publisher.publish(env.topic(), bytes(100_000))
        keen.expect(PUBLISH)
    publisher.ping()
    assert time.monotonic() - started < 15
    env.still_serves()
