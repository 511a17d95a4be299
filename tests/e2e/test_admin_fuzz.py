"""Bodies and query strings that mean harm, to every route: problem documents, and a broker that goes on.

TRUNKLINE_FUZZ_REQUESTS is how many each route with a body gets (a tenth of it the others), TRUNKLINE_FUZZ_SEED repeats
a run: a failure names the seed and the request.
"""
import asyncio
import contextlib
import json
import os
import random
import re

from harness import alone, mosquitto_differs
from reference import MODEL, TOKENS, api, check_problem, openapi, plant, routes

REQUESTS = int(os.environ.get("TRUNKLINE_FUZZ_REQUESTS", "2000"))
SEED = int(os.environ.get("TRUNKLINE_FUZZ_SEED", "7"))
CONNECTIONS = 160          # a change waits for the audit trail, which commits ten times a second
TARGET_BYTES = 12_000    # longer ones are refused before anybody looks at them
# Of what takes long only so many wait: more would all be told so, and nothing else.
LONG, LONG_AT_ONCE = ("/api/v1/model", "/api/v1/config/check", "/api/v1/explain"), 6
# What each does once is enough to find: these cost the broker a checkpoint, a key, a reading of all its files.
DEAR = {"POST /api/v1/backup": 20, "POST /api/v1/audit/rotate-key": 40, "POST /api/v1/config/reload": 60,
        "POST /api/v1/audit/verify": 40, "POST /api/v1/audit/checkpoint": 40, "POST /api/v1/users": 600,
        "POST /api/v1/users/password": 600}
STATUS = {200, 201, 202, 204, 400, 403, 404, 405, 409, 413, 415, 422, 429, 431, 503}
WORDS = ("topic", "payload", "encoding", "qos", "retain", "server_reference", "moved", "yaml", "file", "reason",
         "version", "name", "patterns_from", "mode", "client_id", "user", "subscribe", "password", "groups", "roles",
         "action", "time", "monotonic_ns", "from", "to", "principal", "payload_sha256", "id", "actor", "format")
TEXTS = ("", " ", "#", "+", "a/#", "a/#/b", "+a", "$SYS/#", "$share/g/#", "$share//", "../../etc/passwd", "a\u0000b",
         "\ud800", "é" * 300, "x" * 70_000, "%s%n%x", "{{}}", "'; DROP", "\u202e", "-1", "1e999", "NaN", "true", "null",
         "9" * 400, "base64", "utf-8", "publish", "subscribe", "receive", "admin", "observe", "2026-01-01", "1.0.0",
         "2026-01-01T00:00:00Z", "99999-99-99T99:99:99Z", "plant/free/cell-1/value", "edge-1", "carl", "all",
         "=cmd|' /C'")
# What is taken: changed a little it reaches what stands behind the first look at a body.
GOOD = {
    "POST /api/v1/publish": {"topic": "plant/free/cell-1/value", "payload": "1", "qos": 1, "retain": True},
    "POST /api/v1/drain": {"server_reference": "other:1883", "moved": False},
    "POST /api/v1/model/rollback": {"version": "1.0.0", "reason": "x"},
    "POST /api/v1/model/learn": {"name": "learned", "version": "1", "patterns_from": 2, "mode": "observe"},
    "POST /api/v1/explain": {"topic": "plant/free/cell-1/value", "payload": "1", "client_id": "edge-1", "user": "anna",
                             "retain": False, "subscribe": False},
    "POST /api/v1/users": {"name": "carl", "password": "long enough 1", "groups": [], "roles": ["all"]},
    "POST /api/v1/users/password": {"name": "carl", "password": "long enough 1"},
    "POST /api/v1/access/test": {"action": "publish", "topic": "x", "user": "anna", "client_id": "edge-1"},
    "POST /api/v1/audit/prove": {"time": "2026-01-01T00:00:00.000000000Z", "monotonic_ns": 1, "principal": "x",
                                 "client_id": "x", "topic": "plant/gmp/cell-1/value", "payload_sha256": "0" * 64},
    "PUT /api/v1/model": {"yaml": MODEL, "file": "m.yaml", "reason": "x"},
    "POST /api/v1/model/plan": {"yaml": MODEL, "file": "m.yaml"},
    "POST /api/v1/config/reload": {"reason": "x"},
}
NUMBERS = (0, 1, 2, -1, 255, 256, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -2**63, 10**300, 0.5,
           -0.0, 1e308, 1e-320)


def some(rng, deep=0):
    """Any JSON value; what no JSON library writes is put in as text later."""
    kind = rng.randrange(9 if deep < 4 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind == 2:
        return rng.choice(NUMBERS)
    if kind in (3, 4, 5):
        return rng.choice(TEXTS) if rng.random() < 0.8 else "".join(chr(rng.randrange(1, 0xD7FF)) for _ in range(9))
    if kind == 6:
        return [some(rng, deep + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): some(rng, deep + 1) for _ in range(rng.randrange(5))}


def damaged(rng, text):
    """Bytes of a text with something wrong in them."""
    data = bytearray(text)
    for _ in range(rng.randrange(1, 4)):
        if not data:
            break
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at:at + rng.randrange(1, 9)]
        elif kind == 2:
            data[at:at] = rng.choice([b"\xff\xfe", b"\xc3", b"\x00", b"{", b"]", b'"', b"\\u", b"\xed\xa0\x80", b"*a",
                                      b"&a "])
        elif kind == 3:
            del data[at:]
        else:
            data[at:at] = data[at:at + rng.randrange(1, 200)]
    return bytes(data)


def body(rng, name, fields):
    """A body; `fields` are those that the route's description names."""
    if name in GOOD and rng.random() < 0.4:
        text = dict(GOOD[name])
        for _ in range(rng.randrange(3)):
            text[rng.choice(list(text))] = some(rng)
        return json.dumps(text).encode()
    kind = rng.randrange(20)
    if kind == 0:
        return rng.randbytes(rng.randrange(0, 400))
    if kind == 1:
        return rng.choice([b"[" * 20_000, b'{"a":' * 20_000, b"[" * 5_000 + b"]" * 5_000, b"", b"null", b"0", b'""',
                           b"[]",
                           b"{", b"a: &a [*a, *a]\n", b"a: &a [1]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n",
                           b"- " * 5_000, b"? \n" * 100, b"!!python/object x", b"%YAML 9.9\n---\n", b"\xef\xbb\xbf{}"])
    if kind == 2:
        return json.dumps(some(rng)).encode()
    if kind in (3, 4):
        text = MODEL.encode()
        return damaged(rng, text) if kind == 3 else json.dumps({"yaml": damaged(rng, text).decode("latin-1")}).encode()
    known = {name: some(rng) for name in fields if rng.random() < 0.8}
    if rng.random() < 0.2:
        known[rng.choice(WORDS)] = some(rng)
    text = json.dumps(known, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if rng.random() < 0.1 and text.endswith(b"}") and known:
        text = text[:-1] + b"," + text[1:]   # every key twice
    return damaged(rng, text) if rng.random() < 0.25 else text


def quoted(rng, text):
    """A query's value: encoded, half encoded, or as it is."""
    raw = text.encode("utf-8", "surrogatepass")[:TARGET_BYTES // 8]
    if rng.random() < 0.9:
        return "".join(chr(b) if chr(b).isalnum() and b < 128 else f"%{b:02X}" for b in raw)
    bare = re.sub(r"[^!-~]", "", raw.decode("latin-1")).replace("#", "")
    return bare + rng.choice(["", "%", "%G", "%0", "%00", "%ff"])


def target(rng, path, parameters):
    for name in re.findall(r"{(\w+)}", path):
        likely = ["0", "1", "2", "edge-1", "away/1", "99999999999999999999", "-1"]
        value = rng.choice(likely if rng.random() < 0.7 else TEXTS)
        path = path.replace("{" + name + "}", quoted(rng, value) or "x")
    pairs = []
    for name in parameters:
        if rng.random() < 0.6 and sum(map(len, pairs)) < TARGET_BYTES / 2:
            pairs.append(f"{name}={quoted(rng, str(some(rng, 9)))}")
    if rng.random() < 0.1:
        pairs.append(quoted(rng, rng.choice(TEXTS)) + "=" + quoted(rng, rng.choice(TEXTS)))
    return path + ("?" + "&".join(pairs) if pairs else "")


def cases(document):
    """(route, target, body), the same for a seed."""
    rng = random.Random(SEED)
    all_cases = []
    for name in routes(document):
        method, path = name.split(" ", 1)
        operation = document["paths"][path][method.lower()]
        parameters = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
        description = operation.get("requestBody", {}).get("description", "")
        fields = [word for word in re.findall(r"\w+", description) if word in WORDS]
        takes_body = method in ("POST", "PUT")
        count = REQUESTS if takes_body else max(20, REQUESTS // 10)
        for _ in range(min(count, DEAR.get(name, count))):
            content = body(rng, name, fields) if takes_body or rng.random() < 0.2 else b""
            all_cases.append((name, target(rng, path, parameters), content))
    rng.shuffle(all_cases)
    return all_cases


class Connection:
    """HTTP/1.1 by hand: a client library would refuse to send half of this."""

    def __init__(self, broker):
        self.broker, self.reader, self.writer = broker, None, None

    async def ask(self, method, where, content):
        """(status, headers, text)"""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.broker.admin_port, limit=1 << 26)
        head = (f"{method} {where} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKENS['anna']}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n")
        self.writer.write(head.encode("latin-1") + content)
        await self.writer.drain()
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        text = ""
        if headers.get("content-type") != "text/event-stream":
            text = (await self.reader.readexactly(int(headers["content-length"]))).decode(errors="replace")
        if headers.get("connection") == "close" or headers.get("content-type") == "text/event-stream":
            self.close()
        return status, headers, text

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None


def check(status, headers, text):
    assert status in STATUS, (status, text)
    if status >= 400:
        check_problem(status, headers, text)
    elif headers["content-type"] == "application/json":
        json.loads(text)


async def run(broker, todo, counts, few):
    connection = Connection(broker)
    while todo:
        name, where, content = todo.pop()
        takes_long = name.split()[1].startswith(LONG)
        try:
            async with few if takes_long else contextlib.nullcontext():
                status, headers, text = await asyncio.wait_for(connection.ask(name.split()[0], where, content), 60)
            check(status, headers, text)
            counts.setdefault(name, {}).setdefault(status, 0)
            counts[name][status] += 1
        except Exception as error:
            todo.clear()
            raise AssertionError(f"seed {SEED}: {name.split()[0]} {where[:2000]} {content[:2000]!r}: "
                                 f"{type(error).__name__} {error}; {broker.tail(3)}") from error
    connection.close()


async def run_all(broker, todo, counts):
    few = asyncio.Semaphore(LONG_AT_ONCE)
    await asyncio.gather(*[run(broker, todo, counts, few) for _ in range(CONNECTIONS)])


@mosquitto_differs("has no admin interface")
@alone
def test_bodies_and_queries_that_mean_harm(env):
    """Thousands of damaged bodies and query strings for each route are answered, each refusal with a problem document
    (RFC 9457) that tells nothing of the program's inside; nothing is logged as failed, and the broker goes on."""
    broker = plant(env, approval="none", log={"level": "error"})
    todo, counts = cases(openapi(broker)), {}
    number = len(todo)
    asyncio.run(run_all(broker, todo, counts))
    assert sum(sum(one.values()) for one in counts.values()) == number
    for name in GOOD:   # not all are refused for the same trivial reason
        assert len(counts[name]) > 1, (name, counts[name])
    failed = [line for line in broker.stderr if "failed" in line and "admin_" in line]
    assert not failed, failed[:3]
    api(broker, "DELETE /api/v1/drain")
    assert broker.alive() and api(broker, "GET /readyz")["status"] == "ready"
    env.still_serves(broker)
    broker.stop()
