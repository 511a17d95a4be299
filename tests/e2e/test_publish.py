"""PUBLISH of MQTT 5: flags, topics, properties, aliases, the three QoS in both directions."""
import time

import mqttcodec as codec
from harness import mosquitto_differs, versions
from mqttcodec import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, V311, V5


def pair(env, qos=2, **kwargs):
    """A subscriber to everything of this test, and a publisher."""
    subscriber = env.connected(**kwargs)
    subscriber.subscribe(env.topic("#"), qos=qos)
    return subscriber, env.connected()


@versions(V311, V5)
def test_every_qos_is_answered_and_delivered(env, version):
    """[MQTT-3.3.4-1] [MQTT-2.2.1-2] [MQTT-2.2.1-4] [MQTT-2.2.1-5] [MQTT-4.3.2-4] [MQTT-4.3.3-8] QoS 0 gets no answer
    and carries no identifier, QoS 1 gets PUBACK, QoS 2 PUBREC and PUBCOMP with its identifier; each is delivered."""
    subscriber = env.connected(version=version)
    subscriber.subscribe(env.topic("#"), qos=2)
    publisher = env.connected(version=version)
    publisher.publish(env.topic("0"), b"zero")
    publisher.expect_nothing(0.1)
    publisher.publish(env.topic("1"), b"one", qos=1, packet_id=65535)
    publisher.publish(env.topic("2"), b"two", qos=2, packet_id=0x1234)
    got = {found.topic: found for found in subscriber.take(3)}
    assert {topic[-1]: (found.qos, found.payload) for topic, found in got.items()} == {
        "0": (0, b"zero"), "1": (1, b"one"), "2": (2, b"two")}
    assert got[env.topic("0")].packet_id is None


@versions(V311, V5)
def test_first_sending_has_dup_0(env, version):
    """[MQTT-3.3.1-2] [MQTT-3.3.1-3] [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] DUP goes out as 0 on first delivery at
    every QoS, even when the publisher's packet had DUP 1."""
    subscriber = env.connected(version=version)
    subscriber.subscribe(env.topic("#"), qos=2)
    publisher = env.connected(version=version)
    publisher.publish(env.topic("0"), b"")
    for qos in (1, 2):
        publisher.publish(env.topic(str(qos)), b"", qos=qos, dup=True)
    assert [found.dup for found in subscriber.take(3)] == [False] * 3


@mosquitto_differs("ignores it")
def test_dup_with_qos_0_is_malformed(env):
    """[MQTT-3.3.1-2] DUP 1 at QoS 0."""
    client = env.connected()
    client.send(codec.publish(env.topic(), b"", dup=True))
    client.expect_disconnect((0x81, 0x82))


@versions(V311, V5)
def test_qos_3_is_malformed(env, version):
    """[MQTT-3.3.1-4] both QoS bits set: DISCONNECT 0x81 and close."""
    client = env.connected(version=version)
    client.send(codec.publish(env.topic(), b"", qos=3, packet_id=1, version=version))
    client.expect_disconnect(0x81)


@versions(V311, V5)
def test_packet_identifier_0_is_refused(env, version):
    """[MQTT-2.2.1-3] QoS 1 and 2 PUBLISH, SUBSCRIBE and UNSUBSCRIBE with identifier 0."""
    for packet in (codec.publish(env.topic(), b"", qos=1, packet_id=0, version=version),
                   codec.publish(env.topic(), b"", qos=2, packet_id=0, version=version),
                   codec.subscribe(0, [("a", 0)], version=version), codec.unsubscribe(0, ["a"], version=version)):
        client = env.connected(version=version)
        client.send(packet)
        client.expect_disconnect((0x81, 0x82))


@versions(V311, V5)
def test_wildcards_in_a_topic_name(env, version):
    """[MQTT-3.3.2-2] [MQTT-4.7.0-1] a topic name with + or # closes the connection, 0x90 (or 0x81, 0x82)."""
    for topic in ("a/+", "#", "a/#/b", "a+b", "sport#"):
        client = env.connected(version=version)
        client.send(codec.publish(topic, b"x", version=version))
        client.expect_disconnect((0x90, 0x81, 0x82))


@versions(V311, V5)
def test_ill_formed_topic_name(env, version):
    """[MQTT-3.3.2-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT-4.7.3-2] a topic name that is not UTF-8, holds a surrogate
    or U+0000."""
    for topic in (b"a\xff", b"\xed\xa0\x80", b"\xc0\x80", b"a\x00b", b"\xf4\x90\x80\x80", b"\xe2\x82"):
        client = env.connected(version=version)
        client.send(codec.publish(topic, b"x", version=version))
        client.expect_disconnect((0x81, 0x82, 0x90))


