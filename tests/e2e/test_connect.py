"""CONNECT and CONNACK of MQTT 5, keep alive, DISCONNECT, AUTH."""
import struct
import time

import mqttcodec as codec
from harness import mosquitto_differs, profile
from mqttcodec import CONNACK, DISCONNECT, PINGRESP, PUBLISH, V5, V311, Will


def refused(client, reasons, sent):
    """Sends a bad first packet; only a refusing CONNACK with one of `reasons` may come before the close."""
    client.send(sent)
    seen = client.expect_close(allow=(CONNACK,))
    assert len(seen) <= 1, seen
    for found in seen:
        assert found.reason in reasons, f"{found!r}, expected one of {[hex(item) for item in reasons]}"
    return seen


def test_first_packet_must_be_connect(env):
    """[MQTT-3.1.0-1] [MQTT-4.13.1-1] [MQTT-3.14.0-1] anything before CONNECT closes the connection, without a
    DISCONNECT and without an answer to it."""
    for packet in (codec.pingreq(), codec.publish("a", b"x"), codec.subscribe(1, [("a", 0)]), codec.disconnect(0),
                   codec.ack(codec.PUBACK, 1), codec.unsubscribe(1, ["a"]), codec.auth(0x18)):
        client = env.client()
        client.send(packet)
        client.expect_close()


def test_second_connect_closes(env):
    """[MQTT-3.1.0-2] [MQTT-3.2.0-2] a second CONNECT gets no second CONNACK but DISCONNECT 0x82 and the close."""
    client = env.connected()
    client.send_connect(env.id("second"))
    client.expect_disconnect(0x82)


def raw_answer(client):
    """All bytes until the end of the stream: who knows in which version an unknown one is refused."""
    data = b""
    client.sock.settimeout(10)
    try:
        while more := client.sock.recv(1000):
            data += more
    except ConnectionError:
        pass
    return data


def assert_refused_version(data, what):
    """A bare close, or a CONNACK with 0x84 of 5.0 or 0x01 of 3.1.1."""
    assert not data or (data[0] == 0x20 and data[2] == 0 and data[3] in (0x84, 0x01)), f"{what}: {data.hex()}"


def test_protocol_name_must_be_mqtt(env):
    """[MQTT-3.1.2-1] [MQTT-3.1.4-1] a wrong protocol name is refused with 0x84 or closed."""
    for name in ("mqtt", "MQTTX", "MQIsdp", "HTTP", ""):
        client = env.client()
        client.send(codec.connect(env.id(), name=name))
        assert_refused_version(raw_answer(client), name)


def test_protocol_version_must_be_known(env):
    """[MQTT-3.1.2-2] versions other than 3, 4 and 5 are refused, with 0x84 (5.0's name for it) or 0x01 of 3.1.1."""
    for level in (0, 1, 2, 6, 99, 0xFF):
        client = env.client()
        client.send(codec.connect(env.id(), level=level))
        assert_refused_version(raw_answer(client), f"level {level}")


def test_reserved_connect_flag_must_be_zero(env):
    """[MQTT-3.1.2-3] the reserved bit of the Connect Flags set: refused as malformed."""
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), flags=0x03))


def test_connect_fixed_header_flags_must_be_zero(env):
    """[MQTT-2.1.3-1] reserved bits in the fixed header of CONNECT."""
    for bits in (1, 2, 4, 8, 15):
        packet = bytearray(codec.connect(env.id()))
        packet[0] |= bits
        refused(env.client(), {0x81, 0x82}, bytes(packet))


def test_clean_start_discards_session(env):
    """[MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2] Clean Start 1: Session Present 0 and nothing of the old session:
    neither subscription nor queued message."""
    one = env.connected(env.id(), props={"session_expiry_interval": 100})
    one.subscribe(env.topic(), qos=1)
    one.disconnect()
    other = env.connected()
    other.publish(env.topic(), b"queued", qos=1)
    again = env.connected(env.id(), clean=True)
    assert again.connack.session_present is False
    other.publish(env.topic(), b"later", qos=1)
    again.expect_nothing()


def test_clean_start_0_resumes_session(env):
    """[MQTT-3.1.2-5] [MQTT-3.2.2-3] [MQTT-3.1.3-2] [MQTT-3.1.2-23] the session of that client id, and of no other,
    is resumed: Session Present 1, subscriptions and queue are there."""
    one = env.connected(env.id(), props={"session_expiry_interval": 100})
    one.subscribe(env.topic(), qos=1)
    one.disconnect()
    stranger = env.connected(env.id("other"), clean=False)
    assert stranger.connack.session_present is False
    stranger.publish(env.topic(), b"queued", qos=1)
    again = env.connected(env.id(), clean=False)
    assert again.connack.session_present is True
    again.message(topic=env.topic(), payload=b"queued")
    stranger.publish(env.topic(), b"live", qos=1)
    again.message(payload=b"live")
    stranger.expect_nothing(0.1)


