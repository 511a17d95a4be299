"""The administration interface and trunkctl against a real broker."""
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from harness import ROOT, eventually, mosquitto_differs
from mqttcodec import V311


def trunkctl(broker, *arguments, server=None, environment=None, code=0):
    """Standard output of trunkctl, which must end with `code`."""
    beside = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), "trunkctl")
    program = beside if os.path.exists(beside) else os.path.join(ROOT, "build", "release", "bin", "trunkctl")
    done = subprocess.run([program, "--server", server or f"127.0.0.1:{broker.admin_port}", *arguments],
                          capture_output=True, text=True, timeout=20, check=False,
                          env={**os.environ, **(environment or {})})
    assert done.returncode == code, f"{arguments}: exit {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


def api(broker, path, method="GET", body=None, code=200):
    status, text = broker.http(path, method, None if body is None else json.dumps(body).encode())
    assert status == code, f"{method} {path}: {status} {text}"
    return json.loads(text)


def ask(broker, path, headers):
    """Status, headers and body, with request headers of one's own."""
    connection = http.client.HTTPConnection("127.0.0.1", broker.admin_port, timeout=5)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def retained(broker, *topics):
    for topic in topics:
        message = {"topic": topic, "payload": f"at {topic}", "retain": True, "qos": 1}
        api(broker, "/api/v1/publish", "POST", message)
    for topic in topics:
        eventually(lambda topic=topic: broker.http(f"/api/v1/namespace/get?topic={topic}")[0] == 200, 3, topic)


