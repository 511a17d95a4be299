"""What MQTT 3.1.1 and 3.1 ask for where it differs from 5.0. Numbers in brackets are statements of 3.1.1."""
import time

import mqttcodec as codec
from harness import mosquitto_differs, versions
from mqttcodec import CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, SUBACK, UNSUBACK, V31, V311, V5, Will


@versions(V31, V311)
def test_whole_life(env, version):
    """Connect, subscribe, publish at each QoS, unsubscribe, ping, disconnect; the acknowledgements are two bytes long,
    UNSUBACK has no codes, CONNACK no properties."""
    client = env.connected(version=version)
    assert client.connack.raw == b"\x20\x02\x00\x00"
    client.send(codec.subscribe(10, [(env.topic("#"), 2)], version=version))
    assert client.expect(SUBACK).raw == b"\x90\x03\x00\x0a\x02"
    client.send(codec.publish(env.topic("1"), b"1", qos=1, packet_id=11, version=version))
    assert client.wait_for(PUBACK).raw == b"\x40\x02\x00\x0b"
    client.wait_for(PUBLISH, payload=b"1", qos=1)
    client.send(codec.publish(env.topic("2"), b"2", qos=2, packet_id=12, version=version))
    assert client.wait_for(PUBREC).raw == b"\x50\x02\x00\x0c"
    client.send(codec.ack(codec.PUBREL, 12))
    assert client.wait_for(PUBCOMP).raw == b"\x70\x02\x00\x0c"
    client.wait_for(PUBLISH, payload=b"2", qos=2)
    client.send(codec.unsubscribe(13, [env.topic("#"), "never/" + env.unique], version=version))
    assert client.wait_for(UNSUBACK).raw == b"\xb0\x02\x00\x0d"
    client.ping()
    client.disconnect()


@versions(V31, V311)
def test_unknown_level_is_refused_with_1(env, version):
    """[3.1.1: MQTT-3.1.2-2] an unacceptable protocol level: CONNACK 0x01, then close."""
    client = env.client(version)
    client.send(codec.connect(env.id(), version=V311, level=7))
    raw = b""
    client.sock.settimeout(10)
    while True:
        try:
            more = client.sock.recv(100)
        except ConnectionError:
            break
        if not more:
            break
        raw += more
    assert raw[:4] in (b"", b"\x20\x02\x00\x01") or raw[3:4] == b"\x84", raw


def test_empty_client_id(env):
    """[3.1.1: MQTT-3.1.3-7] [3.1.1: MQTT-3.1.3-8] empty with Clean Session 1 is fine; with 0: CONNACK 0x02, close."""
    client = env.client(V311)
    client.connect("", clean=True)
    client = env.client(V311)
    client.connect("", clean=False, reason=2)
    client.expect_close()


@mosquitto_differs("accepts it")
def test_empty_client_id_in_v31(env):
    """3.1: a client id of 1 to 23 characters is demanded; empty: CONNACK 0x02."""
    client = env.client(V31)
    client.connect("", reason=2)
    client.expect_close()


@mosquitto_differs("has no such limit")
def test_long_client_id(env):
    """A client id over the limit: CONNACK 0x02, then close."""
    client = env.client(V311)
    client.connect(env.id() + "x" * 130, reason=2)
    client.expect_close()


@versions(V31, V311)
def test_clean_session(env, version):
    """[3.1.1: MQTT-3.1.2-6] [3.1.1: MQTT-3.2.2-1] [3.1.1: MQTT-3.2.2-2] Clean Session 0 keeps the session, 1 drops it
    at both ends. 3.1 has no Session Present."""
    client = env.connected(env.id(), version=version, clean=False)
    assert client.connack.session_present is False
    client.subscribe(env.topic(), qos=1)
    client.disconnect()
    env.connected().publish(env.topic(), b"queued", qos=1)
    client = env.connected(env.id(), version=version, clean=False)
    if version == V311:
        assert client.connack.session_present is True
    client.message(payload=b"queued")
    client.disconnect()
    client = env.connected(env.id(), version=version, clean=True)
    assert client.connack.session_present is False
    client.subscribe(env.topic(), qos=1)
    client.disconnect()
    client = env.connected(env.id(), version=version, clean=False)
    assert client.connack.session_present is False