def test_clean_start_0_without_session_creates_one(env):
    """[MQTT-3.1.2-6] [MQTT-3.2.2-3] no session known: Session Present 0, and a session that works and is kept."""
    one = env.connected(env.id(), clean=False, props={"session_expiry_interval": 100})
    assert one.connack.session_present is False
    one.subscribe(env.topic(), qos=1)
    one.drop()
    again = env.connected(env.id(), clean=False)
    assert again.connack.session_present is True


def test_connect_flag_fields_must_match_payload(env):
    """[MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13] [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-19] will QoS or
    retain without will, will QoS 3, and payload that does not fit the flags are refused."""
    will = Will(env.topic(), b"x")
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), flags=0x0A))            # will QoS 1, no will
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), flags=0x22))            # will retain, no will
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), will=will, flags=0x1E))  # will QoS 3
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), username="u", flags=0x02))
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), flags=0x82))
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), flags=0x42))


def test_will_flag_needs_will_fields(env):
    """[MQTT-3.1.2-9] [MQTT-3.1.3-1] Will Flag without will properties, topic and payload."""
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), flags=0x06))


def test_client_id_must_be_utf8(env):
    """[MQTT-3.1.3-4] [MQTT-3.1.3-8] [MQTT-1.5.4-1] [MQTT-1.5.4-2] ill-formed or surrogate UTF-8 and U+0000 in a
    client id are refused."""
    for bad in (b"\xff", b"a\xc0\xaf", b"\xed\xa0\x80", b"a\x00b", b"\xf5\x80\x80\x80"):
        refused(env.client(), {0x81, 0x82, 0x85}, codec.connect(bad))


def test_user_name_and_will_topic_must_be_utf8(env):
    """[MQTT-3.1.3-11] [MQTT-3.1.3-12] ill-formed user name or will topic."""
    refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), username=b"\xc3\x28"))
    refused(env.client(), {0x81, 0x82, 0x90}, codec.connect(env.id(), will=Will(b"a\xff", b"")))


def test_client_id_missing_is_refused(env):
    """[MQTT-3.1.3-3] a CONNECT that ends before the client id."""
    body = codec.string("MQTT") + b"\x05\x02\x00\x3c\x00"
    refused(env.client(), {0x81, 0x82, 0x85}, codec.packet(codec.CONNECT, 0, body))


def test_client_ids_of_1_to_23_characters(env):
    """[MQTT-3.1.3-5] every length from 1 to 23 and every character of 0-9 a-z A-Z."""
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ids = [(env.id() + alphabet)[:length] for length in range(len(env.id()), 24)]
    ids += ["Q" * length for length in range(1, 24)] + [alphabet[start:start + 23] for start in (0, 23, 39)]
    for client_id in ids:
        client = env.connected(client_id)
        assert "assigned_client_identifier" not in client.connack.props
        client.disconnect()


def test_empty_client_id_is_assigned_one(env):
    """[MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] each empty client id gets a unique one, returned in the CONNACK,
    and it names the session from then on."""
    clients = [env.connected("", props={"session_expiry_interval": 100}) for _ in range(20)]
    ids = [client.connack.props["assigned_client_identifier"] for client in clients]
    assert len(set(ids)) == 20 and all(ids), ids
    clients[0].subscribe(env.topic(), qos=1)
    clients[0].disconnect()
    again = env.connected(ids[0], clean=False)
    assert again.connack.session_present is True


def test_takeover(env):
    """[MQTT-3.1.4-3] the older connection of a client id gets DISCONNECT 0x8E and is closed."""
    old = env.connected(env.id())
    new = env.connected(env.id())
    old.expect_disconnect(0x8E)
    new.ping()


def test_takeover_resumes_the_live_session(env):
    """[MQTT-3.1.4-3] [MQTT-3.1.2-5] [MQTT-4.1.0-1] a takeover with Clean Start 0 goes on with the session."""
    old = env.connected(env.id(), props={"session_expiry_interval": 60})
    old.subscribe(env.topic(), qos=1)
    new = env.connected(env.id(), clean=False, props={"session_expiry_interval": 60})
    assert new.connack.session_present is True
    env.connected().publish(env.topic(), b"to the new one", qos=1)
    new.message(payload=b"to the new one")


