"""SUBSCRIBE, UNSUBSCRIBE, filters and matching, subscription identifiers, overlapping subscriptions."""
import mqttcodec as codec
from harness import mosquitto_differs, versions
from test_publish import explains_where_there_is_room
from mqttcodec import PUBLISH, SUBACK, UNSUBACK, V311, V5, options


@versions(V311, V5)
def test_suback(env, version):
    """[MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT-3.8.4-6] [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.2.2-10] SUBACK
    with the identifier and, in order, the QoS granted to each filter."""
    client = env.connected(version=version)
    filters = [(env.topic("a"), 2), (env.topic("b/#"), 0), (env.topic("+/c"), 1), (env.topic("a"), 1)]
    for number in (1, 2, 65535):
        client.send(codec.subscribe(number, filters, version=version))
        client.expect(SUBACK, packet_id=number, codes=[2, 0, 1, 1])


def test_invalid_filters_are_refused_one_by_one(env):
    """[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT-3.8.4-6] [MQTT-4.7.3-1] a filter that is none
    gets 0x8F in its place, the others are granted."""
    bad = ["a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "a/+#", ""]
    client = env.connected()
    for text in bad:
        client.send(codec.subscribe(9, [(env.topic("good"), 1), (text, 1), (env.topic("fine"), 2)]))
        if client.bare_close_is_fine:
            client.expect_close(allow=(codec.DISCONNECT, SUBACK))
            client = env.connected()
        else:
            client.expect(SUBACK, packet_id=9, codes=[1, 0x8F, 2])


def test_invalid_filter_in_v311(env):
    """MQTT 3.1.1: an invalid filter gets 0x80, or the connection is closed; nothing is subscribed."""
    client = env.connected(version=V311)
    client.send(codec.subscribe(9, [(env.topic("good"), 1), ("a/#/b", 1)], version=V311))
    if not client.bare_close_is_fine:
        client.expect(SUBACK, packet_id=9, codes=[1, 0x80])


@versions(V311, V5)
def test_subscribe_without_filter(env, version):
    """[MQTT-3.8.3-2] [MQTT-3.10.3-2] SUBSCRIBE and UNSUBSCRIBE without a filter are protocol errors."""
    for packet in (codec.subscribe(1, [], version=version), codec.unsubscribe(1, [], version=version)):
        client = env.connected(version=version)
        client.send(packet)
        client.expect_disconnect((0x81, 0x82))


@versions(V311, V5)
def test_subscribe_flags(env, version):
    """[MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-2.1.3-1] header flags of SUBSCRIBE and UNSUBSCRIBE are 0010."""
    for flags in (0, 1, 3, 6, 10):
        for packet in (codec.subscribe(1, [(env.topic(), 0)], version=version, flags=flags),
                       codec.unsubscribe(1, [env.topic()], version=version, flags=flags)):
            client = env.connected(version=version)
            client.send(packet)
            client.expect_disconnect((0x81, 0x82))


def test_subscription_options_reserved_bits(env):
    """[MQTT-3.8.3-5] reserved bits, QoS 3 and Retain Handling 3 are malformed."""
    for byte in (0x40, 0x80, 0xC1, 0x03, 0x30):
        client = env.connected()
        client.send(codec.subscribe(1, [(env.topic(), byte)]))
        client.expect_disconnect((0x81, 0x82))


def test_v311_requested_qos_reserved_bits(env):
    """MQTT 3.1.1 [3.1.1: MQTT-3.8.3-4]: any bit but the QoS, or QoS 3, closes the connection."""
    for byte in (0x03, 0x04, 0x80):
        client = env.connected(version=V311)
        client.send(codec.subscribe(1, [(env.topic(), byte)], version=V311))
        client.expect_close()


@versions(V311, V5)
def test_ill_formed_filters(env, version):
    """[MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-2] filters that are no UTF-8 or hold U+0000."""
    for text in (b"a\xff", b"\xed\xa0\x80", b"a\x00"):
        for packet in (codec.subscribe(1, [(text, 0)], version=version), codec.unsubscribe(1, [text], version=version)):
            client = env.connected(version=version)
            client.send(packet)
            client.expect_disconnect((0x81, 0x82, 0x8F))


def test_no_local(env):
    """[MQTT-3.8.3-3] No Local: what this client id publishes is not sent back, also over another connection of the
    same session; what others publish is."""
    client, other = env.connected(env.id(), props={"session_expiry_interval": 60}), env.connected()
    client.subscribe(env.topic(), qos=1, no_local=True)
    client.publish(env.topic(), b"mine", qos=1)
    other.publish(env.topic(), b"theirs", qos=1)
    client.message(payload=b"theirs")
    client.drop()
    client = env.connected(env.id(), clean=False, props={"session_expiry_interval": 60})
    client.publish(env.topic(), b"mine", qos=1)
    client.expect_nothing(0.3)


@mosquitto_differs("accepts it")
def test_no_local_on_shared_subscription(env):
    """[MQTT-3.8.3-4] No Local on a shared subscription is a protocol error."""
    client = env.connected()
    client.send(codec.subscribe(1, [(f"$share/g/{env.topic()}", options(qos=1, no_local=True))]))
    client.expect_disconnect(0x82)


@versions(V311, V5)
def test_same_filter_replaces(env, version):
    """[MQTT-3.8.4-3] subscribing again replaces: one message, at the new QoS; retained messages come again
    [MQTT-3.8.4-4]."""
    client = env.connected(version=version)
    client.publish(env.topic(), b"kept", qos=1, retain=True)
    client.subscribe(env.topic(), qos=0)
    client.message(payload=b"kept", qos=0)
    client.subscribe(env.topic(), qos=1)
    client.message(payload=b"kept", qos=1)
    env.connected().publish(env.topic(), b"live", qos=2)
    client.message(payload=b"live", qos=1)
    client.expect_nothing(0.2)


def test_replacing_loses_nothing(env):
    """[MQTT-3.8.4-4] resubscribing a hundred times under load loses no message and repeats none."""
    client, publisher = env.connected(), env.connected()
    client.subscribe(env.topic(), qos=1)
    for number in range(100):
        publisher.send(codec.publish(env.topic(), str(number).encode(), qos=1, packet_id=number + 1))
        client.send(codec.subscribe(number + 1, [(env.topic(), number % 2 + 1)]))
    seen = []
    while len(seen) < 100:
        found = client.recv()
        if found.kind == PUBLISH:
            seen.append(int(found.payload))
            client.puback(found)
    assert seen == list(range(100)), seen


def test_several_filters_act_as_several_subscribes(env):
    """[MQTT-3.8.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1] [MQTT-3.11.3-2] five filters in one packet, then three
    unsubscribed in one packet: 0x00 where there was one, 0x11 where not."""
    client, publisher = env.connected(), env.connected()
    topics = [env.topic(str(number)) for number in range(5)]
    assert client.subscribe(*topics, qos=1).codes == [1] * 5
    found = client.unsubscribe(topics[0], env.topic("never"), topics[4])
    assert found.codes == [0, 0x11, 0], found
    for topic in topics:
        publisher.publish(topic, b"", qos=1)
    assert [message.topic for message in client.take(3)] == topics[1:4]
    client.expect_nothing(0.2)


@versions(V311, V5)
def test_unsubscribe(env, version):
    """[MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-2.2.1-6] filters are compared character by
    character; nothing new comes after the UNSUBACK; an UNSUBACK also where nothing was deleted."""
    client, publisher = env.connected(version=version), env.connected(version=version)
    client.subscribe(env.topic("a"), env.topic("+"), qos=1)
    for text in (env.topic("A"), env.topic("#"), env.topic("a/"), env.topic("b")):
        client.unsubscribe(text)
    publisher.publish(env.topic("a"), b"1", qos=1)
    client.take(1)
    client.drain(0.1)
    client.unsubscribe(env.topic("+"))
    publisher.publish(env.topic("b"), b"2", qos=1)
    publisher.publish(env.topic("a"), b"3", qos=1)
    client.message(payload=b"3")
    client.unsubscribe(env.topic("a"))
    publisher.publish(env.topic("a"), b"4", qos=1)
    client.expect_nothing(0.2)


def test_messages_under_way_complete_after_unsubscribe(env):
    """[MQTT-3.10.4-3] QoS 1 and 2 deliveries that had begun go on after UNSUBSCRIBE, and also after resuming."""
    props = {"session_expiry_interval": 60}
    client, publisher = env.connected(env.id(), props=props), env.connected()
    client.subscribe(env.topic(), qos=2)
    publisher.publish(env.topic(), b"one", qos=1)
    publisher.publish(env.topic(), b"two", qos=2)
    one, two = client.expect(PUBLISH, payload=b"one"), client.expect(PUBLISH, payload=b"two")
    client.unsubscribe(env.topic())
    client.send(codec.ack(codec.PUBREC, two.packet_id))
    client.expect(codec.PUBREL, packet_id=two.packet_id)
    client.drop()
    client = env.connected(env.id(), clean=False, props=props)
    got = set()
    for _ in range(2):
        found = client.recv()
        got.add((found.kind, found.packet_id))
    assert got == {(PUBLISH, one.packet_id), (codec.PUBREL, two.packet_id)}, got


MATCHING = [  # filter, topics that match, topics that do not
    ("sport/tennis/player1/#", ["sport/tennis/player1", "sport/tennis/player1/ranking",
                                "sport/tennis/player1/score/wimbledon"], ["sport/tennis", "sport/tennis/player10"]),
    ("sport/#", ["sport", "sport/", "sport/a/b"], ["sports"]),
    ("sport/tennis/+", ["sport/tennis/player1", "sport/tennis/"], ["sport/tennis", "sport/tennis/player1/ranking"]),
    ("sport/+", ["sport/"], ["sport", "sport/a/b"]),
    ("+/+", ["/finance", "a/b"], ["a", "a/b/c"]),
    ("/+", ["/finance"], ["finance", "a/finance"]),
    ("+", ["finance"], ["/finance"]),
    ("+/tennis/#", ["sport/tennis", "x/tennis/a/b"], ["sport/golf"]),
    ("sport/+/player1", ["sport/tennis/player1", "sport//player1"], ["sport/a/b/player1"]),
    ("a//b", ["a//b"], ["a/b", "a///b"]),
    ("a/b ", ["a/b "], ["a/b"]),
    ("/", ["/"], ["", "//"]),
]


def test_matching(env):
    """[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-3.3.2-3] [MQTT-4.7.3-4] the specification's own examples and their edges."""
    publisher = env.connected()
    for number, (text, matching, others) in enumerate(MATCHING):
        base = env.topic(f"m{number}/")
        client = env.connected()
        client.subscribe(base + text)
        for topic in others + matching:
            publisher.publish(base + topic, b"")
        got = [client.expect(PUBLISH).topic[len(base):] for _ in matching]
        assert got == matching, f"{text}: {got}"
        client.expect_nothing(0.05)
        client.disconnect()


def test_wildcard_first_does_not_match_dollar_topics(env):
    """[MQTT-4.7.2-1] # and +/... get nothing from topics that start with $; $SYS/# does."""
    broker = env.own_broker()   # nobody else's messages under #
    client, plain = env.connected(broker=broker), env.connected(broker=broker)
    client.subscribe("$SYS/#")
    assert client.expect(PUBLISH, timeout=15).topic.startswith("$SYS/")
    plain.subscribe("+/broker/#", "+/#", "#")
    plain.expect_nothing(1.2)
    broker.stop()


def test_dollar_topics_of_clients(env):
    """[MQTT-4.7.2-1] the same for a topic that starts with $ and is a client's, live and retained, where such topics
    are accepted at all; the filter that names the first level gets it."""
    broker = env.own_broker()   # nobody else's messages under #
    named, wild, publisher = (env.connected(broker=broker) for _ in range(3))
    topic = f"${env.unique}/a/b"
    named.subscribe(f"${env.unique}/#", f"${env.unique}/+/b", qos=1)
    wild.subscribe("+/a/b", "+/a/#", "#", qos=1, retain_handling=2)
    publisher.send(codec.publish(topic, b"x", qos=1, packet_id=1, retain=True))
    accepted = publisher.expect(codec.PUBACK, packet_id=1).reason < 0x80
    if accepted:
        named.message(topic=topic)
        wild.subscribe("+/a/b", "#", qos=1)
    publisher.publish(env.topic("end"), b"end", qos=1)
    for found in wild.drain(0.4):
        assert not (found.topic or "").startswith("$"), found
    broker.stop()


@mosquitto_differs("sends several copies, or identifiers of one")
def test_overlapping_subscriptions(env):
    """[MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT-3.3.4-4] one copy, at the highest QoS among the matching subscriptions, with
    all their identifiers."""
    client = env.connected()
    client.subscribe(env.topic("#"), qos=0, props={"subscription_identifier": 1})
    client.subscribe(env.topic("+"), qos=2, props={"subscription_identifier": 268435455})
    client.subscribe(env.topic("a"), qos=1)
    client.subscribe(env.topic("other"), qos=1, props={"subscription_identifier": 7})
    env.connected().publish(env.topic("a"), b"x", qos=2)
    found = client.message(qos=2)
    assert sorted(found.props["subscription_identifier"]) == [1, 268435455], found
    client.expect_nothing(0.2)


def test_subscription_identifier(env):
    """[MQTT-3.3.4-3] the identifier comes with live and retained messages; replacing the subscription replaces or
    removes it; it is part of the stored session."""
    env.connected().publish(env.topic(), b"kept", qos=1, retain=True)
    props = {"session_expiry_interval": 60}
    client = env.connected(env.id(), props=props)
    client.subscribe(env.topic(), qos=1, props={"subscription_identifier": 5})
    assert client.message().props["subscription_identifier"] == [5]
    client.subscribe(env.topic(), qos=1, props={"subscription_identifier": 16384})
    assert client.message().props["subscription_identifier"] == [16384]
    client.drop()
    env.connected().publish(env.topic(), b"x", qos=1)
    client = env.connected(env.id(), clean=False, props=props)
    assert client.message(payload=b"x").props["subscription_identifier"] == [16384]
    client.subscribe(env.topic(), qos=1, retain_handling=2)
    env.connected().publish(env.topic(), b"y", qos=1)
    assert "subscription_identifier" not in client.message(payload=b"y").props


def test_bad_subscription_identifiers(env):
    """[MQTT-4.13.1-1] identifier 0, two identifiers, or one in UNSUBSCRIBE are refused."""
    for packet in (codec.subscribe(1, [("a", 0)], props={"subscription_identifier": 0}),
                   codec.subscribe(1, [("a", 0)], props=[("subscription_identifier", 1),
                                                         ("subscription_identifier", 2)]),
                   codec.unsubscribe(1, ["a"], props={"subscription_identifier": 1})):
        client = env.connected()
        client.send(packet)
        client.expect_disconnect((0x81, 0x82))


@versions(V311, V5)
def test_delivery_qos_is_the_lesser(env, version):
    """[MQTT-3.8.4-8] for all nine pairs of published and granted QoS; the granted QoS is what SUBACK said."""
    publisher = env.connected(version=version)
    for granted in (0, 1, 2):
        client = env.connected(version=version)
        client.subscribe(env.topic(f"g{granted}"), qos=granted, codes=[granted])
        for published in (0, 1, 2):
            publisher.publish(env.topic(f"g{granted}"), b"", qos=published)
            client.message(qos=min(granted, published))


@versions(V311, V5)
def test_every_matching_subscriber_gets_it(env, version):
    """[MQTT-4.5.0-1] online or offline, each session with a matching subscription gets the message."""
    props = {"session_expiry_interval": 60} if version == V5 else None
    clients = [env.connected(env.id(f"s{number}"), version=version, clean=False, props=props) for number in range(10)]
    for client in clients:
        client.subscribe(env.topic(), qos=1)
    for client in clients[5:]:
        client.drop()
    env.connected(version=version).publish(env.topic(), b"for all", qos=1)
    clients[5:] = [env.connected(env.id(f"s{number}"), version=version, clean=False, props=props)
                   for number in range(5, 10)]
    for client in clients:
        client.message(payload=b"for all", qos=1)


def test_user_properties_in_requests(env):
    """User properties in SUBSCRIBE and UNSUBSCRIBE are accepted and not sent on."""
    client = env.connected()
    user = {"user_property": [("a", "b"), ("a", "b")]}
    client.subscribe(env.topic(), props=user)
    client.publish(env.topic(), b"", qos=0)
    assert not client.wait_for(PUBLISH).props
    number = client.packet_id()
    client.send(codec.unsubscribe(number, [env.topic()], props=user))
    client.expect(UNSUBACK, packet_id=number, codes=[0])


@mosquitto_differs("sends no reason strings")
def test_unsuback_stays_within_maximum_packet_size(env):
    """[MQTT-3.11.2-1] an UNSUBACK that explains a refused filter does so only where there is room (the client checks
    the size)."""
    explains_where_there_is_room(env, lambda client: client.unsubscribe("a/#/b"))