@versions(V311, V5)
def test_empty_topic_name(env, version):
    """[MQTT-4.7.3-1] an empty topic name without an alias."""
    client = env.connected(version=version)
    client.send(codec.publish("", b"x", version=version))
    client.expect_disconnect((0x81, 0x82, 0x90))


def test_unicode_is_kept(env):
    """[MQTT-1.5.4-3] [MQTT-4.7.3-4] [MQTT-3.3.2-3] a BOM stays where it is, no normalisation: e + combining acute and
    e-acute are different topics, as are lower and upper case."""
    subscriber = env.connected()
    bom, composed, combined = env.topic("\ufeffx"), env.topic("\u00e9"), env.topic("e\u0301")
    subscriber.subscribe(bom, composed, env.topic("Case"))
    publisher = env.connected()
    for topic in (env.topic("x"), bom, combined, composed, env.topic("case"), env.topic("Case")):
        publisher.publish(topic, b"")
    assert [found.topic for found in subscriber.take(3)] == [bom, composed, env.topic("Case")]
    subscriber.expect_nothing(0.2)


def test_properties_are_forwarded_unaltered(env):
    """[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20] [MQTT-1.5.7-1]
    Payload Format Indicator, Response Topic, Correlation Data, Content Type and User Properties, in their order and
    with repeated names, arrive as they were sent, at every QoS."""
    subscriber, publisher = pair(env)
    sent = {"payload_format_indicator": 1, "response_topic": "answers/\u00e4/1", "correlation_data": bytes(range(256)),
            "content_type": "application/json; \u20ac",
            "user_property": [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("b", "0"), ("\u00fc", "\U0001f600")]}
    for qos in (0, 1, 2):
        publisher.publish(env.topic(str(qos)), "text \u20ac", qos=qos, props=sent)
        found = subscriber.message(topic=env.topic(str(qos)))
        assert found.props == sent, found.props
    publisher.publish(env.topic("bare"), b"\xff", props={"payload_format_indicator": 0})
    assert subscriber.message().props.get("payload_format_indicator", 0) == 0
    publisher.publish(env.topic("none"), b"\xff")
    assert not subscriber.message().props


def test_large_user_properties_in_order(env):
    """[MQTT-3.3.2-18] thirty-two user properties keep their order."""
    subscriber, publisher = pair(env)
    user = [(f"k{number * 7 % 5}", f"v{number}") for number in range(32)]
    publisher.publish(env.topic(), b"", qos=1, props={"user_property": user})
    assert subscriber.message().user == user


@mosquitto_differs("does not look into them")
def test_ill_formed_strings_in_properties(env):
    """[MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19] [MQTT-1.5.7-1] response topic and content type must be UTF-8, a
    response topic has no wildcard, both halves of a user property are UTF-8."""
    for props in ({"response_topic": b"a\xff"}, {"response_topic": "a/+"}, {"response_topic": "#"},
                  {"content_type": b"\xc3"}, {"user_property": (b"\xff", "v")}, {"user_property": ("k", b"a\x00")}):
        client = env.connected()
        client.send(codec.publish(env.topic(), b"x", props=props))
        client.expect_disconnect((0x81, 0x82, 0x90))


@mosquitto_differs("ignores it")
def test_subscription_identifier_from_a_client(env):
    """[MQTT-3.3.4-6] a client's PUBLISH with a Subscription Identifier."""
    client = env.connected()
    client.send(codec.publish(env.topic(), b"x", props={"subscription_identifier": 1}))
    client.expect_disconnect((0x81, 0x82))


@mosquitto_differs("accepts some of these")
def test_bad_publish_properties(env):
    """[MQTT-4.13.1-1] repeated, out of range, unknown, foreign or truncated properties; a property length beyond the
    packet; a length that is not in its shortest form [MQTT-1.5.5-1]."""
    body = codec.string(env.topic())
    raw = [codec.packet(PUBLISH, 0, body + tail) for tail in
           (b"\x05\x01\x01", b"\x80\x00", b"\x02\x02\x00", b"\x80\x80\x80\x80\x01", b"")]
    for packet in raw + [codec.publish(env.topic(), b"x", props=props) for props in
                         ([("content_type", "a"), ("content_type", "b")], {"payload_format_indicator": 2},
                          {"receive_maximum": 3}, b"\x04\x00", b"\x00", b"\xff\x01",
                          [("message_expiry_interval", 1), ("message_expiry_interval", 1)])]:
        client = env.connected()
        client.send(packet)
        client.expect_disconnect((0x81, 0x82))


