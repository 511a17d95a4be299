"""Model files that mean harm: refused by the real process within seconds and little memory, at the start and by PUT."""
import json
import os
import subprocess
import sys

from governed import MODEL, NO_MODELS, PATH
from harness import alone, free_port, mosquitto_differs

SECONDS_MAX = 2.0       # of the processor: other tests and builds may share it
WALL_SECONDS_MAX = 20.0
RESIDENT_MAX = 256 << 20
HEAD = "trunkline: 1\nnamespace: h\nversion: 1.0.0\n"


def bomb(levels=30, each=10):
    """Aliases of aliases: each level says `each` times what the level before it says."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * each)}]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def tree_bomb(levels=20, each=10):
    lines = ["tree:", "  n0: &n0 {x: {$payload: any}}"]
    for n in range(1, levels):
        lines.append(f"  n{n}: &n{n} {{{', '.join(f'c{i}: *n{n - 1}' for i in range(each))}}}")
    return HEAD + "\n".join(lines) + "\n"


def parts_bomb(types=30, each=10):
    lines = ["types:", "  t0: {version: 1, metrics: {x: {type: number}}}"]
    for n in range(1, types):
        lines.append(f"  t{n}: {{version: 1, parts: {{{', '.join(f'p{i}: t{n - 1}' for i in range(each))}}}}}")
    return HEAD + "\n".join(lines) + f"\ntree: {{a: {{$type: t{types - 1}}}}}\n"


def patterns(expressions):
    lines = [f'  "{{p{n}}}": {{$match: "{text}", x: any}}' for n, text in enumerate(expressions)]
    return HEAD + "tree:\n" + "\n".join(lines) + "\n"


def wide_schema(depth):
    schema = '{"type": "string"}'
    for _ in range(depth):
        schema = f'{{"anyOf": [{schema}, {schema}]}}'
    return HEAD + f"payloads: {{p: {{schema: {schema}}}}}\ntree: {{a: p}}\n"


def deep_schema(depth):
    return HEAD + "payloads: {p: {schema: " + '{"not": ' * depth + "{}" + "}" * depth + "}}\ntree: {a: p}\n"


def nested_blocks(levels):
    return HEAD + "tree:\n" + "".join(" " * (n + 1) + f"n{n}:\n" for n in range(levels))


HOSTILE = {
    "deep flow": lambda: HEAD + "tree: " + "{a: " * 200_000,
    "deep flow, closed": lambda: HEAD + "tree: " + "{a: " * 200_000 + "1" + "}" * 200_000,
    "deep lists": lambda: HEAD + "exempt: " + "[" * 1_000_000,
    "deep blocks": lambda: nested_blocks(3_000),
    "deep block lists": lambda: HEAD + "exempt:\n" + "- " * 500_000 + "x\n",
    "bomb": lambda: HEAD + bomb(),
    "bomb in the tree": tree_bomb,
    "recursive alias": lambda: HEAD + "tree: &t {a: *t}\n",
    "recursive alias in a list": lambda: HEAD + "exempt: &e [*e, *e]\n",
    "recursive parts": lambda: HEAD + "types:\n" + "".join(
        f"  t{n}: {{version: 1, parts: {{a: t{(n + 1) % 500}, b: t{(n + 7) % 500}}}}}\n" for n in range(500)) +
        "tree: {a: {$type: t0}}\n",
    "parts of parts of parts": parts_bomb,
    "recursive schema": lambda: HEAD + 'payloads: {p: {schema: {"$ref": "#"}}}\ntree: {a: p}\n',
    "schemas that lead to each other": lambda: HEAD + 'payloads: {p: {schema: {definitions: {' + ", ".join(
        f'd{n}: {{allOf: [{{"$ref": "#/definitions/d{(n + 1) % 900}"}}]}}' for n in range(900)) +
        '}, "$ref": "#/definitions/d0"}}}\ntree: {a: p}\n',
    "a wide schema": lambda: wide_schema(18),
    "a deep schema": lambda: deep_schema(100_000),
    "a repetition of repetitions": lambda: patterns(["((a{1,1000}){1,1000}){1,1000}"]),
    "a long expression": lambda: patterns(["(" + "|".join(f"[a-z]{{{n % 900}}}" for n in range(200_000)) + ")"]),
    "a megabyte of brackets": lambda: patterns(["(" * 1_000_000]),
    "many large expressions": lambda: patterns([f"[a-z]{{{900 - n % 100}}}{n}" for n in range(3_000)]),
    "expressions that overlap": lambda: patterns(
        [f"(a|b|c)*a(a|b|c){{{11 + n % 3}}}{'abc'[n % 3]}(a|b)*" for n in range(300)]),
    "50 MB of comments": lambda: HEAD + ("# " + "x" * 97 + "\n") * 500_000,
    "50 MB of tree": lambda: HEAD + "tree:\n" + "".join(
        f"  node-{n:08}: {{$payload: any}}\n" for n in range(1_600_000)),
    "50 MB in one text": lambda: HEAD + 'description: "' + "x" * 50_000_000 + '"\n',
    "15 MB of faults": lambda: HEAD + "".join(f"unknown-key-{n:06}: 1\n" for n in range(650_000)),
    "a million nodes": lambda: HEAD + "tree: {" + ", ".join(f"n{n}: any" for n in range(1_000_000)) + "}\n",
    "a million documents": lambda: "--- x\n" * 1_000_000,
    "a million anchors": lambda: HEAD + "exempt: [" + ", ".join(f"&a{n} x" for n in range(1_000_000)) + "]\n",
    "a million values": lambda: HEAD + "types: {t: {version: 1, metrics: {x: {type: string, enum: [" + ", ".join(
        f"v{n}" for n in range(1_000_000)) + "]}}}}\ntree: {a: {$type: t}}\n",
    "a key of a megabyte": lambda: HEAD + "tree:\n  ? " + "k" * 1_000_000 + "\n  : any\n",
    "tags": lambda: HEAD + "tree: !!python/object/apply:os.system [true]\n",
    "merge keys": lambda: HEAD + "tree: {a: &a {b: any}, c: {<<: *a}}\n",
    "no UTF-8": lambda: HEAD.encode() + b"tree: {\xff\xfe\x00: any}\n",
    "UTF-16": lambda: (HEAD + "tree: {a: any}\n" * 3).encode("utf-16"),
    "zeros": lambda: b"\x00" * 1_000_000,
    "noise": lambda: bytes(n * 7_919 % 251 for n in range(1_000_000)),
    "nothing": lambda: b"",
}


def content(make):
    text = make()
    return text if isinstance(text, bytes) else text.encode()


# A small process that starts the broker: of its own child the kernel counts memory from the fork on, and this one is
# far larger. Arguments: seconds it may run, where the output goes, and the command.
STARTER = """
import json, os, subprocess, sys, time
started = time.monotonic()
with open(sys.argv[2], "wb") as output:
    process = subprocess.Popen(sys.argv[3:], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
late = False
while True:
    pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    if pid:
        break
    if not late and time.monotonic() - started > float(sys.argv[1]):
        late = True
        process.kill()
    time.sleep(0.01)
print(json.dumps([late, os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]))
"""


def start_with(binary, path, folder, environment):
    """Exit code, seconds of processor, resident bytes at most, and what `trunkline --model PATH` prints."""
    printed = os.path.join(folder, "output")
    done = subprocess.run([sys.executable, "-c", STARTER, str(WALL_SECONDS_MAX), printed, binary, "--model", path,
                           "--data", os.path.join(folder, "data"), "--listen", f"mqtt://127.0.0.1:{free_port()}",
                           "--admin", f"127.0.0.1:{free_port()}"],
                          capture_output=True, text=True, timeout=2 * WALL_SECONDS_MAX, check=True,
                          env={**os.environ, **environment})
    late, code, seconds, resident = json.loads(done.stdout)
    assert not late, f"still running after {WALL_SECONDS_MAX} s"
    with open(printed, encoding="utf-8", errors="replace") as output:
        return code, seconds, resident, output.read()


@alone
@mosquitto_differs(NO_MODELS)
def test_memory_and_time_of_a_hostile_model_at_the_start(env):
    """Each hostile file ends the start with exit code 1, in under 2 s and 256 MiB, with a rule and a place."""
    problems = []
    for name, make in HOSTILE.items():
        path = os.path.join(env.temporary(), "hostile.yaml")
        with open(path, "wb") as file:
            file.write(content(make))
        try:
            code, seconds, resident, output = start_with(env.brokers.binary, path, env.temporary(),
                                                         env.brokers.environment)
        except AssertionError as error:
            problems.append(f"{name}: {error}")
            continue
        if code != 1 or "TL-9" not in output or "hostile.yaml" not in output:
            problems.append(f"{name}: exit code {code}: {output[:300]}")
        if seconds >= SECONDS_MAX or resident >= RESIDENT_MAX:
            problems.append(f"{name}: {seconds:.2f} s, {resident >> 20} MiB")
        if len(output) > 200_000:
            problems.append(f"{name}: prints {len(output)} bytes")
    assert not problems, "\n      ".join(problems)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


@alone
@mosquitto_differs(NO_MODELS)
def test_memory_and_time_of_a_hostile_model_by_put(env):
    """PUT of each hostile file is refused in under 2 s; the broker stays below 256 MiB in all, goes on serving, and its
    model is the one that it had."""
    broker = env.own_broker(flags=("--model", PATH))
    problems = []
    harmless = MODEL.replace("1.0.0", "1.1.0").encode()
    status, text = broker.http("/api/v1/model", "PUT", harmless, timeout=WALL_SECONDS_MAX)
    assert status == 200, (status, text)
    for name, make in HOSTILE.items():
        started = cpu_seconds(broker.process.pid)
        status, text = broker.http("/api/v1/model", "PUT", content(make), timeout=WALL_SECONDS_MAX)
        seconds = cpu_seconds(broker.process.pid) - started
        large = "50 MB" in name  # may be cut off before it has been sent
        if not (400 <= status < 500 or (large and status == 0)):
            problems.append(f"{name}: status {status}: {text[:200]}")
        if seconds >= SECONDS_MAX:
            problems.append(f"{name}: {seconds:.2f} s")
        if not broker.alive():
            raise AssertionError(f"{name} ended the broker: {broker.tail()}")
    peak = peak_bytes(broker.process.pid)
    if peak >= RESIDENT_MAX:
        problems.append(f"{peak >> 20} MiB at the most")
    assert not problems, "\n      ".join(problems)
    model = json.loads(broker.http("/api/v1/status")[1])["governance"]["model"]
    assert (model["name"], model["version"]) == ("e2e", "1.1.0"), model
    client = env.connected(broker=broker)
    client.publish("e1/line-1/cell-1/temperature", b"1", qos=1, reason=0x99)
