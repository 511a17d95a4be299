"""No input brings it down: malformed and abusive bytes against a live broker."""
import json
import os
import random
import socket
import subprocess
import threading
import time

import mqttcodec as codec
import rawmqtt
from harness import ROOT, alone, mosquitto_differs, profile, versions
from mqttcodec import CONNACK, DISCONNECT, PUBACK, PUBREC, SUBACK, V31, V311, V5, Will


def samples(version):
    """One well-formed packet of every type that a client sends, with everything that fits in."""
    five = version == V5
    props = {"payload_format_indicator": 1, "message_expiry_interval": 5, "content_type": "t", "response_topic": "r",
             "correlation_data": b"c", "topic_alias": 3, "user_property": [("a", "b")]} if five else None
    packets = [codec.publish("a/b", b"payload", version=version, qos=1, packet_id=3, props=props),
               codec.publish("a/b", b"", version=version, qos=2, packet_id=4), codec.ack(codec.PUBACK, 1),
               codec.ack(codec.PUBREC, 1), codec.ack(codec.PUBREL, 1), codec.ack(codec.PUBCOMP, 1),
               codec.subscribe(1, [("x/+", 1), ("$share/g/y", 2)], version=version,
                               props={"subscription_identifier": 300, "user_property": [("a", "b")]} if five else None),
               codec.unsubscribe(2, ["x/+", "y"], version=version), codec.pingreq(), codec.disconnect()]
    if five:
        packets += [codec.ack(codec.PUBACK, 1, 0x10, {"reason_string": "r", "user_property": ("a", "b")}),
                    codec.disconnect(4, {"reason_string": "bye", "session_expiry_interval": 1}),
                    codec.auth(0x19, {"authentication_method": "m", "authentication_data": b"d"})]
    return packets


@versions(V31, V311, V5)
def test_every_packet_truncated_at_every_byte(env, version):
    """[MQTT-3.1.4-1] each packet cut after each byte and the connection then closed by the client; also with the
    remaining length corrected, so that the body ends too soon."""
    will = Will("w", b"p", qos=1, props={"will_delay_interval": 1} if version == V5 else None)
    connect = codec.connect(env.id("cut"), version=version, will=will, username="u", password="p",
                            props={"receive_maximum": 9, "user_property": ("a", "b")} if version == V5 else None)
    cuts = [(None, connect, size) for size in range(1, len(connect))]
    cuts += [(True, packet, size) for packet in samples(version) for size in range(1, len(packet))]
    for connected, packet, size in cuts:
        client = env.connected(version=version) if connected else env.client(version)
        client.send(packet[:size])
        client.close()
        if size < 3:
            continue
        client = env.connected(version=version) if connected else env.client(version)
        client.send(codec.packet(packet[0] >> 4, packet[0] & 15, packet[2:size]))
        client.sock.shutdown(socket.SHUT_WR)
        for found in client.drain(2):
            assert found.kind in (CONNACK, DISCONNECT, PUBACK, PUBREC, codec.PUBCOMP, SUBACK, codec.UNSUBACK,
                                  codec.PUBREL), found
        client.close()
    env.still_serves()