@mosquitto_differs("does not check the format")
def test_payload_format_is_checked(env):
    """[MQTT-3.4.2-1] [MQTT-3.5.2-1] a payload that claims to be UTF-8 and is not gets 0x99 in PUBACK or PUBREC, and a
    DISCONNECT at QoS 0; nothing is delivered."""
    subscriber, publisher = pair(env)
    props = {"payload_format_indicator": 1}
    publisher.publish(env.topic(), b"\xff\xfe", qos=1, reason=0x99, props=props)
    publisher.publish(env.topic(), b"\xed\xa0\x80", qos=2, reason=0x99, props=props)
    publisher.publish(env.topic(), "ok \u20ac", qos=1, props=props)
    subscriber.message(payload="ok \u20ac".encode())
    publisher.send(codec.publish(env.topic(), b"\xff", props=props))
    publisher.expect_disconnect(0x99)
    subscriber.expect_nothing(0.2)


def test_topic_alias_from_the_client(env):
    """[MQTT-3.3.2-12] [MQTT-3.3.2-7] every alias from 1 to the maximum works and can be set anew; on another
    connection it means nothing."""
    subscriber, publisher = pair(env, qos=0)
    maximum = publisher.connack.props["topic_alias_maximum"]
    for alias in range(1, maximum + 1):
        publisher.publish(env.topic(f"a{alias}"), b"set", props={"topic_alias": alias})
    for alias in range(1, maximum + 1):
        publisher.publish("", b"used", props={"topic_alias": alias})
    got = subscriber.take(2 * maximum)
    assert [found.topic for found in got] == [env.topic(f"a{alias}") for alias in range(1, maximum + 1)] * 2
    publisher.publish(env.topic("moved"), b"", props={"topic_alias": 1})
    publisher.publish("", b"to moved", qos=1, props={"topic_alias": 1})
    assert [found.topic for found in subscriber.take(2)] == [env.topic("moved")] * 2
    other = env.connected()
    other.send(codec.publish("", b"", props={"topic_alias": 1}))
    other.expect_disconnect((0x82, 0x94))


def test_alias_mapping_ends_with_the_connection(env):
    """[MQTT-3.3.2-7] a resumed session has no aliases left."""
    props = {"session_expiry_interval": 60}
    client = env.connected(env.id(), props=props)
    client.publish(env.topic(), b"", qos=1, props={"topic_alias": 3})
    client.drop()
    again = env.connected(env.id(), clean=False, props=props)
    again.send(codec.publish("", b"", props={"topic_alias": 3}))
    again.expect_disconnect((0x82, 0x94))


def test_topic_alias_out_of_range(env):
    """[MQTT-3.3.2-8] [MQTT-3.3.2-9] alias 0 and an alias above the announced maximum: DISCONNECT 0x94."""
    for alias in (0, 65, 65535):
        client = env.connected()
        client.send(codec.publish(env.topic(), b"", props={"topic_alias": alias}))
        client.expect_disconnect(0x94 if alias else (0x94, 0x81, 0x82))


@mosquitto_differs("never sends aliases")
def test_topic_alias_towards_the_client(env):
    """[MQTT-3.1.2-26] [MQTT-3.3.2-11] [MQTT-3.3.2-8] with a Topic Alias Maximum of 3 the broker stays within it (the
    client checks each packet), resolves to the right topics and does use aliases."""
    subscriber, publisher = pair(env, props={"topic_alias_maximum": 3})
    topics = [env.topic(f"long/topic/of/machine/{number}") for number in range(6)]
    got = []
    for _ in range(10):
        for topic in topics:
            publisher.publish(topic, topic.encode(), qos=1)
            got.append(subscriber.message())
    assert [found.topic.encode() == found.payload for found in got] == [True] * 60
    assert any(len(found.raw) < len(found.payload) + 10 + len(found.topic) for found in got), "no alias was ever used"


def test_no_topic_alias_without_maximum(env):
    """[MQTT-3.1.2-27] no alias to a client that gave no Topic Alias Maximum or 0 (the client checks each packet)."""
    for props in (None, {"topic_alias_maximum": 0}):
        subscriber, publisher = pair(env, props=props)
        for _ in range(20):
            publisher.publish(env.topic("same"), b"x", qos=1)
        assert all("topic_alias" not in found.props for found in subscriber.take(20))
        subscriber.disconnect()