def test_many_takeovers_leave_one_connection(env):
    """[MQTT-3.1.4-3] thirty connections fight for one client id at the same time: one remains, and works."""
    clients = [env.client() for _ in range(30)]
    for client in clients:
        client.send_connect(env.id(), clean=False, props={"session_expiry_interval": 60})
    time.sleep(0.5)
    alive = []
    for client in clients:
        try:
            client.expect(CONNACK, reason=0)
            client.ping()
            alive.append(client)
        except (AssertionError, OSError):
            client.close()
    assert len(alive) == 1, f"{len(alive)} connections live with one client id"


def test_connack_success(env):
    """[MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.2-1] [MQTT-2.2.2-1] the first packet is a CONNACK 0x00 with clean flag
    bits and a property length, also when retained messages and a SUBSCRIBE wait behind the CONNECT."""
    env.connected().publish(env.topic(), b"kept", qos=1, retain=True)
    client = env.client()
    client.send(codec.connect(env.id()), codec.subscribe(7, [(env.topic(), 1)]), codec.pingreq())
    found = client.expect(CONNACK, reason=0)
    assert found.raw[2] == 0 and len(found.raw) >= 5, found.raw.hex()
    client.wait_for(codec.SUBACK, packet_id=7)
    client.wait_for(PINGRESP)
    client.wait_for(PUBLISH, payload=b"kept")


@mosquitto_differs("announces other limits")
def test_connack_announces_the_limits(env):
    """[MQTT-3.2.2-8] what the broker takes is announced: Receive Maximum 1,024, 1 MiB packets, 64 aliases; what it can
    do in full is not restricted (Maximum QoS, retain, wildcards, identifiers, shared subscriptions)."""
    props = env.connected().connack.props
    assert props["receive_maximum"] == 1024 and props["topic_alias_maximum"] == 64, props
    assert props["maximum_packet_size"] == 1 << 20, props
    assert "maximum_qos" not in props, props
    for name in ("retain_available", "wildcard_subscription_available", "subscription_identifier_available",
                 "shared_subscription_available"):
        assert props.get(name, 1) == 1, props


def test_refusing_connack_has_no_session(env):
    """[MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.1.4-2] [MQTT-3.1.4-6] [MQTT-4.13.2-1] [MQTT-4.12.0-1]
    [MQTT-4.12.0-4] an unknown
    authentication method is refused with 0x8C (or 0x87) although the session exists; Session Present is 0, what
    follows the CONNECT is not processed and the connection is closed."""
    one = env.connected(env.id(), props={"session_expiry_interval": 60})
    one.disconnect()
    watcher = env.connected()
    watcher.subscribe(env.topic(), qos=1)
    client = env.client()
    client.send(codec.connect(env.id(), clean=False, props={"authentication_method": "no-such-method"}),
                codec.publish(env.topic(), b"must not pass"))
    seen = client.expect_close(allow=(CONNACK,))
    assert [found.reason in (0x8C, 0x87) and not found.session_present for found in seen] == [True], seen
    watcher.expect_nothing()


def test_no_auth_without_method(env):
    """[MQTT-4.12.0-6] [MQTT-4.12.0-7] a client that named no method sees neither AUTH nor a method, and may not send
    AUTH itself."""
    client = env.connected()
    assert "authentication_method" not in client.connack.props
    client.send(codec.auth(0x19, {"authentication_method": "x"}))
    client.expect_disconnect(0x82)


def test_auth_flags_must_be_zero(env):
    """[MQTT-3.15.1-1] AUTH with reserved flag bits is malformed and closes."""
    client = env.connected()
    client.send(b"\xf1\x00")
    client.expect_disconnect((0x81, 0x82))


def test_no_response_information_unless_asked(env):
    """[MQTT-3.1.2-28] Response Information only on request."""
    for props in (None, {"request_response_information": 0}):
        assert "response_information" not in env.connected(props=props).connack.props


@mosquitto_differs("looks at keep alives every five seconds")
def test_keep_alive_is_enforced(env):
    """[MQTT-3.1.2-22] [MQTT-3.2.2-22] after one and a half times the client's own keep alive of silence the connection
    ends, with 0x8D, and the will goes out; not before, and not while it pings."""
    watcher = env.connected()
    watcher.subscribe(env.topic())
    silent = env.connected(env.id("silent"), keep_alive=2, will=Will(env.topic(), b"silent"))
    lively = env.connected(env.id("lively"), keep_alive=2)
    assert "server_keep_alive" not in silent.connack.props
    started = time.monotonic()
    while time.monotonic() - started < 4.2:
        lively.ping()
        time.sleep(0.3)
    silent.expect_disconnect(0x8D, timeout=2)
    watcher.message(payload=b"silent")
    lively.ping()


