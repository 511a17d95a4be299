"""TLS, client certificates, Unix socket, PROXY protocol, WebSocket."""
import os
import signal
import socket
import ssl
import struct
import time

import mqttcodec as codec
import rawmqtt
from harness import Certificates, eventually, mosquitto_differs, profile
from mqttcodec import CONNACK, PINGRESP, PUBLISH

NO_WEBSOCKETS = "Debian's build has no WebSockets"


def round_trip(env, listener, payload=b"x" * 70_000, **kwargs):
    """Each QoS over the listener, both directions."""
    client = env.client(listener=listener, **kwargs)
    client.connect(env.id(f"rt-{listener}"))
    topic = env.topic(f"rt/{listener}")
    client.subscribe(topic, qos=2)
    for qos in (0, 1, 2):
        client.publish(topic, payload, qos=qos)
        found = client.wait_for(PUBLISH, qos=qos)
        assert found.payload == payload
        client.acknowledge(found)
    client.disconnect()


def test_tls_round_trip(env):
    """[MQTT-4.2-1] MQTT over TLS."""
    round_trip(env, "mqtts")


def test_tls_versions(env):
    """TLS 1.2 and 1.3 are spoken, 1.1 is not."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = env.broker.certificates.context(maximum=version)
        with context.wrap_socket(env.broker.socket("mqtts"), server_hostname="localhost") as sock:
            client = rawmqtt.Client(sock)
            client.connect(env.id(version.name))
            client.disconnect()
    context = ssl.create_default_context(cafile=env.broker.certificates.path("ca.crt"))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        context.wrap_socket(env.broker.socket("mqtts"), server_hostname="localhost").close()
    except (ssl.SSLError, ConnectionError):
        return
    raise AssertionError("TLS 1.1 was accepted")


def test_plain_text_on_the_tls_port(env):
    """A plaintext CONNECT on the TLS listener is closed, a TLS hello on the plain one, too."""
    client = rawmqtt.Client(env.broker.socket("mqtts"))
    client.send(codec.connect(env.id()))
    client.sock.settimeout(12)
    data = b""
    while True:
        try:
            more = client.sock.recv(1000)
        except ConnectionError:
            break
        if not more:
            break
        data += more
    assert data[:1] in (b"", b"\x15"), data  # nothing, or a TLS alert
    try:
        env.broker.certificates.context().wrap_socket(env.broker.socket("mqtt"), server_hostname="localhost")
    except (ssl.SSLError, ConnectionError, OSError):
        env.still_serves()
        return
    raise AssertionError("TLS on the plain listener")


@profile("edge")
def test_client_certificate_required(env):
    """Without a certificate, or with one of a strange authority, no connection; with a good one it works."""
    round_trip(env, "mtls", certificate="client")
    for certificate in (None, "stranger"):
        try:
            client = env.client(listener="mtls", certificate=certificate)
            client.connect(env.id())
        except (ssl.SSLError, ConnectionError, OSError, AssertionError):
            continue
        raise AssertionError(f"accepted with certificate {certificate}")


@profile("edge")
@mosquitto_differs("does not check optional certificates")
def test_client_certificate_optional(env):
    """Optional: none is fine, a good one is fine, one of a strange authority is not."""
    round_trip(env, "mtls_optional")
    round_trip(env, "mtls_optional", certificate="client")
    try:
        env.client(listener="mtls_optional", certificate="stranger").connect(env.id())
    except (ssl.SSLError, ConnectionError, OSError, AssertionError):
        return
    raise AssertionError("a stranger's certificate was accepted")


@profile("edge")
@mosquitto_differs("has no such deadline")
def test_half_open_tls_is_closed(env):
    """A connection that starts no TLS handshake, or stops in its middle, is closed at the deadline (here 1 s)."""
    silent, half = env.broker.socket("mqtts"), env.broker.socket("mqtts")
    half.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    started = time.monotonic()
    for sock in (silent, half):
        sock.settimeout(5)
        try:
            while sock.recv(1000):
                pass
        except ConnectionError:
            pass
        sock.close()
    assert time.monotonic() - started < 4
    round_trip(env, "mqtts")


@mosquitto_differs("reloads otherwise")
def test_certificate_reload_keeps_connections(env):
    """SIGHUP takes up a new certificate for new connections; those that exist go on."""
    certificates = Certificates(env.temporary())
    broker = env.own_broker(listeners=("mqtt",))
    broker.stop()
    broker.listeners, broker.certificates, broker.ports = ("mqtts",), certificates, {}
    broker.start()
    old = env.connected(listener="mqtts", broker=broker)
    before = old.sock.getpeercert(True)
    certificates.issue("server", "ca", "renewed")
    broker.process.send_signal(signal.SIGHUP)

    def renewed():
        client = env.connected(listener="mqtts", broker=broker)
        changed = client.sock.getpeercert(True) != before
        client.disconnect()
        return changed
    eventually(renewed, 5, "the new certificate is presented")
    old.ping()
    broker.stop()


def test_unix_socket(env):
    """MQTT over a Unix socket."""
    round_trip(env, "unix")


def proxy_v2(source, port, command=1, family=0x11, length=None):
    address = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack(">HH", port, 1883)
    return (b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, family]) +
            struct.pack(">H", len(address) if length is None else length) + address)


@profile("edge")
@mosquitto_differs("has no PROXY protocol")
def test_proxy_protocol(env):
    """PROXY v1 and v2, TCP4, TCP6, UNKNOWN and LOCAL, also one byte at a time, before the CONNECT."""
    for head in (b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 1883\r\n", b"PROXY UNKNOWN\r\n",
                 b"PROXY TCP6 2001:db8::1 ::1 5000 1883\r\n", proxy_v2("192.0.2.7", 5000),
                 proxy_v2("192.0.2.7", 5000, command=0), b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"):
        for piecewise in (False, True):
            client = rawmqtt.Client(env.broker.socket("proxy"))
            if piecewise:
                for byte in head:
                    client.send(bytes([byte]))
            else:
                client.send(head)
            client.connect(env.id())
            client.ping()
            client.disconnect()


@profile("edge")
@mosquitto_differs("has no PROXY protocol")
def test_bad_proxy_headers(env):
    """No header, a broken or an endless one: closed, and the broker serves on."""
    for head in (codec.connect(env.id()), b"PROXY TCP4 nonsense\r\n", b"PROXY " + b"x" * 300,
                 b"PROXY TCP4 192.0.2.7 127.0.0.1 99999 1883\r\n", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c" + bytes(12),
                 proxy_v2("192.0.2.7", 5000, length=3), proxy_v2("192.0.2.7", 5000, length=65535)):
        client = rawmqtt.Client(env.broker.socket("proxy"))
        client.send(head)
        client.expect_close(timeout=5, allow=(CONNACK,))
    env.still_serves()


# ---------------------------------------------------------------- WebSocket

@mosquitto_differs(NO_WEBSOCKETS)
def test_websocket_round_trip(env):
    """[MQTT-6.0.0-1] [MQTT-6.0.0-4] the subprotocol mqtt is selected; every frame of the broker is binary."""
    for listener in ("ws", "wss"):
        round_trip(env, listener)
    client = env.connected(listener="ws")
    assert client.sock.headers["sec-websocket-protocol"] == "mqtt"
    client.ping()
    assert client.sock.opcodes == {2}


@mosquitto_differs(NO_WEBSOCKETS)
def test_websocket_subprotocols(env):
    """[MQTT-6.0.0-3] [MQTT-6.0.0-4] out of several offered, mqtt is selected; mqttv3.1 of old clients may be; none
    offered or only foreign ones is refused."""
    transport = env.broker.transport("ws", subprotocol="chat, mqtt")
    assert transport.status == 101 and transport.headers["sec-websocket-protocol"] == "mqtt"
    transport.close()
    for offered in ("chat", None):
        transport = env.broker.transport("ws", subprotocol=offered)
        assert transport.status != 101 or "sec-websocket-protocol" not in transport.headers
        transport.close()


@mosquitto_differs(NO_WEBSOCKETS)
def test_websocket_packets_across_frames(env):
    """[MQTT-6.0.0-2] packets split over frames, fragments and many packets in one frame."""
    transport = env.broker.transport("ws")
    client = rawmqtt.Client(transport)
    packet = codec.connect(env.id())
    for byte in packet[:-3]:
        transport.send_frame(bytes([byte]))
    transport.send_frame(packet[-3:-2], fin=False)
    transport.send_frame(packet[-2:-1], opcode=0, fin=False)
    transport.send_frame(packet[-1:] + codec.pingreq() * 10 + b"\xc0", opcode=0)
    client.expect(CONNACK, reason=0)
    for _ in range(10):
        client.expect(PINGRESP)
    transport.send_frame(b"\x00")
    client.expect(PINGRESP)
    transport.send_frame(b"are you there", opcode=9)
    client.ping()
    assert 10 in transport.opcodes, "a WebSocket ping was not answered"


@mosquitto_differs(NO_WEBSOCKETS)
def test_websocket_text_frame_closes(env):
    """[MQTT-6.0.0-1] a text frame closes the connection."""
    transport = env.broker.transport("ws")
    client = rawmqtt.Client(transport)
    transport.send_frame(codec.connect(env.id()), opcode=1)
    client.expect_close(allow=(codec.DISCONNECT,))
    client = env.connected(listener="ws")
    client.sock.send_frame(codec.pingreq(), opcode=1)
    client.expect_close(allow=(codec.DISCONNECT,))


@mosquitto_differs(NO_WEBSOCKETS)
def test_websocket_close_frame(env):
    """A close frame is answered and counts as a lost connection (the will goes out)."""
    watch = env.connected()
    watch.subscribe(env.topic())
    client = env.client(listener="ws")
    client.connect(env.id(), will=codec.Will(env.topic(), b"will"))
    client.sock.send_frame(struct.pack(">H", 1000), opcode=8)
    client.expect_close()
    assert client.sock.closed_code is not None, "the close frame was not answered"
    client.close()
    watch.message(payload=b"will")


@profile("edge")
@mosquitto_differs(NO_WEBSOCKETS)
def test_websocket_frames_that_lie(env):
    """Unmasked frames, reserved opcodes, a length of 2^63, a huge control frame, a continuation without a start, or
    a frame that never ends: closed at once or at the deadline, and the broker serves on."""
    lies = [lambda ws: ws.send_frame(codec.connect(env.id()), masked=False),
            lambda ws: ws.send_frame(b"x", opcode=3), lambda ws: ws.send_frame(b"x", opcode=11),
            lambda ws: ws.send_frame(b"x", length=1 << 63), lambda ws: ws.send_frame(b"x", length=(1 << 64) - 1),
            lambda ws: ws.send_frame(b"x" * 200, opcode=9), lambda ws: ws.send_frame(b"x", opcode=0),
            lambda ws: ws.send_frame(b"x", opcode=9, fin=False), lambda ws: ws.send_frame(b"x", length=1 << 31),
            lambda ws: ws.send_frame(b"\x10", length=100)]
    before = env.broker.resident_bytes()
    for lie in lies:
        transport = env.broker.transport("ws")
        lie(transport)
        client = rawmqtt.Client(transport)
        client.expect_close(timeout=5, allow=(CONNACK, codec.DISCONNECT))
    assert env.broker.resident_bytes() - before < 32 << 20
    env.still_serves()


@profile("edge")
@mosquitto_differs(NO_WEBSOCKETS)
def test_bad_websocket_upgrades(env):
    """Plain HTTP, no key, an endless header or binary garbage in place of the upgrade: an answer or the close, not
    more than the deadline later."""
    for head in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"POST /mqtt HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
                 codec.connect(env.id()), os.urandom(500), b"GET /mqtt HTTP/1.1\r\n",
                 b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"):
        read_to_end(env.broker.socket("ws"), head)
    endless = env.broker.socket("ws")
    try:
        endless.sendall(b"GET /mqtt HTTP/1.1\r\n")
        for _ in range(200):
            endless.sendall(b"X-Header: " + b"y" * 10_000 + b"\r\n")
    except OSError:
        pass
    read_to_end(endless, b"")
    env.still_serves()


def read_to_end(sock, head):
    sock.settimeout(5)
    try:
        sock.sendall(head)
        while sock.recv(10_000):
            pass
    except ConnectionError:
        pass
    sock.close()