@mosquitto_differs("refuses a repetition on the same connection")
def test_qos_2_repeated_before_pubrel_is_delivered_once(env):
    """[MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12] the PUBLISH again, with DUP: PUBREC again, one delivery; after
    PUBCOMP the identifier is a new message."""
    subscriber, publisher = pair(env)
    for _ in range(3):
        publisher.send(codec.publish(env.topic(), b"once", qos=2, packet_id=5, dup=_ > 0))
        publisher.expect(PUBREC, packet_id=5, reason=0)
    publisher.send(codec.ack(PUBREL, 5))
    publisher.expect(PUBCOMP, packet_id=5, reason=0)
    subscriber.message(payload=b"once")
    subscriber.expect_nothing(0.2)
    publisher.publish(env.topic(), b"new", qos=2, packet_id=5)
    subscriber.message(payload=b"new")


def test_qos_2_survives_reconnect_and_is_delivered_once(env):
    """[MQTT-4.3.3-10] [MQTT-4.3.3-8] the identifier is remembered over a lost connection: repeated PUBLISH after
    resuming gets PUBREC and is not delivered again; PUBREL is answered in the new connection."""
    subscriber, _ = pair(env)
    props = {"session_expiry_interval": 60}
    publisher = env.connected(env.id("p"), props=props)
    publisher.send(codec.publish(env.topic(), b"once", qos=2, packet_id=9))
    publisher.expect(PUBREC, packet_id=9)
    publisher.drop()
    publisher = env.connected(env.id("p"), clean=False, props=props)
    publisher.send(codec.publish(env.topic(), b"once", qos=2, packet_id=9, dup=True))
    publisher.expect(PUBREC, packet_id=9)
    publisher.drop()
    publisher = env.connected(env.id("p"), clean=False, props=props)
    publisher.send(codec.ack(PUBREL, 9))
    publisher.expect(PUBCOMP, packet_id=9, reason=0)
    subscriber.message(payload=b"once")
    subscriber.expect_nothing(0.2)


def test_pubrel_is_answered_even_for_an_unknown_identifier(env):
    """[MQTT-4.3.3-11] [MQTT-3.7.2-1] [MQTT-2.2.1-5] PUBREL gets PUBCOMP, 0x92 where the identifier is unknown (5.0)."""
    client = env.connected()
    client.send(codec.ack(PUBREL, 77))
    assert client.expect(PUBCOMP, packet_id=77).reason in (0, 0x92)


def test_same_identifier_after_puback_is_a_new_message(env):
    """[MQTT-4.3.2-5] after its PUBACK an identifier is free, even when DUP is set."""
    subscriber, publisher = pair(env)
    for number in range(3):
        publisher.publish(env.topic(), bytes([number]), qos=1, packet_id=7, dup=number == 2)
    assert [found.payload for found in subscriber.take(3)] == [b"\0", b"\1", b"\2"]


@mosquitto_differs("accepts deep topics")
def test_identifier_of_a_refused_qos_2_publish_is_free(env):
    """[MQTT-4.3.3-9] after a PUBREC of 0x80 or more the same identifier starts a new message, without a PUBREL."""
    subscriber, publisher = pair(env)
    publisher.publish(env.topic("/".join("x" * 70)), b"refused", qos=2, packet_id=3, reason=0x90)
    publisher.publish(env.topic("fine"), b"accepted", qos=2, packet_id=3)
    subscriber.message(payload=b"accepted")


def test_sending_qos_2(env):
    """[MQTT-4.3.3-4] [MQTT-4.3.3-1] [MQTT-4.3.3-12] the broker as sender: PUBREC below 0x80 is answered with PUBREL of
    the same identifier, also 0x10; identifiers in use are not taken for other messages."""
    subscriber, publisher = pair(env)
    for number in range(5):
        publisher.publish(env.topic(), bytes([number]), qos=2)
    got = [subscriber.expect(PUBLISH, qos=2) for _ in range(5)]
    assert len({found.packet_id for found in got}) == 5
    for found in got:
        subscriber.send(codec.ack(PUBREC, found.packet_id, 0x10))
        subscriber.expect(PUBREL, packet_id=found.packet_id, reason=0)
    publisher.publish(env.topic(), b"more", qos=2)
    assert subscriber.expect(PUBLISH).packet_id not in {found.packet_id for found in got}


