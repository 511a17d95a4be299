"""Will messages."""
import time

import mqttcodec as codec
from harness import mosquitto_differs, versions
from mqttcodec import V311, V5, Will


def watcher(env, **kwargs):
    client = env.connected()
    client.subscribe(env.topic("#"), qos=2, **kwargs)
    return client


@versions(V311, V5)
def test_will_after_an_abnormal_end(env, version):
    """[MQTT-3.1.2-7] [MQTT-3.1.2-8] the will goes out when the connection breaks, with its QoS, for each QoS."""
    watch = watcher(env)
    for qos in (0, 1, 2):
        client = env.connected(version=version, will=Will(env.topic(), f"qos {qos}", qos=qos))
        client.reset()
        watch.message(payload=f"qos {qos}".encode(), qos=qos, topic=env.topic())


@versions(V311, V5)
def test_will_is_dropped_by_disconnect(env, version):
    """[MQTT-3.14.4-3] [MQTT-3.1.2-10] DISCONNECT (0x00) removes the will unpublished, also for the session's later
    connections without a will."""
    watch = watcher(env)
    client = env.connected(env.id("w"), version=version, will=Will(env.topic(), b"never"))
    client.disconnect()
    watch.expect_nothing(0.3)


@mosquitto_differs("knows 0x04 alone")
def test_will_after_disconnect_with_will_or_error(env):
    """[MQTT-3.1.2-8] DISCONNECT 0x04 and codes of 0x80 and more publish the will."""
    watch = watcher(env)
    for reason in (0x04, 0x80, 0x81, 0x93):
        env.connected(will=Will(env.topic(), str(reason))).disconnect(reason)
        watch.message(payload=str(reason).encode())


def test_will_after_a_protocol_error(env):
    """[MQTT-3.1.2-8] [MQTT-3.1.2-10] the broker closing because of a malformed packet publishes the will, once."""
    watch = watcher(env)
    client = env.connected(env.id("w"), will=Will(env.topic(), b"will"), props={"session_expiry_interval": 60})
    client.send(b"\x36\x00")
    client.expect_disconnect((0x81, 0x82))
    watch.message(payload=b"will")
    env.connected(env.id("w"), clean=False).drop()
    watch.expect_nothing(0.3)


def test_will_after_takeover(env):
    """[MQTT-3.1.2-8] being taken over is not a normal end: without delay the will goes out."""
    watch = watcher(env)
    env.connected(env.id("w"), will=Will(env.topic(), b"taken over"))
    env.connected(env.id("w"))
    watch.message(payload=b"taken over")


@versions(V311, V5)
def test_will_retain(env, version):
    """[MQTT-3.1.2-14] [MQTT-3.1.2-15] Will Retain 0: not stored; 1: stored as retained."""
    watch = watcher(env, retain_as_published=True)
    for retain in (False, True):
        topic = env.topic(f"retain{retain}")
        env.connected(version=version, will=Will(topic, b"will", qos=1, retain=retain)).drop()
        watch.message(topic=topic, retain=retain)
        reader = env.connected()
        reader.subscribe(topic)
        if retain:
            reader.message(payload=b"will", retain=True)
        else:
            reader.expect_nothing(0.2)


def test_will_properties(env):
    """[MQTT-3.1.3-10] [MQTT-3.3.2-18] a will carries its properties, user properties in their order."""
    props = {"payload_format_indicator": 1, "message_expiry_interval": 50, "content_type": "t", "response_topic": "r/s",
             "correlation_data": b"\0\1", "user_property": [("b", "1"), ("a", "2"), ("b", "1"), ("b", "0")]}
    watch = watcher(env)
    env.connected(will=Will(env.topic(), b"will", qos=1, props=props)).drop()
    got = watch.message(payload=b"will").props
    assert got.pop("message_expiry_interval") in (49, 50)
    props.pop("message_expiry_interval")
    assert got == props, got


def test_will_delay(env):
    """[MQTT-3.1.2-8] the will waits for its delay, here 1 s of a session that lasts longer."""
    watch = watcher(env)
    client = env.connected(will=Will(env.topic(), b"late", props={"will_delay_interval": 1}),
                           props={"session_expiry_interval": 60})
    client.drop()
    started = time.monotonic()
    watch.message(payload=b"late", timeout=5)
    assert 0.8 < time.monotonic() - started < 4