@mosquitto_differs("has no admin interface")
def test_openapi_is_what_is_served(env):
    """Every path of the OpenAPI document answers with 200 or 400; errors are problem documents."""
    broker = env.own_broker()
    document = api(broker, "/openapi.json")
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        if "get" in methods and "watch" not in path and "{" not in path:
            status, text = broker.http(path)
            assert status in (200, 400), (path, status, text)
            if status == 400:
                assert json.loads(text)["type"].startswith("urn:trunkline:problem:")
    assert api(broker, "/api/v1/none", code=404)["status"] == 404
    assert api(broker, "/healthz", "POST", {}, code=405)["title"]
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_tree_and_retained(env):
    """What is published retained shows in tree, get and retained, page by page, and goes with retained rm."""
    broker = env.own_broker()
    topics = [f"plant/line-{line}/cell-{cell}/temperature" for line in range(3) for cell in range(4)]
    retained(broker, *topics)
    seen, cursor = [], ""
    while True:
        page = api(broker, f"/api/v1/namespace/tree?path=plant&depth=9&limit=4{cursor}")
        assert len(page["nodes"]) <= 4
        seen += [node["topic"] for node in page["nodes"]]
        if "cursor" not in page:
            break
        cursor = f"&cursor={page['cursor']}"
    assert [topic for topic in seen if topic.endswith("temperature")] == sorted(topics)
    assert len(seen) == len(set(seen)) == 3 + 12 + 12
    assert api(broker, f"/api/v1/namespace/get?topic={topics[0]}")["payload"] == f"at {topics[0]}"
    assert trunkctl(broker, "get", topics[1]).strip() == f"at {topics[1]}"
    assert "line-2" in trunkctl(broker, "tree", "plant", "-L", "1")
    lines = trunkctl(broker, "-o", "jsonl", "retained", "ls", "plant/line-1/#").splitlines()
    assert [json.loads(line)["topic"] for line in lines] == topics[4:8]
    assert "would remove 4" in trunkctl(broker, "retained", "rm", "--dry-run", "plant/line-1/#")
    trunkctl(broker, "retained", "rm", "plant/line-1/#")
    eventually(lambda: len(api(broker, "/api/v1/retained?filter=plant/%23")["messages"]) == 8, 3, "four are gone")
    trunkctl(broker, "get", topics[4], code=1)
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_watch(env):
    """A watch shows the retained value, then what comes; it leaves no client behind when its reader goes."""
    broker = env.own_broker()
    retained(broker, "watched/old")
    beside = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), "trunkctl")
    watching = subprocess.Popen(["timeout", "20", beside, "--server", f"127.0.0.1:{broker.admin_port}", "-o", "jsonl",
                                 "watch", "watched/#", "-n", "2"], stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(watching.stdout.readline())["topic"] == "watched/old"
        client = env.connected(broker=broker)
        client.publish("watched/new", b"\xff\x00", qos=1)
        message = json.loads(watching.stdout.readline())
        assert (message["topic"], message["payload"], message["encoding"]) == ("watched/new", "/wA=", "base64")
        assert watching.wait(5) == 0
    finally:
        watching.kill()
        watching.wait(5)
    eventually(lambda: len(api(broker, "/api/v1/clients")["clients"]) == 1, 3, "only the test's own client is left")
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_clients(env):
    """Clients are listed in order, page by page, and can be kicked with reason 0x98."""
    broker = env.own_broker()
    clients = {name: env.connected(name, broker=broker) for name in ("c/3", "a-1", "b 2")}
    page = api(broker, "/api/v1/clients?limit=2")
    assert [entry["client_id"] for entry in page["clients"]] == ["a-1", "b 2"] and page["cursor"] == "b 2"
    rest = api(broker, "/api/v1/clients?limit=2&cursor=b%202")
    assert [entry["client_id"] for entry in rest["clients"]] == ["c/3"] and "cursor" not in rest
    assert "c/3" in trunkctl(broker, "clients", "ls")
    assert json.loads(trunkctl(broker, "-o", "json", "clients", "show", "c/3"))["version"] == 5
    trunkctl(broker, "clients", "kick", "c/3")
    clients["c/3"].expect_disconnect(0x98)
    trunkctl(broker, "clients", "kick", "nobody", code=1)
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_tokens(env):
    """With a tokens file every /api/v1 route needs a token; probes do not; SIGHUP takes a changed file."""
    tokens = os.path.join(env.temporary(), "tokens")
    with open(tokens, "w", encoding="ascii") as file:
        file.write(f"ops:{hashlib.sha256(b'sesame').hexdigest()}\n")
    broker = env.own_broker()
    broker.stop()
    broker.extra_config["admin"] = {"listen": f"127.0.0.1:{broker.admin_port}", "tokens_file": tokens}
    broker.start()
    assert broker.http("/healthz")[0] == 200 and broker.http("/metrics")[0] == 200
    status, headers, text = ask(broker, "/api/v1/status", {})
    assert status == 401 and headers["WWW-Authenticate"] == "Bearer" and json.loads(text)["status"] == 401
    assert ask(broker, "/api/v1/status", {"Authorization": "Bearer wrong"})[0] == 401
    assert ask(broker, "/api/v1/status", {"Authorization": "Bearer sesame"})[0] == 200
    trunkctl(broker, "status", code=4)
    assert "healthy" in trunkctl(broker, "status", environment={"TRUNKLINE_TOKEN": "sesame"})
    with open(tokens, "w", encoding="ascii") as file:
        file.write(f"ops:{hashlib.sha256(b'another').hexdigest()}\n")
    broker.process.send_signal(signal.SIGHUP)
    eventually(lambda: ask(broker, "/api/v1/status", {"Authorization": "Bearer another"})[0] == 200, 3, "new token")
    assert ask(broker, "/api/v1/status", {"Authorization": "Bearer sesame"})[0] == 401
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_other_names_of_this_host(env):
    """Another site's name for 127.0.0.1 (DNS rebinding) is not served."""
    broker = env.own_broker()
    assert ask(broker, "/api/v1/status", {"Host": "evil.example"})[0] == 403
    assert ask(broker, "/api/v1/status", {"Host": f"localhost:{broker.admin_port}"})[0] == 200
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_over_a_unix_socket(env):
    """Administration can live on a socket file that only the broker's user may open; it goes when the broker stops."""
    path = os.path.join(env.temporary(), "admin.sock")
    broker = env.own_broker()
    broker.stop()
    process = subprocess.Popen([broker.binary, "--data", broker.data, "--listen", "mqtt://127.0.0.1:0", "--admin",
                                f"unix:{path}"], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: os.path.exists(path), 5, "the socket")
        eventually(lambda: "healthy" in trunkctl(broker, "status", server=f"unix:{path}"), 5, "status")
        assert os.stat(path).st_mode & 0o777 == 0o600   # once it answers: until then the umask may rule
        process.terminate()
        assert process.wait(10) == 0 and not os.path.exists(path)
    finally:
        process.kill()
        process.wait(5)


@mosquitto_differs("has no admin interface")
def test_reload_keeps_the_old_configuration_when_the_new_is_wrong(env):
    """SIGHUP with a wrong file: logged with its place, metrics say so, everything goes on; mended, all is well."""
    broker = env.own_broker()
    path = os.path.join(broker.folder, "trunkline.yaml")
    shutil.copy(path, path + ".good")

    def reload_success(value):
        return lambda: f"\ntrunkline_config_last_reload_success {value}\n" in broker.http("/metrics")[1]
    with open(path, "w", encoding="ascii") as file:
        file.write("lisenters: []\n")
    broker.process.send_signal(signal.SIGHUP)
    eventually(reload_success(0), 3, "the reload failed")
    eventually(lambda: any("trunkline.yaml:1:1" in line and "listeners" in line for line in broker.stderr), 3,
               "the log names the place")
    shutil.move(path + ".good", path)
    broker.process.send_signal(signal.SIGHUP)
    eventually(reload_success(1), 3, "the reload worked")
    env.still_serves(broker)
    broker.stop()


@mosquitto_differs("has no supervisor protocol")
def test_supervisor_hears_of_start_and_stop(env):
    """$NOTIFY_SOCKET gets READY=1 when clients are served, WATCHDOG=1 in time, STOPPING=1 at the end."""
    path = os.path.join(env.temporary(), "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        supervisor.settimeout(5)
        broker = env.own_broker(environment={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"})
        assert supervisor.recv(100) == b"READY=1"
        started = time.monotonic()
        assert supervisor.recv(100) == supervisor.recv(100) == b"WATCHDOG=1"
        assert time.monotonic() - started < 1
        broker.stop()
        last = b""
        while last != b"STOPPING=1":
            last = supervisor.recv(100)



@mosquitto_differs("has no admin interface")
def test_drain(env):
    """[MQTT-3.14.4-1] [MQTT-3.2.2-7] a drain sends v5 clients away with 0x9C (0x9D when moved) and the reference,
    closes 3.1.1 clients, refuses new ones the same way, and makes the broker not ready, until it ends; sessions
    stay."""
    broker = env.own_broker()
    keep = {"session_expiry_interval": 60}
    five, old = env.connected("five", broker=broker, props=keep), env.connected(version=V311, broker=broker)
    five.subscribe("kept", qos=1)
    answer = api(broker, "/api/v1/drain", "POST", {"server_reference": "other.example:1883"})
    assert answer == {"draining": True, "server_reference": "other.example:1883", "moved": False, "disconnected": 2}
    found = five.expect_disconnect(0x9C)
    assert found.props["server_reference"] == "other.example:1883", found
    old.expect_close()
    status, text = broker.http("/readyz")
    assert status == 503 and "drained" in text, (status, text)
    assert api(broker, "/api/v1/status")["drain"]["server_reference"] == "other.example:1883"
    refused = env.client(broker=broker)
    connack = refused.connect("late", reason=0x9C)
    assert connack.props["server_reference"] == "other.example:1883", connack
    refused.expect_close()
    env.client(V311, broker=broker).connect("late", reason=3)
    assert "sent to [::1]:1884" in trunkctl(broker, "drain", "[::1]:1884", "--moved")
    connack = env.client(broker=broker).connect("late", reason=0x9D)
    assert connack.props["server_reference"] == "[::1]:1884", connack
    for wrong in ({"server_reference": 1}, {"server_reference": "\n"}, {"moved": "yes"}, {"server": "x"}):
        api(broker, "/api/v1/drain", "POST", wrong, 400)
    trunkctl(broker, "drain", code=2)
    trunkctl(broker, "drain", "--end")
    assert broker.http("/readyz")[0] == 200
    api(broker, "/api/v1/publish", "POST", {"topic": "kept", "payload": "while away", "qos": 1})
    five = env.client(broker=broker)
    assert five.connect("five", clean=False, props=keep).session_present
    five.message(payload=b"while away")
    assert not api(broker, "/api/v1/drain", "DELETE")["draining"]
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_alarms_and_totals_of_what_is_durable(env):
    """A disk below disk_warn_percent is an alarm in log, status and metrics, and the broker stays ready; sessions that
    are away and what waits for them are counted, also after a restart."""
    broker = env.own_broker(limits={"disk_warn_percent": 100})

    def shows(*lines):
        eventually(lambda: all(f"\ntrunkline_{line}\n" in broker.http("/metrics")[1] for line in lines), 5, lines)
    shows('alarms{alarm="disk"} 1', 'alarms{alarm="memory"} 0', "draining 0")
    assert api(broker, "/readyz") == {"status": "ready", "alarms": ["disk"]}
    assert api(broker, "/api/v1/status")["alarms"] == ["disk"]
    shown = trunkctl(broker, "status")
    assert "the disk of" in shown and "fix: free some or grow it" in shown, shown
    assert len([line for line in broker.stderr if '"alarm"' in line and "free" in line]) == 1, broker.tail()
    client = env.connected("away", broker=broker, props={"session_expiry_interval": 60})
    client.subscribe("queued", qos=1)
    client.disconnect()
    publisher = env.connected(broker=broker)
    for number in range(3):
        publisher.publish("queued", str(number), qos=1)
    publisher.disconnect()
    counted = ('sessions{state="offline"} 1', 'queued_messages{kind="durable"} 3')
    shows(*counted)
    broker.stop()
    broker.start()
    shows(*counted)
    client = env.client(broker=broker)
    client.connect("away", clean=False, props={"session_expiry_interval": 0})
    client.take(3)
    client.disconnect()
    shows('sessions{state="offline"} 0', 'queued_messages{kind="durable"} 0')
    broker.stop()