def test_refused_by_the_receiver(env):
    """[MQTT-4.3.3-3] [MQTT-4.4.0-2] a PUBREC or PUBACK of 0x80 or more ends the exchange: no PUBREL, no resending when
    the session is resumed."""
    props = {"session_expiry_interval": 60}
    subscriber, publisher = pair(env, client_id=env.id("s"), props=props)
    publisher.publish(env.topic(), b"two", qos=2)
    found = subscriber.expect(PUBLISH, payload=b"two")
    subscriber.send(codec.ack(PUBREC, found.packet_id, 0x80))
    subscriber.in_flight.clear()
    publisher.publish(env.topic(), b"one", qos=1)
    found = subscriber.expect(PUBLISH, payload=b"one")
    subscriber.send(codec.ack(PUBACK, found.packet_id, 0x83))
    subscriber.ping()
    subscriber.expect_nothing(0.2)
    subscriber.drop()
    again = env.connected(env.id("s"), clean=False, props=props)
    assert again.connack.session_present
    again.expect_nothing(0.3)


def test_pubrel_flags(env):
    """[MQTT-3.6.1-1] PUBREL with other flags than 0010 closes."""
    for first in (0x60, 0x61, 0x63, 0x6A):
        client = env.connected()
        client.send(bytes([first, 2, 0, 1]))
        client.expect_disconnect((0x81, 0x82))


@mosquitto_differs("ignores some of these")
def test_bad_acknowledgement_reasons(env):
    """[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] acknowledgements with a reason code that is not
    listed for them are refused: protocol error or malformed."""
    for kind, reason in ((PUBACK, 0x01), (PUBREC, 0x92), (PUBREL, 0x10), (PUBCOMP, 0x80)):
        client = env.connected()
        client.send(codec.ack(kind, 1, reason))
        client.expect_disconnect((0x81, 0x82))


@mosquitto_differs("does not limit levels and sends no reason strings")
def test_reason_strings_left_out_when_too_large(env):
    """[MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.9.2-1] [MQTT-3.14.2-3] refusals explain themselves with a Reason String,
    and do without where the client's Maximum Packet Size leaves no room (the client checks the size)."""
    deep = env.topic("/".join("x" * 70))

    def refused_publish(client, qos):
        return client.publish(deep, b"", qos=qos, reason=0x90)

    def disconnect(client):
        client.send(codec.publish("a/+", b""))
        return client.expect_disconnect((0x90, 0x81, 0x82))
    for ask in (lambda client: refused_publish(client, 1), lambda client: refused_publish(client, 2),
                lambda client: client.subscribe("a/#/b", codes=[0x8F]), disconnect):
        explains_where_there_is_room(env, ask)


def explains_where_there_is_room(env, ask):
    """`ask(client)` gets an answer with a Reason String; a client that takes one byte less gets it without."""
    talkative = env.connected()
    explained = ask(talkative)
    assert explained.props.get("reason_string"), explained
    room = len(explained.raw) - 1
    assert room >= len(talkative.connack.raw), f"reason string too short for this test: {explained}"
    small = env.connected(props={"maximum_packet_size": room})
    assert "reason_string" not in ask(small).props


@mosquitto_differs("does not limit levels")
def test_request_problem_information_0(env):
    """[MQTT-3.1.2-29] no Reason String and no User Property on PUBACK, PUBREC, SUBACK, UNSUBACK and PUBCOMP (the
    client checks), while a forwarded PUBLISH keeps its User Properties."""
    client = env.connected(props={"request_problem_information": 0})
    deep = env.topic("/".join("x" * 70))
    client.publish(deep, b"", qos=1, reason=0x90)
    client.publish(deep, b"", qos=2, reason=0x90)
    client.subscribe("a/#/b", codes=[0x8F])
    client.unsubscribe("a/#/b")
    client.send(codec.ack(PUBREL, 99))
    client.expect(PUBCOMP)
    client.subscribe(env.topic())
    client.publish(env.topic(), b"", qos=1, props={"user_property": ("a", "b")})
    assert client.message().user == [("a", "b")]


def test_no_matching_subscribers(env):
    """[MQTT-3.4.2-1] 0x10 (or 0x00) when nobody listens; 0x00 when somebody does."""
    client = env.connected()
    assert client.publish(env.topic("nobody"), b"", qos=1).reason in (0, 0x10)
    client.subscribe(env.topic("me"), qos=0)
    assert client.publish(env.topic("me"), b"", qos=1).reason == 0