def packet_table():
    """Rows of the codec's table, from the program that prints it; None where it was not built."""
    for folder in ("release", "debug", "asan"):
        path = os.path.join(ROOT, "build", folder, "bin", "packet_table")
        if os.access(path, os.X_OK):
            done = subprocess.run([path], capture_output=True, text=True, timeout=60, check=True)
            return [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return None


@mosquitto_differs("follows the specification in fewer of these")
def test_malformed_packet_table(env):
    """[MQTT-4.13.1-1] [MQTT-4.13.2-1] every malformed row of the codec's packet table, live: the reason code that the
    table expects in DISCONNECT or CONNACK (5.0), the close before; and the broker serves on."""
    table = packet_table()
    assert table, "build/*/bin/packet_table was not built"
    wrong, count = [], 0
    for row in table:
        if row["from"] == "server":
            continue
        if row["expect"] == "ok":
            send_valid(env, row)
            continue
        count += 1
        complaint = replay(env, row)
        if complaint:
            wrong.append(f"{row['name']} (v{row['version']}): {complaint}")
    env.still_serves()
    assert count >= 300, f"only {count} malformed rows"
    assert not wrong, f"{len(wrong)} of {count}:\n        " + "\n        ".join(wrong[:60])


def opened(env, row):
    """A connection in the state in which the row's packet may come, and whether the packet is a CONNECT."""
    is_connect = int(row["hex"][:1], 16) == codec.CONNECT
    return (env.client(row["version"]) if is_connect else env.connected(version=row["version"])), is_connect


def send_valid(env, row):
    """A valid packet, perhaps at the wrong time: whatever the answer, a connection is all that it may cost."""
    client, _ = opened(env, row)
    client.send(bytes.fromhex(row["hex"]))
    client.drain(0.001)
    client.close()


def replay(env, row):
    """What is wrong with the broker's answer to this row, or None."""
    expected = int(row["expect"], 16)
    client, is_connect = opened(env, row)
    try:
        client.send(bytes.fromhex(row["hex"]))
        if is_connect:
            return check_refusal(raw_answer(client), row["version"], expected)
        seen = client.expect_close(timeout=5, allow=(DISCONNECT,))
    except (AssertionError, OSError) as error:
        return f"{error}"
    finally:
        client.close()
    answers = [found.reason for found in seen]
    if row["version"] == V5 and int(row["hex"][:1], 16) == codec.AUTH and answers == [0x82]:
        return None  # before it is looked at: no AUTH from a client that gave no method [MQTT-4.12.0-7]
    if row["version"] == V5 and answers != [expected]:
        return f"answered {seen}, expected {expected:#x}"
    return None


def raw_answer(client):
    """All bytes until the end of the stream."""
    data = b""
    client.sock.settimeout(5)
    try:
        while more := client.sock.recv(1000):
            data += more
    except ConnectionError:
        pass
    return data


def check_refusal(data, version, expected):
    """A refused CONNECT gets the close, or before it a CONNACK with the reason; 3.1.1 has a few codes only."""
    if not data:
        return None
    if data[0] != 0x20 or data[2] != 0 or data[3] == 0:
        return f"answered {data.hex()}"
    if version == V5 and data[3] not in (expected, 0x01 if expected == 0x84 else expected):
        return f"CONNACK {data[3]:#x}, expected {expected:#x}"
    return None


def test_random_bytes(env):
    """Seeded noise, before and after CONNECT, and packets with flipped bits: the broker serves on."""
    source = random.Random(20)
    for number in range(150):
        client = env.connected() if number % 2 else env.client()
        packets = samples(V5)
        noise = bytearray(source.choice(packets) if number % 3 else source.randbytes(source.randrange(1, 200)))
        for _ in range(source.randrange(1, 6)):
            noise[source.randrange(len(noise))] ^= 1 << source.randrange(8)
        try:
            client.send(bytes(noise))
        except OSError:
            pass
        client.close()
    env.still_serves()


@mosquitto_differs("follows its own limits")
def test_sixty_five_thousand_slashes(env):
    """A topic and a filter of 65,535 slashes are refused without harm."""
    client = env.connected()
    client.publish("/" * 65535, b"", qos=1, reason=0x90)
    client.subscribe("/" * 65535, codes=[0x8F])
    client.subscribe("+/" * 32767 + "#", codes=[0x8F])
    client.ping()


@mosquitto_differs("has no such limit")
def test_ten_thousand_user_properties(env):
    """In PUBLISH: 0x97; in CONNECT: refused or closed; in SUBSCRIBE: refused in some way; the broker serves on."""
    props = {"user_property": [("name", "value")] * 10_000}
    client = env.connected()
    client.publish(env.topic(), b"", qos=1, reason=0x97, props=props)
    client.send(codec.subscribe(9, [(env.topic(), 0)], props=props))
    client.drain(0.2)
    bad = env.client()
    try:
        bad.send_connect(env.id(), props=props)
    except OSError:
        pass
    seen = bad.expect_close(allow=(CONNACK,))
    assert all(found.reason >= 0x80 for found in seen), seen
    env.still_serves()


@alone
def test_giant_remaining_length_before_connect(env):
    """A thousand connections that announce 268,435,455 bytes before or in CONNECT cost less than 10 MiB together."""
    env.still_serves()
    before = env.broker.resident_bytes()
    clients, worst = [], 0
    for number in range(1000):
        client = rawmqtt.Client(env.broker.socket())
        try:
            first = b"\x10" if number % 2 else b"\x30"
            client.send(first + b"\xff\xff\xff\x7f" + b"\x00\x04MQTT\x05\x02" + bytes(900))
        except OSError:
            pass
        clients.append(client)
        if number % 50 == 49:
            worst = max(worst, env.broker.resident_bytes() - before)
    for client in clients:
        client.close()
    env.still_serves()
    assert worst < 10 << 20, f"{worst >> 20} MiB more"


@mosquitto_differs("has no such limit")
def test_large_packet_before_connect(env):
    """[MQTT-3.1.4-1] a CONNECT of more than 4 KiB is refused; one just under it is accepted."""
    fits = codec.connect(env.id(), username="u", password=b"p" * 3900)
    assert len(fits) < 4096
    client = env.client()
    client.send(fits)
    assert client.expect(CONNACK).reason in (0, 0x86, 0x87)
    big = env.client()
    big.send(codec.connect(env.id("big"), username="u", password=b"p" * 5000))
    seen = big.expect_close(allow=(CONNACK,))
    assert all(found.reason >= 0x80 for found in seen), seen


@alone
@mosquitto_differs("grows more")
def test_qos_2_without_pubrel(env):
    """100,000 QoS 2 publishes whose PUBREL never comes (each window ends with a reconnect that starts clean): memory
    grows by less than 32 MiB."""
    env.still_serves()
    before = env.broker.resident_bytes()
    for _ in range(100):
        client = env.connected(env.id("q2"))
        client.send(*(codec.publish(env.topic(), b"x" * 50, qos=2, packet_id=number) for number in range(1, 1001)))
        for _ in range(1000):
            client.expect(PUBREC)
        client.reset()
    env.still_serves()
    grown = env.broker.resident_bytes() - before
    assert grown < 32 << 20, f"{grown >> 20} MiB more"


@alone
def test_connects_with_bad_wills(env):
    """5,000 connects whose will is refused: no memory, no sessions, no slots are left behind."""
    env.still_serves()
    before = env.broker.resident_bytes()
    for number in range(5000):
        client = rawmqtt.Client(env.broker.socket())
        client.send(codec.connect(f"{env.id('bad')}{number}", will=Will("a/#", b"x" * 1000)))
        if number % 100 == 0:
            client.expect_close(allow=(CONNACK,))
        client.close()
    env.still_serves()
    grown = env.broker.resident_bytes() - before
    assert grown < 10 << 20, f"{grown >> 20} MiB more"


def test_two_clients_fight_for_one_id(env):
    """Four threads connect, publish and subscribe with the same client id for a second: no crash, and afterwards the
    session works."""
    stop = time.monotonic() + 1.0
    topic, client_id = env.topic(), env.id("fight")

    def fight():
        while time.monotonic() < stop:
            client = rawmqtt.Client(env.broker.transport(), V5)
            try:
                client.send(codec.connect(client_id, clean=False, props={"session_expiry_interval": 30}),
                            codec.subscribe(1, [(topic, 2)]), codec.publish(topic, b"x", qos=2, packet_id=1),
                            codec.publish(topic, b"x", qos=1, packet_id=2))
                client.recv(0.05)
            except (AssertionError, OSError):
                pass
            client.close()
    threads = [threading.Thread(target=fight) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client = env.connected(client_id, clean=True)
    client.subscribe(topic, qos=1)
    client.publish(topic, b"calm", qos=1)
    client.wait_for(codec.PUBLISH, payload=b"calm")
    env.still_serves()


def test_subscriptions_that_match_everything(env):
    """A hundred overlapping filters of +, # and names over one topic give one copy with the highest QoS [MQTT-3.3.4-2]
    and do not slow a publish beyond reason."""
    client = env.connected()
    levels = ["x"] * 7
    filters = {env.topic("/".join("+" if mask >> index & 1 else level for index, level in enumerate(levels)))
               for mask in range(100)}
    client.subscribe(*sorted(filters), qos=1)
    publisher = env.connected()
    started = time.monotonic()
    for number in range(100):
        publisher.publish(env.topic("/".join(levels)), str(number).encode(), qos=1)
    assert time.monotonic() - started < 5
    if not env.on_mosquitto:
        assert [int(found.payload) for found in client.take(100)] == list(range(100))
        client.expect_nothing(0.2)


@profile("edge")
@mosquitto_differs("has no such deadline")
def test_slow_loris(env):
    """200 connections that send a byte now and then are gone after the deadline and keep nobody else out."""
    clients = [rawmqtt.Client(env.broker.socket()) for _ in range(200)]
    started = time.monotonic()
    while time.monotonic() - started < 2.5:
        for client in clients:
            try:
                client.sock.send(b"\x10")
            except OSError:
                pass
        env.still_serves()
        time.sleep(0.3)
    for client in clients:
        client.sock.settimeout(3)
        try:
            while client.sock.recv(1000):
                pass
        except ConnectionError:
            pass
        client.close()


@alone
@mosquitto_differs("buffers without a limit")
def test_memory_behind_a_slow_reader(env):
    """40 MB of QoS 0 for a subscriber that reads nothing stay out of memory: the write buffer is limited (1 MiB)."""
    broker = env.own_broker()
    lazy, publisher = env.connected(broker=broker), env.connected(broker=broker)
    lazy.subscribe(env.topic(), qos=0)
    publisher.publish(env.topic(), bytes(100_000))
    publisher.ping()
    before, worst = broker.resident_bytes(), 0
    for _ in range(400):
        publisher.publish(env.topic(), bytes(100_000))
        worst = max(worst, broker.resident_bytes() - before)
    publisher.ping()
    env.still_serves(broker)
    assert worst < 24 << 20, f"{worst >> 20} MiB more"
    broker.stop()


@alone
@mosquitto_differs("has no admin interface")
def test_admin_listener_takes_abuse(env):
    """A body that announces 1 GiB, paths with ../, methods and headers that are none: refused with a 4xx or closed,
    no file is given away, and the broker serves on in the same memory."""
    broker = env.own_broker()
    broker.http("/healthz")
    before = broker.resident_bytes()
    heads = [b"POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n" + b"x" * 3_000_000,
             b"PUT /api/v1/model HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n" + bytes(9_999),
             b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
             b"GET /api/v1/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
             b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", b"NONSENSE\r\n\r\n", os.urandom(2000),
             b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
             b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n"]
    for head in heads:
        answer = ask_raw(broker.admin_port, head)
        assert b"root:" not in answer, head[:60]
        assert not answer or answer.startswith(b"HTTP/1.1 4"), (head[:60], answer[:200])
    assert broker.http("/healthz")[0] == 200
    grown = broker.resident_bytes() - before
    assert grown < 16 << 20, f"{grown >> 20} MiB more"
    env.still_serves(broker)
    broker.stop()


def ask_raw(port, data):
    """What comes back for `data` within two seconds."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.settimeout(2)
        try:
            sock.sendall(data)
        except OSError:
            pass  # refused before all of it was sent; the answer may still be there
        try:
            while more := sock.recv(65536):
                answer += more
        except OSError:
            pass
    return answer


def test_connection_churn(env):
    """2,000 connects, some broken off at once, leave nothing behind: afterwards a new client is served quickly."""
    for number in range(2000):
        client = rawmqtt.Client(env.broker.socket())
        if number % 4:
            client.send(codec.connect("" if number % 2 else env.id(str(number % 50))))
        if number % 3 == 0:
            client.reset()
        else:
            client.close()
    started = time.monotonic()
    env.still_serves()
    assert time.monotonic() - started < 3
