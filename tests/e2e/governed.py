"""A namespace model for tests, brokers that hold it, and what a publisher is told when it breaks it.

The first level of a topic is the test's own (Env.topic), so tests share brokers: the profiles `governed` (a refusal is
acknowledged to 3.1.1 clients) and `strict` (it ends their connection).
"""
import atexit
import dataclasses
import os
import shutil
import tempfile

import harness
import mqttcodec as codec

MODEL = """\
trunkline: 1
namespace: e2e
version: 1.0.0
defaults: {mode: enforce, payload: reading, unmodelled: reject, v3_reject: ack}
naming: {unique_ignoring_case: true}
types:
  cell:
    version: 1
    metrics:
      temperature: {type: number, unit: Cel, min: -20, max: 120}
      state: {type: string, enum: [idle, running, held]}
    events:
      batch: {}
    commands:
      target-rate: {type: number, min: 0, max: 100, writers: ["client:scada-*"]}
tree:
  "{test}":
    $match: "e[0-9]+"
    line-1:
      cell-1: {$type: cell}
      "{cell}": {$match: "cell-[0-9]+", $type: cell}
    kept-apart:
      $mode: quarantine
      cell-1: {$type: cell}
    watched:
      $mode: observe
      cell-1: {$type: cell}
    few:
      $quota: {topics: 2}
      "{cell}": {$match: "cell-[0-9]+", $type: cell}
    slow:
      $quota: {rate: 5/s}
      cell-1: {$type: cell}
    narrow:
      $quota: {bytes: 1 KiB/s}
      cell-1: {$type: cell}
  moved:
    $aliases: [{path: old/hall}, {path: older/hall, until: 2020-01-01}]
    cell-1: {$type: cell}
exempt: ["free/#"]
"""
_folder = tempfile.mkdtemp(prefix="trunkline-e2e-models-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)


def write_model(text, name="model.yaml", folder=None):
    """The path of a file with this model."""
    path = os.path.join(folder or _folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


PATH = write_model(MODEL, "governed.yaml")
STRICT_PATH = write_model(MODEL.replace("v3_reject: ack", "v3_reject: disconnect"), "strict.yaml")
harness.PROFILES["governed"] = {"listeners": ("mqtt",), "flags": ("--model", PATH)}
harness.PROFILES["strict"] = {"listeners": ("mqtt",), "flags": ("--model", STRICT_PATH)}
NO_MODELS = "has no namespace model"


def reading(value="20", **more):
    """The payload of a metric; `value` as JSON text."""
    rest = "".join(f',"{name}":{text}' for name, text in more.items())
    return f'{{"value":{value},"timestamp":1700000000000{rest}}}'.encode()


@dataclasses.dataclass
class Row:
    """A publish that breaks the model, and what its publisher is told."""
    name: str
    tail: str                    # of the topic
    payload: bytes
    reason: int                  # MQTT 5 reason code
    rule: str
    text: str                    # {test}: the test's level
    at: str = ""
    expected: str = ""           # a part of it
    fix: str = ""                # a part of it
    retain: bool = False
    client: str = "n"            # how the client id begins

    def filled(self, env, text):
        return text.replace("{test}", env.unique)


TEMPERATURE = "line-1/cell-1/temperature"
ROWS = [
    Row("not a writer", "line-1/cell-1/target-rate", reading(), 0x87, "TL-1201",
        "the model does not name this client among the writers of this command", expected="client:scada-*",
        fix="publish as one of the writers"),
    Row("not in the namespace", "lime-1/cell-1/temperature", reading(), 0x90, "TL-2101",
        'level 2 "lime-1" is not in the namespace under "{test}"', "level 2", "line-1", "{test}/" + TEMPERATURE),
    Row("a name of the wrong form", "line-1/cell_7/temperature", reading(), 0x90, "TL-2102",
        'level 3 "cell_7" is no name that may stand under "{test}/line-1"', "level 3", "cell-[0-9]+",
        "{test}/line-1/cell-7/temperature"),
    Row("case", "Line-1/cell-1/temperature", reading(), 0x90, "TL-2103",
        'level 2 "Line-1" differs only in case from "line-1"', "level 2", "line-1", "{test}/" + TEMPERATURE),
    Row("unknown member", "line-1/cell-1/temprature", reading(), 0x90, "TL-2106",
        'level 4 "temprature" is no member of "{test}/line-1/cell-1", a cell@1', "level 4", "temperature",
        "{test}/" + TEMPERATURE),
    Row("a string in a number", TEMPERATURE, reading('"20"'), 0x99, "TL-3101", 'value "20" is a string, not a number',
        "/value", "a number from -20 to 120 Cel", "send the number without quotes: 20"),
    Row("range", TEMPERATURE, reading("131.4"), 0x99, "TL-3102", "value 131.4 is above max 120 Cel", "/value",
        "a number from -20 to 120 Cel", "at most 120 Cel"),
    Row("not an allowed value", "line-1/cell-1/state", reading('"Running"'), 0x99, "TL-3103",
        'value "Running" is not an allowed value', "/value", "one of idle, running or held", 'send "running"'),
    Row("unit", TEMPERATURE, reading(unit='"[degF]"'), 0x99, "TL-3303", 'unit "[degF]" differs from "Cel"', "/unit",
        'unit "Cel"', "convert the value to Cel"),
    Row("RETAIN on an event", "line-1/cell-1/batch", b'{"batch":1}', 0x83, "TL-4101",
        "RETAIN on an event: an event is no state", expected="RETAIN 0", fix="publish without RETAIN", retain=True),
    Row("RETAIN on a command", "line-1/cell-1/target-rate", reading(), 0x83, "TL-4102",
        "RETAIN on a command: who connects later would be commanded again", expected="RETAIN 0",
        fix="publish without RETAIN", retain=True, client="scada-"),
]


def check_explained(env, row, props, reason_only=False):
    """Asserts the Reason String and the user properties of an answer, given as mqttcodec has them."""
    users = props.get("user_property", [])
    told = dict(users)
    assert len(told) == len(users), f"{row.name}: a user property appears twice: {users}"
    if reason_only:
        assert "reason_string" not in props and not told, f"{row.name}: {props}"
        return
    assert props.get("reason_string") == f"{row.rule} {row.filled(env, row.text)}", f"{row.name}: {props}"
    assert told.get("uns-rule") == row.rule, f"{row.name}: {told}"
    assert told.get("uns-at", "") == row.at, f"{row.name}: {told}"
    assert row.expected and row.expected in told.get("uns-expected", ""), f"{row.name}: {told}"
    assert row.fix and row.filled(env, row.fix) in told.get("uns-fix", ""), f"{row.name}: {told}"


def watcher(env, broker=None, *filters):
    """A client that sees every message of the test."""
    client = env.connected(broker=broker)
    client.subscribe(*(filters or (env.topic("#"),)), qos=2)
    return client


def saw_nothing_before(watch, publisher, topic, payload=None):
    """Publishes a message that the model takes: it is the first that the watcher sees."""
    payload = payload or reading("19")
    publisher.publish(topic, payload, qos=1)
    found = watch.wait_for(codec.PUBLISH)
    watch.acknowledge(found)
    assert (found.topic, found.payload) == (topic, payload), f"something came through: {found}"
