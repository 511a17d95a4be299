"""An MQTT client for tests at the level of packets: sends any bytes, sees every packet, hides nothing.

It also referees: each packet of the server is decoded strictly (mqttcodec.decode) and checked against what this
connection announced (Maximum Packet Size, Receive Maximum, Topic Alias Maximum, Request Problem Information).
"""
import base64
import collections
import hashlib
import os
import select
import socket
import ssl
import struct
import time

import mqttcodec as codec
from mqttcodec import V5, Violation, Will, options  # noqa: F401  (tests take them from here)

TIMEOUT = 10.0  # seconds that any single expectation waits


class Closed(AssertionError):
    """The server closed the connection where a packet was expected."""


class Silence(AssertionError):
    """Nothing came in time."""


class WebSocket:
    """A minimal WebSocket client over a socket, with send_frame() for frames that lie."""

    def __init__(self, sock, host="localhost", path="/mqtt", subprotocol="mqtt", upgrade=True):
        self.sock, self.raw, self.data, self.closed_code = sock, b"", b"", None
        self.opcodes = set()
        if upgrade:
            self.upgrade(host, path, subprotocol)

    def upgrade(self, host, path, subprotocol):
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        if subprotocol:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.sock.recv(4096)
            if not more:
                break
            head += more
        head, _, self.raw = head.partition(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0
        self.headers = {name.strip().lower(): value.strip() for name, _, value in
                        (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])}
        if self.status == 101:
            digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            assert self.headers.get("sec-websocket-accept") == base64.b64encode(digest).decode(), "wrong accept key"

    def send_frame(self, payload, opcode=2, fin=True, masked=True, length=None):
        """`length` overrides the length that the frame's header claims."""
        size = len(payload) if length is None else length
        head = bytes([(0x80 if fin else 0) | opcode])
        mask_bit = 0x80 if masked else 0
        if size < 126:
            head += bytes([mask_bit | size])
        elif size < 65536:
            head += bytes([mask_bit | 126]) + struct.pack(">H", size)
        else:
            head += bytes([mask_bit | 127]) + struct.pack(">Q", size)
        if masked:
            mask = os.urandom(4)
            key = (mask * (len(payload) // 4 + 1))[:len(payload)]
            payload = mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")
        self.sock.sendall(head + payload)

    def sendall(self, data):
        self.send_frame(data)

    def recv(self, size):
        while not self.data:
            if not self.read_frame():
                return b""
        out, self.data = self.data[:size], self.data[size:]
        return out

    def fill(self, count):
        while len(self.raw) < count:
            more = self.sock.recv(65536)
            if not more:
                return False
            self.raw += more
        return True

    def read_frame(self):
        """Reads one frame into `data`; False at the end of the stream or after a close frame."""
        if not self.fill(2):
            return False
        opcode, size, head = self.raw[0] & 15, self.raw[1] & 127, 2
        if self.raw[1] & 0x80:
            raise Violation("WebSocket: a server's frame is masked")
        if size >= 126:
            head = 4 if size == 126 else 10
            if not self.fill(head):
                return False
            size = int.from_bytes(self.raw[2:head], "big")
        if not self.fill(head + size):
            return False
        payload, self.raw = self.raw[head:head + size], self.raw[head + size:]
        self.opcodes.add(opcode)
        if opcode == 8:
            self.closed_code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
            return False
        if opcode == 9:
            self.send_frame(payload, opcode=10)
        elif opcode in (1, 2, 0):
            if opcode == 1:
                raise Violation("WebSocket: MQTT data in a text frame")
            self.data += payload
        return True

    def pending(self):
        return bool(self.data or self.raw)

    def fileno(self):
        return self.sock.fileno()

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()


class Client:
    """One connection. `transport` is a connected socket, TLS socket or WebSocket."""

    def __init__(self, transport, version=V5):
        self.sock, self.version = transport, version
        self.buffer, self.stash = b"", collections.deque()
        self.connack = None
        self.bare_close_is_fine = False  # for the stand-in, which often closes without a DISCONNECT
        self.receive_maximum, self.alias_maximum, self.packet_maximum = 65535, 0, 1 << 28
        self.problem_information = True
        self.aliases, self.in_flight, self.next_id = {}, {}, 0

    # ---- sending

    def send(self, *packets):
        self.sock.settimeout(TIMEOUT)
        self.sock.sendall(b"".join(packets))

    def packet_id(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def send_connect(self, client_id="", **kwargs):
        kwargs.setdefault("version", self.version)
        props = kwargs.get("props") or {}
        if isinstance(props, dict):
            self.receive_maximum = props.get("receive_maximum", 65535)
            self.alias_maximum = props.get("topic_alias_maximum", 0)
            self.packet_maximum = props.get("maximum_packet_size", 1 << 28)
            self.problem_information = props.get("request_problem_information", 1) == 1
        self.send(codec.connect(client_id, **kwargs))

    def connect(self, client_id="", reason=0, **kwargs):
        """Sends CONNECT and returns the CONNACK, whose reason must be `reason`."""
        self.send_connect(client_id, **kwargs)
        self.connack = self.expect(codec.CONNACK, reason=reason)
        return self.connack

    # ---- receiving

    def readable(self, seconds):
        if getattr(self.sock, "pending", lambda: 0)():
            return True
        return bool(select.select([self.sock], [], [], max(0, seconds))[0])

    def frame(self):
        """The first whole packet of the buffer as bytes, or None."""
        size, shift = 0, 0
        for index in range(1, min(len(self.buffer), 5)):
            size |= (self.buffer[index] & 127) << shift
            shift += 7
            if not self.buffer[index] & 128:
                end = index + 1 + size
                if len(self.buffer) < end:
                    return None
                raw, self.buffer = self.buffer[:end], self.buffer[end:]
                return raw
        return None

    def recv(self, timeout=TIMEOUT):
        """The next packet, checked. Raises Closed or Silence."""
        if self.stash:
            return self.stash.popleft()
        return self.read(timeout)

    def read(self, timeout):
        deadline = time.monotonic() + timeout
        while True:
            raw = self.frame()
            if raw is not None:
                found = codec.decode(raw, self.version)
                self.referee(found)
                return found
            left = deadline - time.monotonic()
            if left <= 0 or not self.readable(left):
                raise Silence(f"no packet within {timeout} s")
            try:
                self.sock.settimeout(max(left, 0.01))
                more = self.sock.recv(1 << 18)
            except (ConnectionError, ssl.SSLError, BrokenPipeError) as error:
                raise Closed(f"connection lost: {error}") from error
            except (socket.timeout, ssl.SSLWantReadError):
                continue
            if not more:
                raise Closed("the server closed the connection" +
                             (f" inside a packet: {self.buffer[:40].hex()}" if self.buffer else ""))
            self.buffer += more

    def referee(self, found):
        if len(found.raw) > self.packet_maximum:
            raise Violation(f"{found.name} of {len(found.raw)} bytes above Maximum Packet Size {self.packet_maximum}")
        if not self.problem_information and found.kind not in (codec.PUBLISH, codec.CONNACK, codec.DISCONNECT):
            if "reason_string" in found.props or found.user:
                raise Violation(f"{found.name}: explains itself although Request Problem Information is 0")
        if found.kind == codec.PUBLISH:
            alias = found.props.get("topic_alias")
            if alias is not None:
                if alias > self.alias_maximum:
                    raise Violation(f"PUBLISH: topic alias {alias} above the maximum {self.alias_maximum}")
                if found.topic:
                    self.aliases[alias] = found.topic
                elif alias not in self.aliases:
                    raise Violation(f"PUBLISH: topic alias {alias} was never set on this connection")
                found.topic = self.aliases[alias]
            if found.qos:
                if found.packet_id in self.in_flight:
                    raise Violation(f"PUBLISH: packet identifier {found.packet_id} is in use")
                self.in_flight[found.packet_id] = found.qos
                if len(self.in_flight) > self.receive_maximum:
                    raise Violation(f"{len(self.in_flight)} PUBLISH in flight, Receive Maximum {self.receive_maximum}")

    def expect(self, kind, timeout=TIMEOUT, **fields):
        """The next packet, which must be of `kind` and have these attributes."""
        found = self.recv(timeout)
        if found.kind != kind or any(getattr(found, name) != value for name, value in fields.items()):
            raise AssertionError(f"expected {codec.NAMES[kind]} {fields}, got {found!r}")
        return found

    def wait_for(self, kind, timeout=TIMEOUT, **fields):
        """As expect(), but packets of other kinds that come before it are kept for later."""
        deadline = time.monotonic() + timeout
        kept = [item for item in self.stash if item.kind == kind]
        if kept:
            self.stash.remove(kept[0])
            found = kept[0]
        else:
            while True:
                found = self.read(max(0.0, deadline - time.monotonic()))
                if found.kind == kind:
                    break
                self.stash.append(found)
        if any(getattr(found, name) != value for name, value in fields.items()):
            raise AssertionError(f"expected {codec.NAMES[kind]} {fields}, got {found!r}")
        return found

    def expect_nothing(self, seconds=0.3):
        """No packet and no close for a while. Only as a last resort proof that nothing was sent."""
        try:
            found = self.recv(seconds)
        except Silence:
            return
        raise AssertionError(f"expected nothing, got {found!r}")

    def expect_close(self, timeout=TIMEOUT, allow=()):
        """The end of the stream, with nothing before it but packets of the kinds in `allow`. Returns those."""
        seen = []
        try:
            while True:
                found = self.recv(timeout)
                seen.append(found)
                if found.kind not in allow:
                    raise AssertionError(f"expected the connection to close, got {found!r}")
        except Closed:
            return seen
        except Silence as silence:
            raise Silence(f"the connection stays open after {seen}") from silence

    def expect_disconnect(self, reason, timeout=TIMEOUT):
        """v5: DISCONNECT with `reason` (a number or several), then the end of the stream. Before v5: just the end.
        Nothing may follow a DISCONNECT [MQTT-3.14.4-1]."""
        reasons = (reason,) if isinstance(reason, int) else tuple(reason)
        if self.version != V5:
            self.expect_close(timeout)
            return None
        if self.bare_close_is_fine:
            self.expect_close(timeout, allow=(codec.DISCONNECT,))
            return None
        found = self.expect(codec.DISCONNECT, timeout)
        if found.reason not in reasons:
            raise AssertionError(f"expected DISCONNECT {[hex(item) for item in reasons]}, got {found!r}")
        self.expect_close(timeout)
        return found

    def drain(self, seconds=0.3):
        """All packets that come until there is a pause of `seconds`."""
        seen = []
        while True:
            try:
                seen.append(self.recv(seconds))
            except (Silence, Closed):
                return seen

    # ---- whole exchanges

    def ping(self):
        """Round trip; whatever the server had queued for this client before is in the stash afterwards."""
        self.send(codec.pingreq())
        return self.wait_for(codec.PINGRESP)

    def subscribe(self, *filters, codes=None, props=None, **option):
        """SUBSCRIBE with the same options for each filter; returns the SUBACK. `codes` are asserted; without them
        every filter must be granted."""
        byte = options(**option) if self.version == V5 else option.get("qos", 0)
        number = self.packet_id()
        self.send(codec.subscribe(number, [(text, byte) for text in filters], version=self.version, props=props))
        found = self.wait_for(codec.SUBACK, packet_id=number)
        if codes is None:
            assert len(found.codes) == len(filters) and all(code < 0x80 for code in found.codes), found
        else:
            assert found.codes == list(codes), f"expected codes {codes}, got {found!r}"
        return found

    def unsubscribe(self, *filters, props=None):
        number = self.packet_id()
        self.send(codec.unsubscribe(number, filters, version=self.version, props=props))
        return self.wait_for(codec.UNSUBACK, packet_id=number)

    def publish(self, topic, payload=b"", qos=0, reason=None, **kwargs):
        """PUBLISH and its whole handshake. `reason` None: any below 0x80. Returns the first acknowledgement."""
        number = kwargs.pop("packet_id", None) or (self.packet_id() if qos else None)
        self.send(codec.publish(topic, payload, version=self.version, qos=qos, packet_id=number, **kwargs))
        if qos == 0:
            return None
        found = self.wait_for(codec.PUBACK if qos == 1 else codec.PUBREC, packet_id=number)
        if reason is None:
            assert found.reason < 0x80, f"refused: {found!r}"
        else:
            assert found.reason == reason, f"expected reason {reason:#x}, got {found!r}"
        if qos == 2 and found.reason < 0x80:
            self.send(codec.ack(codec.PUBREL, number))
            self.wait_for(codec.PUBCOMP, packet_id=number, reason=0)
        return found

    def acknowledge(self, found):
        """The whole receiver's side of one PUBLISH."""
        if found.qos == 1:
            self.in_flight.pop(found.packet_id, None)
            self.send(codec.ack(codec.PUBACK, found.packet_id))
        elif found.qos == 2:
            self.send(codec.ack(codec.PUBREC, found.packet_id))
            self.wait_for(codec.PUBREL, packet_id=found.packet_id)
            self.in_flight.pop(found.packet_id, None)
            self.send(codec.ack(codec.PUBCOMP, found.packet_id))

    def puback(self, found):
        self.in_flight.pop(found.packet_id, None)
        self.send(codec.ack(codec.PUBACK, found.packet_id))

    def take(self, count=1, timeout=TIMEOUT, ack=True):
        """The next `count` PUBLISH packets, acknowledged; anything else in between is an error."""
        seen = []
        for _ in range(count):
            found = self.expect(codec.PUBLISH, timeout)
            if ack:
                self.acknowledge(found)
            seen.append(found)
        return seen

    def message(self, timeout=TIMEOUT, ack=True, **fields):
        """One PUBLISH with these attributes, acknowledged."""
        found = self.expect(codec.PUBLISH, timeout, **fields)
        if ack:
            self.acknowledge(found)
        return found

    def disconnect(self, reason=None, props=None):
        self.send(codec.disconnect(reason, props) if self.version == V5 else codec.disconnect())
        self.expect_close()
        self.close()

    def drop(self):
        """Ends the connection without a DISCONNECT, and waits until the server has closed its side: from then on it
        knows that this client is away."""
        raw = getattr(self.sock, "sock", self.sock)
        try:
            socket.socket.shutdown(raw, socket.SHUT_WR)
            raw.settimeout(2)
            while raw.recv(1 << 18):
                pass
        except OSError:
            pass
        self.close()

    def reset(self):
        """Breaks the connection as a failing network does: no DISCONNECT, a reset, and no waiting."""
        raw = getattr(self.sock, "sock", self.sock)
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass
