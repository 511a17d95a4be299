"""MQTT packets as bytes, for tests: builders that can also build nonsense, and a decoder that forgives nothing.

The decoder is the tests' referee: everything a server sends goes through decode(), which raises Violation where a
packet breaks a rule that can be seen from the packet alone.
"""
import struct

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15
NAMES = ("reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
         "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH")
V31, V311, V5 = 3, 4, 5

# identifier: (name, type, packets that may carry it; 0 stands for the will)
PROPERTIES = {
    0x01: ("payload_format_indicator", "byte", (PUBLISH, 0)),
    0x02: ("message_expiry_interval", "u32", (PUBLISH, 0)),
    0x03: ("content_type", "str", (PUBLISH, 0)),
    0x08: ("response_topic", "str", (PUBLISH, 0)),
    0x09: ("correlation_data", "bin", (PUBLISH, 0)),
    0x0B: ("subscription_identifier", "vbi", (PUBLISH, SUBSCRIBE)),
    0x11: ("session_expiry_interval", "u32", (CONNECT, CONNACK, DISCONNECT)),
    0x12: ("assigned_client_identifier", "str", (CONNACK,)),
    0x13: ("server_keep_alive", "u16", (CONNACK,)),
    0x15: ("authentication_method", "str", (CONNECT, CONNACK, AUTH)),
    0x16: ("authentication_data", "bin", (CONNECT, CONNACK, AUTH)),
    0x17: ("request_problem_information", "byte", (CONNECT,)),
    0x18: ("will_delay_interval", "u32", (0,)),
    0x19: ("request_response_information", "byte", (CONNECT,)),
    0x1A: ("response_information", "str", (CONNACK,)),
    0x1C: ("server_reference", "str", (CONNACK, DISCONNECT)),
    0x1F: ("reason_string", "str", (CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)),
    0x21: ("receive_maximum", "u16", (CONNECT, CONNACK)),
    0x22: ("topic_alias_maximum", "u16", (CONNECT, CONNACK)),
    0x23: ("topic_alias", "u16", (PUBLISH,)),
    0x24: ("maximum_qos", "byte", (CONNACK,)),
    0x25: ("retain_available", "byte", (CONNACK,)),
    0x26: ("user_property", "pair", tuple(range(0, 16))),
    0x27: ("maximum_packet_size", "u32", (CONNECT, CONNACK)),
    0x28: ("wildcard_subscription_available", "byte", (CONNACK,)),
    0x29: ("subscription_identifier_available", "byte", (CONNACK,)),
    0x2A: ("shared_subscription_available", "byte", (CONNACK,)),
}
IDENTIFIERS = {name: (number, kind) for number, (name, kind, _) in PROPERTIES.items()}

# Reason codes a server may put into each packet (sections 3.2.2.2, 3.4.2.1, ... of MQTT 5.0).
REASONS = {
    CONNACK: {0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
              0x9A, 0x9B, 0x9C, 0x9D, 0x9F},
    PUBACK: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREC: {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
    PUBREL: {0x00, 0x92},
    PUBCOMP: {0x00, 0x92},
    SUBACK: {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
    UNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
    DISCONNECT: {0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
                 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2},
    AUTH: {0x00, 0x18},
}


class Violation(AssertionError):
    """The server sent something that the specification forbids."""


# ---------------------------------------------------------------- building

def vbi(number):
    """A variable byte integer in its shortest form."""
    out = bytearray()
    while True:
        number, low = divmod(number, 128)
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def string(text):
    """A length-prefixed string; bytes are taken as they are, so that ill-formed text can be built."""
    raw = text.encode() if isinstance(text, str) else bytes(text)
    return struct.pack(">H", len(raw)) + raw


def one_property(name, value):
    number, kind = IDENTIFIERS[name]
    head = bytes([number])
    if kind == "byte":
        return head + bytes([value])
    if kind == "u16":
        return head + struct.pack(">H", value)
    if kind == "u32":
        return head + struct.pack(">I", value)
    if kind == "vbi":
        return head + vbi(value)
    if kind == "pair":
        return head + string(value[0]) + string(value[1])
    return head + string(value)


def properties(props):
    """`props`: None, raw bytes, a dict (lists repeat a property) or a list of (name, value); with the length."""
    if isinstance(props, bytes):
        return vbi(len(props)) + props
    if isinstance(props, dict):
        pairs = [(name, item) for name, value in props.items()
                 for item in (value if isinstance(value, list) else [value])]
    else:
        pairs = props or []
    raw = b"".join(one_property(name, value) for name, value in pairs)
    return vbi(len(raw)) + raw


def packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + vbi(len(body)) + body


class Will:
    def __init__(self, topic, payload=b"", qos=0, retain=False, props=None):
        self.topic, self.payload, self.qos, self.retain, self.props = topic, payload, qos, retain, props


def connect(client_id="", *, version=V5, clean=True, keep_alive=60, will=None, username=None, password=None,
            props=None, name=None, level=None, flags=None):
    """A CONNECT; `name`, `level` and `flags` override what belongs there."""
    name = name if name is not None else ("MQIsdp" if version == V31 else "MQTT")
    bits = 0x02 if clean else 0
    body = b""
    if version == V5:
        body += properties(props)
    body += string(client_id)
    if will:
        bits |= 0x04 | will.qos << 3 | (0x20 if will.retain else 0)
        if version == V5:
            body += properties(will.props)
        body += string(will.topic) + string(will.payload)
    if username is not None:
        bits |= 0x80
        body += string(username)
    if password is not None:
        bits |= 0x40
        body += string(password)
    head = string(name) + bytes([version if level is None else level, bits if flags is None else flags])
    return packet(CONNECT, 0, head + struct.pack(">H", keep_alive) + body)


def publish(topic, payload=b"", *, version=V5, qos=0, packet_id=None, retain=False, dup=False, props=None):
    payload = payload.encode() if isinstance(payload, str) else payload
    body = string(topic)
    if packet_id is not None:
        body += struct.pack(">H", packet_id)
    if version == V5:
        body += properties(props)
    return packet(PUBLISH, (8 if dup else 0) | qos << 1 | (1 if retain else 0), body + payload)


def ack(kind, packet_id, reason=None, props=None):
    body = struct.pack(">H", packet_id)
    if reason is not None:
        body += bytes([reason])
        if props is not None:
            body += properties(props)
    return packet(kind, 2 if kind == PUBREL else 0, body)


def subscribe(packet_id, filters, *, version=V5, props=None, flags=2):
    """`filters`: pairs of filter and options byte (the QoS before v5)."""
    body = struct.pack(">H", packet_id)
    if version == V5:
        body += properties(props)
    return packet(SUBSCRIBE, flags, body + b"".join(string(text) + bytes([options]) for text, options in filters))


def unsubscribe(packet_id, filters, *, version=V5, props=None, flags=2):
    body = struct.pack(">H", packet_id)
    if version == V5:
        body += properties(props)
    return packet(UNSUBSCRIBE, flags, body + b"".join(string(text) for text in filters))


def pingreq():
    return packet(PINGREQ, 0, b"")


def disconnect(reason=None, props=None):
    body = b""
    if reason is not None:
        body = bytes([reason]) + (properties(props) if props is not None else b"")
    return packet(DISCONNECT, 0, body)


def auth(reason=None, props=None):
    return packet(AUTH, 0, b"" if reason is None else bytes([reason]) + properties(props))


def options(qos=0, no_local=False, retain_as_published=False, retain_handling=0):
    """The Subscription Options byte of MQTT 5."""
    return qos | (4 if no_local else 0) | (8 if retain_as_published else 0) | retain_handling << 4


# ---------------------------------------------------------------- reading

class Packet:
    """A decoded packet from a server. Fields that its type lacks are None; `props` maps names to values,
    `user_property` to a list of pairs and `subscription_identifier` (PUBLISH) to a list."""

    def __init__(self, kind, flags, raw):
        self.kind, self.flags, self.raw = kind, flags, raw
        self.topic = self.payload = self.packet_id = self.reason = self.codes = self.session_present = None
        self.qos = self.retain = self.dup = None
        self.props = {}

    @property
    def name(self):
        return NAMES[self.kind]

    @property
    def user(self):
        return self.props.get("user_property", [])

    def __repr__(self):
        shown = {key: value for key, value in vars(self).items() if value not in (None, {}) and key not in
                 ("kind", "raw", "flags")}
        if isinstance(shown.get("payload"), bytes) and len(shown["payload"]) > 60:
            shown["payload"] = shown["payload"][:60] + b"..."
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in shown.items())})"


class Reader:
    def __init__(self, raw, what):
        self.raw, self.at, self.what = raw, 0, what

    def need(self, count):
        if self.at + count > len(self.raw):
            raise Violation(f"{self.what}: ends in the middle of a field: {self.raw.hex()}")
        self.at += count
        return self.raw[self.at - count:self.at]

    def byte(self):
        return self.need(1)[0]

    def u16(self):
        return struct.unpack(">H", self.need(2))[0]

    def u32(self):
        return struct.unpack(">I", self.need(4))[0]

    def vbi(self):
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                if byte == 0 and shift:
                    raise Violation(f"{self.what}: variable byte integer is not in its shortest form")
                return value
            shift += 7
            if shift > 21:
                raise Violation(f"{self.what}: variable byte integer of more than four bytes")

    def binary(self):
        return self.need(self.u16())

    def string(self):
        raw = self.binary()
        try:
            text = raw.decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            raise Violation(f"{self.what}: string is not UTF-8: {raw!r}") from error
        if "\0" in text:
            raise Violation(f"{self.what}: string holds U+0000")
        return text

    def rest(self):
        return self.need(len(self.raw) - self.at)

    def done(self):
        return self.at == len(self.raw)


def read_properties(reader, kind):
    length = reader.vbi()
    inner = Reader(reader.need(length), reader.what + " properties")
    props = {}
    while not inner.done():
        number = inner.vbi()
        if number not in PROPERTIES or kind not in PROPERTIES[number][2]:
            raise Violation(f"{reader.what}: property 0x{number:02x} does not belong there")
        name, value_type, _ = PROPERTIES[number]
        value = {"byte": inner.byte, "u16": inner.u16, "u32": inner.u32, "vbi": inner.vbi, "bin": inner.binary,
                 "str": inner.string, "pair": lambda: (inner.string(), inner.string())}[value_type]()
        if name == "user_property" or (name == "subscription_identifier" and kind == PUBLISH):
            props.setdefault(name, []).append(value)
        elif name in props:
            raise Violation(f"{reader.what}: property {name} appears twice")
        else:
            props[name] = value
    return props


def decode(raw, version):
    """The packet in `raw`, which must be exactly one whole packet as a server may send it."""
    kind, flags = raw[0] >> 4, raw[0] & 15
    head = Reader(raw[1:], NAMES[kind])
    length = head.vbi()
    reader = Reader(head.rest(), NAMES[kind])
    if len(reader.raw) != length:
        raise AssertionError("decode() wants one whole packet")
    result = Packet(kind, flags, raw)
    if kind != PUBLISH and flags != (2 if kind == PUBREL else 0):
        raise Violation(f"{result.name}: reserved flag bits are {flags:04b}")
    five = version == V5
    if kind == CONNACK:
        bits = reader.byte()
        if bits > 1:
            raise Violation(f"CONNACK: reserved acknowledge flags {bits:08b}")
        result.session_present, result.reason = bool(bits), reader.byte()
        if five:
            result.props = read_properties(reader, kind)
        elif result.reason > 5:
            raise Violation(f"CONNACK: return code {result.reason} is not of MQTT 3.1.1")
        if result.reason and result.session_present:
            raise Violation("CONNACK: refuses with Session Present 1")
    elif kind == PUBLISH:
        read_publish(reader, result, five)
    elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        result.packet_id, result.reason = reader.u16(), 0
        if five and not reader.done():
            result.reason = reader.byte()
            if not reader.done():
                result.props = read_properties(reader, kind)
    elif kind == SUBACK or (kind == UNSUBACK and five):
        result.packet_id = reader.u16()
        if five:
            result.props = read_properties(reader, kind)
        result.codes = list(reader.rest())
        for code in result.codes:
            if code not in (REASONS[kind] if five else {0, 1, 2, 0x80}):
                raise Violation(f"{result.name}: code 0x{code:02x} is not listed")
    elif kind == UNSUBACK:
        result.packet_id = reader.u16()
    elif kind in (DISCONNECT, AUTH) and five:
        result.reason = 0
        if not reader.done():
            result.reason = reader.byte()
            if not reader.done():
                result.props = read_properties(reader, kind)
        if kind == DISCONNECT and "session_expiry_interval" in result.props:
            raise Violation("DISCONNECT of a server carries a Session Expiry Interval")
    elif kind != PINGRESP:
        raise Violation(f"{result.name} is no packet for a server to send in version {version}")
    if not reader.done():
        raise Violation(f"{result.name}: {len(reader.rest())} bytes too many")
    if five and result.reason is not None and result.reason not in REASONS[kind]:
        raise Violation(f"{result.name}: reason code 0x{result.reason:02x} is not listed for it")
    if result.packet_id == 0:
        raise Violation(f"{result.name}: packet identifier 0")
    return result


def read_publish(reader, result, five):
    result.dup, result.retain, result.qos = bool(result.flags & 8), bool(result.flags & 1), result.flags >> 1 & 3
    if result.qos == 3 or (result.qos == 0 and result.dup):
        raise Violation(f"PUBLISH: flags {result.flags:04b}")
    result.topic = reader.string()
    if "+" in result.topic or "#" in result.topic:
        raise Violation(f"PUBLISH: wildcard in topic {result.topic!r}")
    if result.qos:
        result.packet_id = reader.u16()
    if five:
        result.props = read_properties(reader, PUBLISH)
        if result.props.get("topic_alias") == 0:
            raise Violation("PUBLISH: topic alias 0")
    if not result.topic and "topic_alias" not in result.props:
        raise Violation("PUBLISH: neither topic nor alias")
    result.payload = reader.rest()