@mosquitto_differs("looks at keep alives every five seconds")
def test_keep_alive_lasts_one_and_a_half(env):
    """[MQTT-3.1.2-22] the limit is 1.5 times the keep alive, not 1: a packet after 1.3 times is in time."""
    client = env.connected(keep_alive=2)
    time.sleep(2.5)
    client.ping()
    started = time.monotonic()
    client.expect_disconnect(0x8D, timeout=6)
    assert 2.8 < time.monotonic() - started < 5.5


@mosquitto_differs("answers only keep alives above 65535/1.5")
def test_server_keep_alive(env):
    """[MQTT-3.1.2-21] a keep alive of 0 or over 3,600 s is replaced: Server Keep Alive says 3,600."""
    for keep_alive in (0, 3601, 65535):
        assert env.connected(keep_alive=keep_alive).connack.props.get("server_keep_alive") == 3600, keep_alive
    assert "server_keep_alive" not in env.connected(keep_alive=3600).connack.props


def test_pingreq_is_answered(env):
    """[MQTT-3.12.4-1] one PINGRESP for each PINGREQ."""
    client = env.connected()
    client.send(codec.pingreq() * 5)
    for _ in range(5):
        client.expect(PINGRESP)
    client.expect_nothing(0.1)


@mosquitto_differs("ignores the body of a PINGREQ")
def test_ping_with_body_is_malformed(env):
    """[MQTT-4.13.1-1] [MQTT-2.1.3-1] PINGREQ with a body or with flags."""
    for packet in (b"\xc0\x01\x00", b"\xc1\x00"):
        client = env.connected()
        client.send(packet)
        client.expect_disconnect((0x81, 0x82))


def test_disconnect_closes(env):
    """[MQTT-3.14.4-1] [MQTT-3.14.4-2] after the client's DISCONNECT nothing it sends counts and the broker, too,
    closes without another packet."""
    watcher = env.connected()
    watcher.subscribe(env.topic(), qos=1)
    client = env.connected()
    client.send(codec.disconnect(), codec.publish(env.topic(), b"after the end"), codec.pingreq())
    client.expect_close()
    watcher.expect_nothing()


def test_disconnect_flags_must_be_zero(env):
    """[MQTT-3.14.1-1] reserved bits of DISCONNECT: 0x81 and close, and it counts as no DISCONNECT (will goes out)."""
    watcher = env.connected()
    watcher.subscribe(env.topic())
    client = env.connected(will=Will(env.topic(), b"will"))
    client.send(b"\xe1\x00")
    client.expect_disconnect((0x81, 0x82))
    watcher.message(payload=b"will")


@mosquitto_differs("ignores a CONNACK from a client")
def test_server_packets_from_a_client(env):
    """[MQTT-4.13.1-1] packets that only a server may send are a protocol error, 0x82 (or malformed, 0x81)."""
    for packet in (b"\x20\x03\x00\x00\x00", b"\x90\x04\x00\x01\x00\x00", b"\xb0\x04\x00\x01\x00\x00", b"\xd0\x00",
                   b"\x00\x00"):
        client = env.connected()
        client.send(packet)
        client.expect_disconnect((0x81, 0x82))


def test_raised_session_expiry_at_disconnect(env):
    """[MQTT-3.14.2-1] a session that was opened with expiry 0 may not get another at DISCONNECT: protocol error."""
    client = env.connected()
    client.send(codec.disconnect(0, {"session_expiry_interval": 60}))
    seen = client.expect_close(allow=(DISCONNECT,))
    assert all(found.reason == 0x82 for found in seen), seen
    again = env.connected(clean=False)
    assert again.connack.session_present is False


def test_session_expiry_changes_at_disconnect(env):
    """[MQTT-4.1.0-2] DISCONNECT may shorten the expiry to 0: the session is gone at once."""
    client = env.connected(env.id(), props={"session_expiry_interval": 600})
    client.disconnect(0, {"session_expiry_interval": 0})
    assert env.connected(env.id(), clean=False).connack.session_present is False


@mosquitto_differs("sets no such limit")
def test_session_expiry_is_capped(env):
    """[MQTT-3.1.2-23] an expiry above 7 days is cut and the CONNACK says so; below, it is taken as it is."""
    for asked in (0xFFFFFFFF, 7 * 86400 + 1):
        client = env.connected(props={"session_expiry_interval": asked})
        assert client.connack.props.get("session_expiry_interval") == 7 * 86400, client.connack
        client.disconnect(0, {"session_expiry_interval": 0})
    client = env.connected(props={"session_expiry_interval": 7 * 86400})
    assert client.connack.props.get("session_expiry_interval", 7 * 86400) == 7 * 86400
    client.disconnect(0, {"session_expiry_interval": 0})


@mosquitto_differs("has no such limit")
def test_client_id_of_more_than_128_bytes(env):
    """[MQTT-3.1.3-8] [MQTT-3.2.2-7] a client id of 129 bytes is refused with 0x85; 128 are fine."""
    base = env.id()
    env.connected(base + "x" * (128 - len(base))).disconnect()
    seen = refused(env.client(), {0x85}, codec.connect(base + "x" * (129 - len(base))))
    assert len(seen) == 1 and seen[0].props.get("reason_string"), seen


@mosquitto_differs("has no such limit and sends no reason strings")
def test_connack_reason_string_left_out_when_too_large(env):
    """[MQTT-3.2.2-19] [MQTT-3.1.2-24] a refusing CONNACK explains itself, but not where the client's Maximum Packet
    Size leaves no room."""
    name = env.id() + "x" * 130
    client = env.client()
    client.connect(name, reason=0x85)
    assert client.connack.props.get("reason_string"), client.connack
    client.expect_close()
    small = env.client()
    small.connect(name, reason=0x85, props={"maximum_packet_size": 8})
    assert "reason_string" not in small.connack.props
    small.expect_close()


def test_zero_limits_of_a_client_are_protocol_errors(env):
    """[MQTT-4.9.0-1] [MQTT-4.13.1-1] Receive Maximum 0 and Maximum Packet Size 0 in CONNECT are refused."""
    for props in ({"receive_maximum": 0}, {"maximum_packet_size": 0}):
        refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), props=props))


@mosquitto_differs("accepts some of these")
def test_bad_connect_properties(env):
    """[MQTT-3.1.4-1] properties that are repeated, unknown, out of range or of another packet are refused; so is
    authentication data without a method."""
    cases = ([("receive_maximum", 5), ("receive_maximum", 5)], b"\x7f\x00", {"topic_alias": 1},
             {"request_problem_information": 2}, {"request_response_information": 2}, {"authentication_data": b"x"},
             [("session_expiry_interval", 1), ("session_expiry_interval", 1)], {"server_keep_alive": 10})
    for props in cases:
        refused(env.client(), {0x81, 0x82}, codec.connect(env.id(), props=props))


@profile("edge")
@mosquitto_differs("has no such deadline")
def test_connect_deadline(env):
    """[MQTT-3.1.4-1] who sends no CONNECT, or half of one, or one byte at a time, is closed when the deadline (here
    1 s) has passed."""
    silent, half, slow = env.client(), env.client(), env.client()
    whole = codec.connect(env.id("half"))
    half.send(whole[:-4])
    started = time.monotonic()
    for byte in codec.connect(env.id("slow") + "s" * 60):
        try:
            slow.send(bytes([byte]))
        except OSError:
            break
        if time.monotonic() - started > 4:
            raise AssertionError("a CONNECT dripped for 4 s is still listened to")
        time.sleep(0.06)
    for client in (silent, half, slow):
        client.expect_close(timeout=4, allow=(CONNACK,))
    assert time.monotonic() - started < 6


def test_packets_may_arrive_in_any_pieces(env):
    """[MQTT-4.2-1] one byte at a time, and many packets in one piece: the stream alone counts."""
    client = env.client()
    for byte in codec.connect(env.id()) + codec.subscribe(1, [(env.topic(), 1)]):
        client.send(bytes([byte]))
    client.expect(CONNACK, reason=0)
    client.expect(codec.SUBACK, packet_id=1)
    publishes = [codec.publish(env.topic(), struct.pack(">I", number)) for number in range(500)]
    client.send(b"".join(publishes) + codec.pingreq())
    seen = []
    while len(seen) < 500:
        found = client.recv()
        if found.kind == PUBLISH:
            seen.append(struct.unpack(">I", found.payload)[0])
    assert seen == list(range(500))


def test_v5_and_v311_meet(env):
    """What one version publishes the other receives."""
    five, four = env.connected(), env.connected(version=V311)
    assert five.version == V5
    five.subscribe(env.topic("x"), qos=2)
    four.subscribe(env.topic("x"), qos=2)
    five.publish(env.topic("x"), b"from five", qos=1, props={"content_type": "text/plain", "user_property": ("a", "b")})
    four.message(payload=b"from five", qos=1)
    five.message(payload=b"from five", qos=1)
    four.publish(env.topic("x"), b"from four", qos=2)
    found = five.message(payload=b"from four", qos=2)
    assert not found.props
