"""What tests of the whole administration interface share: a broker with something of everything in it, the list of its
routes and of trunkctl's commands as they themselves tell them."""
import hashlib
import http.client
import importlib.machinery
import importlib.util
import json
import os
import subprocess

from access import write_private
from governed import write_model
from harness import ROOT, Broker, eventually

MODEL = """\
trunkline: 1
namespace: plant
version: 1.0.0
defaults: {mode: enforce, payload: any, unmodelled: observe}
types:
  cell:
    version: 1
    metrics:
      value: {}
    commands:
      start: {}
tree:
  plant:
    gmp:
      $regulated: true
      "{cell}": {$match: "cell-[0-9]+", $type: cell}
    free:
      "{cell}": {$match: "cell-[0-9]+", $type: cell}
    apart:
      $mode: quarantine
      cell-1: {$type: cell}
"""
ROLES = """\
trunkline: 1
clock: utc
users:
  anna: {roles: [all, everything]}
  otto: {roles: [all, everything]}
roles:
  all:
    description: every topic
    rules: [{allow: [publish, subscribe], topic: "#"}]
  everything:
    rules: [{allow: admin, actions: ["#"]}]
anonymous: [all]
"""
VALUE = "plant/free/cell-1/value"
TOKENS = {"anna": "token-of-anna", "otto": "token-of-otto"}


def plant(env, approval="regulated", **config):
    """A broker with tokens, users, a model, an audit trail, sessions, retained values and a quarantine."""
    folder = env.temporary()
    tokens = write_private(os.path.join(folder, "tokens"), "".join(
        f"{name}:{hashlib.sha256(token.encode()).hexdigest()}\n" for name, token in TOKENS.items()))
    roles = write_private(os.path.join(folder, "roles.yaml"), ROLES)
    broker = Broker(env.brokers.binary, environment=env.brokers.environment,
                    flags=("--model", write_model(MODEL, "plant.yaml", folder)))
    broker.choose_ports()
    broker.extra_config = {"admin": {"listen": f"127.0.0.1:{broker.admin_port}", "tokens_file": tokens,
                                     "metrics_without_token": False},
                           "authorizers": [{"roles": {"file": roles}}], "audit": {"approval": approval}, **config}
    env.own_brokers.append(broker)
    broker.folder_of_test = folder
    broker.start()
    fill(env, broker)
    return broker


def fill(env, broker):
    away = env.connected("away/1", broker=broker, props={"session_expiry_interval": 3600})
    away.subscribe("plant/free/#", "$share/g/other/#", qos=1)
    away.disconnect()
    broker.edge = env.connected("edge-1", broker=broker)
    broker.edge.subscribe("watched/#", qos=0)
    for number in range(3):
        publish(broker, "plant/free/cell-1/value", f"queued {number}", retain=True)
    for name in ("nonsense", "rubbish"):
        broker.edge.publish(f"plant/apart/cell-1/{name}", b"kept apart", qos=1)
    eventually(lambda: api(broker, "GET /api/v1/quarantine")["total"] == 2, 3, "the quarantine")
    eventually(lambda: VALUE in ask(broker, "GET", "/api/v1/namespace/find?q=cell-1")[2], 5, "a value to be found")
    eventually(lambda: api(broker, "GET /api/v1/violations")["violations"], 3, "what broke the model")


def publish(broker, topic, payload, retain=False):
    api(broker, "POST /api/v1/publish", {"topic": topic, "payload": payload, "qos": 1, "retain": retain})


def ask(broker, method, target, body=None, token="token-of-anna", headers=None):
    """(status, headers, text)"""
    connection = http.client.HTTPConnection("127.0.0.1", broker.admin_port, timeout=30)
    try:
        given = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, target, body=body, headers={**given, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode(errors="replace")
    finally:
        connection.close()


def check_problem(status, headers, text):
    """RFC 9457, and nothing of the program's inside."""
    assert headers.get("content-type") == "application/problem+json", (status, headers, text)
    problem = json.loads(text)
    assert problem["type"].startswith("urn:trunkline:problem:") and problem["status"] == status, problem
    assert problem["title"], problem
    for inside in ("std::", "exception", "terminate", "nlohmann", "boost", ".cpp", "basic_string", "what()"):
        assert inside not in text, text


def api(broker, route, body=None, code=200, token="token-of-anna"):
    """The JSON of an answer; one that is no success must be a problem document."""
    method, target = route.split(" ", 1)
    if body is not None and not isinstance(body, (str, bytes)):
        body = json.dumps(body)
    status, headers, text = ask(broker, method, target, body, token)
    assert status == code, f"{route}: {status} {text}"
    if code >= 300:
        check_problem(status, headers, text)
    return json.loads(text)


def stream(broker, target, wanted, provoke):
    """Reads server-sent events, calling `provoke` until one satisfies `wanted`; that one."""
    connection = http.client.HTTPConnection("127.0.0.1", broker.admin_port, timeout=5)
    try:
        connection.request("GET", target, headers={"Authorization": "Bearer token-of-anna"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.getheader("content-type") == "text/event-stream", answer.status
        assert answer.fp.readline().startswith(b":")
        provoke()
        while True:
            line = answer.fp.readline()
            assert line, "the stream ended"
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                if wanted(event):
                    return event
    finally:
        connection.close()


def program(broker, name="trunkctl"):
    beside = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), name)
    return beside if os.path.exists(beside) else os.path.join(ROOT, "build", "release", "bin", name)


def trunkctl(broker, *arguments, code=0, text=None, token="token-of-anna", environment=None):
    """What it says; it must end with `code`."""
    env = {**os.environ, "TRUNKLINE_TOKEN": token, "TRUNKLINE_SERVER": f"127.0.0.1:{broker.admin_port}",
           "XDG_CONFIG_HOME": os.path.join(broker.folder, "config"), **(environment or {})}
    done = subprocess.run([program(broker), *arguments], capture_output=True, text=True, timeout=60, check=False,
                          env=env, input=text)
    assert done.returncode == code, f"{arguments}: exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def change_config(broker, change):
    path = os.path.join(broker.folder, "trunkline.yaml")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    change(config)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


def openapi(broker):
    return json.loads(ask(broker, "GET", "/openapi.json")[2])


def routes(document):
    """"GET /api/v1/status" of every operation."""
    return [f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods]


def pages():
    """deploy/deb/pages, which reads commands from --help."""
    loader = importlib.machinery.SourceFileLoader("pages", os.path.join(ROOT, "deploy", "deb", "pages"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("pages", loader))
    loader.exec_module(module)
    return module


def commands(broker):
    """trunkctl's tree of commands as its --help tells it."""
    return pages().Command(program(broker))


def run_table(tests, broker):
    """Runs all tests of a table, and tells of each that fails."""
    wrong = []
    for name, test in tests.items():
        try:
            test(broker)
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(f"{name}: {type(error).__name__} {error}")
    assert not wrong, "\n".join(wrong)


def temporary(broker, name):
    return os.path.join(broker.folder_of_test, name)
