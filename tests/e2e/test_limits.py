"""What happens at each of the broker's limits (broker/core/limits.h). More of them: topics and user properties of a
PUBLISH in test_flow; disk_warn_percent in test_admin; memory and transient_queue_bytes in
tests/unit/core/limits_test.cpp and tests/unit/config/resource_watch_test.cpp; the token buckets of connect_rate and
connect_failures_per_address in tests/unit/net/admission_test.cpp."""
import time

import mqttcodec as codec
from harness import eventually, mosquitto_differs
from mqttcodec import CONNACK, PUBACK, PUBLISH, PUBREC, V311, V5, Will

KEEP = {"session_expiry_interval": 60}


def counter(broker, series):
    """The value of a metric's line, 0 without one."""
    for line in broker.http("/metrics")[1].splitlines():
        if line.startswith(f"trunkline_{series} "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def closed_unacknowledged(env, broker, topic, payload=b"", **kwargs):
    """A 3.1.1 publisher whose message is refused: closed, and nothing has said that it was taken."""
    client = env.connected(version=V311, broker=broker)
    client.send(codec.publish(topic, payload, version=V311, qos=1, packet_id=1, **kwargs))
    client.expect_close()


@mosquitto_differs("has other limits")
def test_packets_identifiers_and_properties(env):
    """[MQTT-3.2.2-8] max_packet_bytes is announced and one byte more is DISCONNECT 0x95; max_connect_packet_bytes
    closes; max_client_id_bytes is CONNACK 0x85 (3.1.1: 0x02); user properties in a CONNECT or will CONNACK 0x97."""
    broker = env.own_broker(limits={"max_packet_bytes": 2048, "max_connect_packet_bytes": 1024,
                                    "max_client_id_bytes": 23, "max_user_properties": 3,
                                    "max_user_property_bytes": 200, "max_topic_levels": 3})
    for version in (V5, V311):
        client = env.connected(version=version, broker=broker)
        if version == V5:
            assert client.connack.props["maximum_packet_size"] == 2048, client.connack
        whole = codec.publish("t", bytes(3000), version=version, qos=1, packet_id=1)
        fits = bytes(3000 - (len(whole) - 2048))
        client.publish("t", fits, qos=1)
        client.send(codec.publish("t", fits + b"x", version=version, qos=1, packet_id=2))
        client.expect_disconnect(0x95)
        large = env.client(version, broker=broker)
        large.send_connect("c", will=Will("w", bytes(1100)))
        large.expect_close()
        client = env.client(version, broker=broker)
        client.connect("i" * 24, reason=0x85 if version == V5 else 2)
        client.expect_close()
        env.connected("i" * 23, version=version, broker=broker)
    for pairs in ([("k", "v")] * 4, [("k", "v" * 300)]):
        props = {"user_property": pairs}
        env.client(broker=broker).connect("u", reason=0x97, props=props)
        env.client(broker=broker).connect("u", reason=0x97, will=Will("w", props=props))
    env.client(broker=broker).connect("u", reason=0x90, will=Will("a/b/c/d"))
    env.client(broker=broker).connect("u", props={"user_property": [("k", "v")] * 3})
    broker.stop()


@mosquitto_differs("has other limits")
def test_times(env):
    """max_session_expiry_s is what the CONNACK grants and what holds; max_keep_alive_s becomes the Server Keep Alive;
    write_stall_s closes who takes nothing; connect_timeout_ms who says nothing."""
    broker = env.own_broker(limits={"max_session_expiry_s": 1, "max_keep_alive_s": 5, "write_stall_s": 1,
                                    "write_buffer_bytes": "64 KiB", "connect_timeout_ms": 1000})
    silent = env.client(broker=broker)
    client = env.connected(broker=broker, keep_alive=0)
    assert client.connack.props["server_keep_alive"] == 5, client.connack
    client = env.connected("s", broker=broker, props=KEEP)
    assert client.connack.props["session_expiry_interval"] == 1, client.connack
    client.disconnect()
    lazy, publisher = env.connected(broker=broker, keep_alive=0, version=V311), env.connected(broker=broker)
    lazy.subscribe("flood", qos=0)
    for _ in range(400):
        publisher.publish("flood", bytes(100_000))
    publisher.ping()
    eventually(lambda: counter(broker, 'disconnects_total{reason="quota_exceeded"}') == 1, 5, "the stalled one closed")
    assert counter(broker, 'messages_dropped_total{reason="qos0_slow_consumer"}') > 0   # write_buffer_bytes
    silent.expect_close(3)
    time.sleep(0.7)
    assert not env.client(broker=broker).connect("s", clean=False).session_present
    broker.stop()


@mosquitto_differs("has other limits")
def test_flow_limits(env):
    """[MQTT-3.3.4-7] receive_maximum is announced and one more is DISCONNECT 0x93, while 3.1.1 clients go on;
    [MQTT-3.3.4-9] max_inflight_out bounds what is under way to a client that would take more."""
    broker = env.own_broker(limits={"receive_maximum": 2, "max_inflight_out": 3, "topic_alias_maximum": 1})
    client = env.connected(broker=broker)
    assert client.connack.props["receive_maximum"] == 2 and client.connack.props["topic_alias_maximum"] == 1
    for number in (1, 2):
        client.send(codec.publish("t", qos=2, packet_id=number))
        client.expect(PUBREC, packet_id=number)
    client.send(codec.publish("t", qos=2, packet_id=3))
    client.expect_disconnect(0x93)
    client = env.connected(broker=broker)
    client.send(codec.publish("t", props={"topic_alias": 2}))
    client.expect_disconnect(0x94)
    old = env.connected(version=V311, broker=broker)
    for number in range(1, 21):
        old.send(codec.publish("t", version=V311, qos=2, packet_id=number))
        old.expect(PUBREC, packet_id=number)
    for number in range(1, 21):
        old.send(codec.ack(codec.PUBREL, number))
        old.expect(codec.PUBCOMP, packet_id=number)
    for props in (None, KEEP):
        client = env.connected(broker=broker, props=props)
        client.subscribe("out", qos=1)
        for number in range(5):
            old.publish("out", str(number), qos=1)
        first = client.take(3, ack=False)
        client.expect_nothing(0.2)
        client.puback(first[0])
        client.expect(PUBLISH, payload=b"3")
        client.expect_nothing(0.1)
        client.send(codec.disconnect(0, {"session_expiry_interval": 0}))
        client.expect_close()
    broker.stop()


@mosquitto_differs("has no such limit")
def test_subscriptions(env):
    """max_subscriptions_per_client: one more is SUBACK 0x97, one that exists can be replaced, and one that goes makes
    room."""
    broker = env.own_broker(limits={"max_subscriptions_per_client": 3})
    for props in (None, KEEP):
        client = env.connected("s", broker=broker, props=props)
        client.subscribe("a", "b", "c", "d", codes=[0, 0, 0, 0x97])
        client.subscribe("b", qos=1)
        client.unsubscribe("a")
        client.subscribe("d", "e", codes=[0, 0x97])
    broker.stop()


@mosquitto_differs("has no such limit")
def test_transient_queue(env):
    """transient_queue_messages: at the limit 0x97 (3.1.1: closed unacknowledged); all that was acknowledged comes, and
    then there is room again."""
    broker = env.own_broker(limits={"transient_queue_messages": 20}, extra_config={"workers": 1})
    client = env.connected(broker=broker, props={"receive_maximum": 1})
    client.subscribe("q", qos=1)
    publisher, accepted = env.connected(broker=broker), []
    for number in range(60):
        publisher.send(codec.publish("q", str(number), qos=1, packet_id=number + 1))
        found = publisher.expect(PUBACK, packet_id=number + 1)
        assert found.reason in (0, 0x97), found
        accepted += [number] if found.reason == 0 else []
    assert accepted == list(range(21)), accepted
    closed_unacknowledged(env, broker, "q", b"old")
    assert [int(found.payload) for found in client.take(21)] == accepted
    publisher.publish("q", b"room", qos=1, reason=0)
    client.message(payload=b"room")
    broker.stop()


@mosquitto_differs("has no such limit")
def test_durable_queue(env):
    """queue_messages and queue_bytes: at the limit 0x97 (3.1.1: closed unacknowledged), other topics go on, and all
    that was acknowledged comes later, after a restart too."""
    broker = env.own_broker(limits={"queue_messages": 30, "queue_bytes": "128 KiB"})
    for client_id in ("many", "large"):
        client = env.connected(client_id, broker=broker, props=KEEP)
        client.subscribe(client_id, qos=1)
        client.disconnect()
    publisher, accepted = env.connected(broker=broker), {"many": [], "large": []}
    for topic, size in (("many", 10), ("large", 20_000)):
        for number in range(40):
            publisher.send(codec.publish(topic, b"%4d" % number + bytes(size), qos=1, packet_id=number + 1))
            found = publisher.expect(PUBACK, packet_id=number + 1)
            assert found.reason in (0, 0x97), found
            accepted[topic] += [number] if found.reason == 0 else []
        closed_unacknowledged(env, broker, topic, bytes(size))
        publisher.publish("elsewhere", b"", qos=1)
    assert accepted == {"many": list(range(30)), "large": list(range(6))}, accepted
    broker.stop()
    broker.start()
    for client_id, numbers in accepted.items():
        client = env.client(broker=broker)
        assert client.connect(client_id, clean=False, props=KEEP).session_present
        assert [int(found.payload[:4]) for found in client.take(len(numbers))] == numbers
        client.ping()
        publisher = env.connected(broker=broker)
        publisher.publish(client_id, b"room", qos=1, reason=0)
        client.message(payload=b"room")
    broker.stop()


@mosquitto_differs("has no such limit")
def test_retained(env):
    """retained_messages and retained_bytes: one more topic is 0x97 (3.1.1: closed unacknowledged); a topic that has a
    value can change it, and one that goes makes room."""
    for limits, size in (({"retained_messages": 5}, 10), ({"retained_bytes": "64 KiB"}, 12_000)):
        broker = env.own_broker(limits=limits)
        client = env.connected(broker=broker)
        for number in range(5):
            client.publish(f"r/{number}", bytes(size), qos=1, retain=True)
        client.publish("r/5", bytes(size), qos=1, retain=True, reason=0x97)
        client.publish("r/5", bytes(size), qos=2, retain=True, reason=0x97)
        closed_unacknowledged(env, broker, "r/5", bytes(size), retain=True)
        client.publish("r/4", bytes(size), qos=1, retain=True)
        client.publish("r/5", b"not retained", qos=1)
        client.publish("r/0", b"", qos=1, retain=True)
        client.publish("r/5", bytes(size), qos=1, retain=True)
        reader = env.connected(broker=broker)
        reader.subscribe("r/#")
        assert sorted(found.topic for found in reader.take(5)) == [f"r/{number}" for number in range(1, 6)]
        broker.stop()


@mosquitto_differs("has no such limit")
def test_disk_refuses(env):
    """disk_refuse_percent: with less free space durable messages are 0x97 (3.1.1: closed unacknowledged) and the broker
    is not ready; what no disk is needed for goes on."""
    broker = env.own_broker()
    broker.stop()
    broker.limits.update(disk_refuse_percent=100, disk_warn_percent=100)
    broker.launch()
    eventually(lambda: broker.http("/readyz")[0] == 503, 10, "not ready")
    client = env.connected(broker=broker)
    client.publish("r", b"x", qos=1, retain=True, reason=0x97)
    closed_unacknowledged(env, broker, "r", b"x", retain=True)
    env.client(broker=broker).connect("durable", reason=0x97, props=KEEP)
    client.subscribe("t", qos=1)
    client.publish("t", b"x", qos=1)
    client.message(payload=b"x")
    broker.stop()


@mosquitto_differs("has no such limit")
def test_log_backlog(env):
    """log_backlog_bytes: a publisher that outruns the log by far more than the limit is only slowed down."""
    broker = env.own_broker(limits={"log_backlog_bytes": "1 MiB"})
    client = env.connected(broker=broker)
    numbers = list(range(1, 101))
    client.send(*(codec.publish("big", bytes(100_000), qos=1, packet_id=number, retain=True) for number in numbers))
    assert [client.expect(PUBACK).packet_id for _ in numbers] == numbers
    broker.stop()


@mosquitto_differs("has no PROXY protocol")
def test_connects_by_address(env):
    """connect_failures_per_address: an address whose CONNECTs fail is closed at accept above its rate, others are not;
    connect_rate bounds all that do not come from loopback."""
    broker = env.own_broker(listeners=("mqtt", "proxy"), limits={"connect_failures_per_address": 1},
                            extra_config={"allow_anonymous": True})

    def connects(broker, address, **kwargs):
        """CONNACK reasons of ten connections; None for those closed without one."""
        reasons = []
        for number in range(10):
            client = env.client(listener="proxy", broker=broker)
            client.send(f"PROXY TCP4 {address} 127.0.0.1 5000 1883\r\n".encode())
            try:
                client.send_connect(f"{address}-{number}", **kwargs)
                reasons += [found.reason for found in client.expect_close(allow=(CONNACK,))] or [None]
            except OSError:   # closed before the CONNECT was written
                reasons.append(None)
            client.close()
        return reasons
    bad = {"props": {"authentication_method": "none-such"}}
    first = connects(broker, "192.0.2.1", **bad)
    assert first[0] == 0x8C and first.count(None) >= 7, first
    assert connects(broker, "192.0.2.2", will=Will("$SYS/x")) == [0x90] * 10   # no failure to prove who it is
    env.connected(broker=broker)
    broker.stop()
    broker = env.own_broker(listeners=("mqtt", "proxy"), limits={"connect_rate": 3},
                            extra_config={"allow_anonymous": True})
    assert connects(broker, "192.0.2.3", will=Will("$SYS/x")).count(None) >= 4
    for _ in range(10):
        env.connected(broker=broker)   # loopback
    broker.stop()


@mosquitto_differs("has no such limit per listener here")
def test_connections_over_all_workers(env):
    """max_connections is the sum over all workers, however the kernel spreads the connections."""
    broker = env.own_broker(limits={"max_connections": 5}, extra_config={"workers": 3})
    clients = [env.connected(broker=broker) for _ in range(5)]
    for version, reason in ((V5, 0x97), (V311, 3)):
        client = env.client(version, broker=broker)
        client.connect("more", reason=reason)
        client.expect_close()
    clients[0].disconnect()
    eventually(lambda: counter(broker, 'sessions{state="connected"}') == 4, 3, "one less")
    env.connected(broker=broker)
    broker.stop()