@versions(V31, V311)
def test_takeover(env, version):
    """[3.1.1: MQTT-3.1.4-2] the older connection is closed, without a packet."""
    old = env.connected(env.id(), version=version)
    env.connected(env.id(), version=version)
    old.expect_close()


@mosquitto_differs("takes some of these in 3.1")
@versions(V31, V311)
def test_errors_close_without_a_packet(env, version):
    """[3.1.1: MQTT-4.8.0-1] before 5.0 the server has no DISCONNECT: protocol errors just close."""
    for packet in (codec.connect(env.id("again"), version=version), b"\xf0\x00", b"\x30\x00", b"\x82\x02\x00\x01",
                   b"\xc0\x01\x00", codec.packet(codec.PUBLISH, 2, codec.string("a") + b"\0\0")):
        client = env.connected(version=version)
        client.send(packet)
        if packet == b"\xc0\x01\x00" and client.bare_close_is_fine:
            continue
        client.expect_close()


@mosquitto_differs("accepts deep topics")
def test_refused_publish_is_not_acknowledged_as_success(env):
    """There is no negative PUBACK in 3.1.1: a refused publish is dropped and, as the specification asks, either
    acknowledged or the connection is closed; in no case delivered."""
    watch = env.connected()
    watch.subscribe(env.topic("#"))
    for qos in (0, 1, 2):
        client = env.connected(version=V311)
        client.send(codec.publish(env.topic("/".join("x" * 70)), b"refused", qos=qos, packet_id=3 if qos else None,
                                  version=V311))
        for found in client.drain(0.3):
            assert found.kind in (PUBACK, PUBREC) and found.packet_id == 3, found
    watch.expect_nothing(0.2)


def test_user_name_and_password_flags(env):
    """[3.1.1: MQTT-3.1.2-22] a password without a user name is refused by 3.1.1 and fine in 5.0."""
    client = env.client(V311)
    client.send_connect(env.id(), password="p")
    client.expect_close(allow=(CONNACK,))
    env.connected(version=V5, password="p")


def test_reserved_connect_flag(env):
    """[3.1.1: MQTT-3.1.2-3] the reserved flag set: close, without a CONNACK of success."""
    client = env.client(V311)
    client.send(codec.connect(env.id(), version=V311, flags=3))
    seen = client.expect_close(allow=(CONNACK,))
    assert all(found.reason for found in seen)


@versions(V31, V311)
def test_will(env, version):
    """[3.1.1: MQTT-3.1.2-8] the will goes out after a broken connection and not after DISCONNECT."""
    watch = env.connected()
    watch.subscribe(env.topic(), qos=2)
    env.connected(version=version, will=Will(env.topic(), b"never", qos=1)).disconnect()
    env.connected(version=version, will=Will(env.topic(), b"will", qos=2)).drop()
    watch.message(payload=b"will", qos=2)


def test_disconnect_flags(env):
    """[3.1.1: MQTT-3.14.1-1] a DISCONNECT with flags is malformed, so the will goes out."""
    watch = env.connected()
    watch.subscribe(env.topic())
    client = env.connected(version=V311, will=Will(env.topic(), b"will"))
    client.send(b"\xe1\x00")
    client.expect_close()
    watch.message(payload=b"will")


def test_keep_alive_0_never_times_out(env):
    """3.1.1: keep alive 0 switches the mechanism off."""
    client = env.connected(version=V311, keep_alive=0)
    time.sleep(2)
    client.ping()


def test_properties_do_not_reach_v311(env):
    """A 5.0 publisher's properties are left out for 3.1.1, the payload is intact."""
    client = env.connected(version=V311)
    client.subscribe(env.topic(), qos=1)
    env.connected().publish(env.topic(), b"x", qos=1, props={
        "message_expiry_interval": 60, "content_type": "a", "user_property": ("b", "c"), "topic_alias": 5})
    found = client.message(payload=b"x", topic=env.topic())
    assert found.raw == codec.publish(env.topic(), b"x", version=V311, qos=1, packet_id=found.packet_id)