@mosquitto_differs("waits for the delay")
def test_will_delay_ends_with_the_session(env):
    """[MQTT-3.1.2-8] the session's end comes first: at expiry 0 at once, at 1 s after that, though the delay is 60."""
    watch = watcher(env)
    for expiry in (0, 1):
        client = env.connected(will=Will(env.topic(), b"early", props={"will_delay_interval": 60}),
                               props={"session_expiry_interval": expiry})
        client.drop()
        watch.message(payload=b"early", timeout=5)


def test_reconnect_within_the_delay_stops_the_will(env):
    """[MQTT-3.1.3-9] a new connection to the session before the delay is over: the will is not sent."""
    watch = watcher(env)
    props = {"session_expiry_interval": 60}
    client = env.connected(env.id("w"), will=Will(env.topic(), b"never", props={"will_delay_interval": 1}), props=props)
    client.drop()
    time.sleep(0.2)
    again = env.connected(env.id("w"), clean=False, props=props)
    assert again.connack.session_present
    watch.expect_nothing(2.2)


@mosquitto_differs("forgets that will")
def test_clean_start_ends_the_session_and_sends_its_will(env):
    """[MQTT-3.1.2-8] [MQTT-3.1.2-4] Clean Start 1 ends the old session: its delayed will is due at once."""
    watch = watcher(env)
    client = env.connected(env.id("w"), will=Will(env.topic(), b"due", props={"will_delay_interval": 60}),
                           props={"session_expiry_interval": 120})
    client.drop()
    time.sleep(0.1)
    env.connected(env.id("w"), clean=True)
    watch.message(payload=b"due", timeout=3)


@mosquitto_differs("looks at keep alives every five seconds")
def test_will_after_keep_alive(env):
    """[MQTT-3.1.2-8] [MQTT-3.1.2-22] silence beyond the keep alive counts as a failed network."""
    watch = watcher(env)
    env.connected(version=V311, keep_alive=1, will=Will(env.topic(), b"silent"))
    watch.message(payload=b"silent", timeout=4)


def test_will_is_not_repeated(env):
    """[MQTT-3.1.2-10] a published will is gone: ending the session later does not send it again."""
    watch = watcher(env)
    props = {"session_expiry_interval": 1}
    env.connected(env.id("w"), will=Will(env.topic(), b"once"), props=props).drop()
    watch.message(payload=b"once")
    watch.expect_nothing(2.3)


@mosquitto_differs("does not publish wills when it stops, or loses delayed ones")
def test_delayed_will_survives_a_restart(env):
    """[MQTT-3.1.2-7] the will is stored with the session: a kill -9 during its delay does not lose it."""
    broker = env.own_broker()
    props = {"session_expiry_interval": 60}
    watch = env.connected(env.id("watch"), broker=broker, props=props)
    watch.subscribe(env.topic(), qos=1)
    client = env.connected(broker=broker, will=Will(env.topic(), b"kept", qos=1, props={"will_delay_interval": 2}),
                           props=props)
    client.drop()
    time.sleep(0.5)
    broker.kill()
    broker.start()
    watch = env.connected(env.id("watch"), broker=broker, clean=False, props=props)
    watch.message(payload=b"kept", timeout=8)
    broker.stop()


def test_bad_wills_are_refused(env):
    """[MQTT-3.3.2-2] [MQTT-3.1.4-1] a will topic with wildcards, empty, or ill-formed will properties are refused at
    CONNECT."""
    for will in (Will("a/+", b""), Will("#", b""), Will("", b""), Will("a", b"", props={"topic_alias": 1}),
                 Will("a", b"", props=[("will_delay_interval", 1), ("will_delay_interval", 1)])):
        client = env.client()
        client.send_connect(env.id(), will=will)
        seen = client.expect_close(allow=(codec.CONNACK,))
        assert all(found.reason >= 0x80 for found in seen), seen


def test_many_wills_at_once(env):
    """[MQTT-3.1.2-8] fifty connections that break together send fifty wills."""
    watch = watcher(env)
    clients = [env.connected(will=Will(env.topic(str(number)), b"w", qos=1)) for number in range(50)]
    for client in clients:
        client.reset()
    assert len({found.topic for found in watch.take(50)}) == 50