def test_message_expiry(env):
    """[MQTT-3.3.2-5] [MQTT-3.3.2-6] [MQTT-4.3.3-7] a queued message that expired is not delivered; one that did not
    arrives with its interval reduced by the time it waited; without interval it waits for ever."""
    props = {"session_expiry_interval": 60}
    subscriber, publisher = pair(env, client_id=env.id("s"), props=props)
    publisher.publish(env.topic("live"), b"live", qos=1, props={"message_expiry_interval": 100})
    found = subscriber.message(payload=b"live")
    assert 95 <= found.props["message_expiry_interval"] <= 100
    subscriber.drop()
    started = time.monotonic()
    for seconds in (1, 60):
        publisher.publish(env.topic(), f"{seconds} s".encode(), qos=1, props={"message_expiry_interval": seconds})
    publisher.publish(env.topic(), b"for ever", qos=1)
    time.sleep(2.3)
    again = env.connected(env.id("s"), clean=False, props=props)
    found = again.message(payload=b"60 s")
    waited = time.monotonic() - started
    assert 60 - waited - 1 <= found.props["message_expiry_interval"] <= 58, f"{found} after {waited:.1f} s"
    found = again.message(payload=b"for ever")
    assert "message_expiry_interval" not in found.props


@mosquitto_differs("may drop it at its next look at expiries")
def test_exchange_goes_on_after_expiry(env):
    """[MQTT-4.3.3-13] [MQTT-4.3.3-7] once a QoS 2 PUBLISH is out, its expiry changes nothing: after resuming it is
    sent again and completed."""
    props = {"session_expiry_interval": 60}
    subscriber, publisher = pair(env, client_id=env.id("s"), props=props)
    publisher.publish(env.topic(), b"under way", qos=2, props={"message_expiry_interval": 1})
    found = subscriber.expect(PUBLISH, payload=b"under way")
    time.sleep(1.6)
    subscriber.send(codec.ack(PUBREC, found.packet_id))
    subscriber.expect(PUBREL, packet_id=found.packet_id, reason=0)
    subscriber.drop()
    again = env.connected(env.id("s"), clean=False, props=props)
    again.expect(PUBREL, packet_id=found.packet_id, reason=0)
    again.send(codec.ack(PUBCOMP, found.packet_id))
    again.ping()


def test_order_within_a_topic(env):
    """[MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.6.0-2] [MQTT-4.6.0-3] 1,000 messages at each QoS, sent without waiting,
    arrive in order, and their acknowledgements come in order."""
    subscriber, publisher = pair(env)
    for qos in (0, 1, 2):
        batch = [codec.publish(env.topic(f"q{qos}"), str(number).encode(), qos=qos,
                               packet_id=number + 1 if qos else None) for number in range(1000)]
        publisher.send(*batch)
        if qos:
            kind = PUBACK if qos == 1 else PUBREC
            assert [publisher.wait_for(kind).packet_id for _ in range(1000)] == list(range(1, 1001))
        if qos == 2:
            publisher.send(*(codec.ack(PUBREL, number + 1) for number in range(1000)))
            assert [publisher.wait_for(PUBCOMP).packet_id for _ in range(1000)] == list(range(1, 1001))
        seen = []
        for _ in range(1000):
            found = subscriber.wait_for(PUBLISH)
            seen.append(int(found.payload))
            if found.qos == 1:
                subscriber.puback(found)
            elif found.qos == 2:
                subscriber.send(codec.ack(PUBREC, found.packet_id))
                subscriber.wait_for(PUBREL, packet_id=found.packet_id)
                subscriber.in_flight.pop(found.packet_id)
                subscriber.send(codec.ack(PUBCOMP, found.packet_id))
        assert seen == list(range(1000)), f"QoS {qos}: out of order"


@versions(V311, V5)
def test_big_payloads(env, version):
    """Payloads of every size class up to almost the packet limit arrive whole."""
    subscriber = env.connected(version=version)
    subscriber.subscribe(env.topic("#"), qos=2)
    publisher = env.connected(version=version)
    for size in (0, 1, 127, 128, 16383, 16384, 65535, 65536, 262144, (1 << 20) - 100):
        for qos in (0, 1, 2):
            payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
            publisher.publish(env.topic(), payload, qos=qos)
            assert subscriber.message(qos=qos).payload == payload, size
