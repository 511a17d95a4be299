"""What a client may do: roles on every publish, subscription and delivery, over each transport, in 3.1.1 and 5.0."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import access
import mqttcodec as codec
from access import secret
from harness import eventually, mosquitto_differs, versions
from mqttcodec import CONNACK, PUBACK, PUBREC, V311, V5, Will
from test_authentication import guarded

OTHER = "mosquitto has no roles"
NOT_AUTHORIZED = 0x87
TRANSPORTS = ("mqtt", "mqtts", "ws", "wss", "unix")
USERS = ("edge", "viewer", "boss", "own", "a+b", "a#b", "a/b")
RULES = """
  edge: {rules: [{allow: publish, topic: "plant/#"}, {deny: publish, topic: plant/locked}]}
  viewer:
    rules:
      - {allow: subscribe, topic: "plant/#"}
      - {deny: receive, topic: "plant/secret/#"}
  boss: {rules: [{allow: [publish, subscribe], topic: "#"}]}
  own: {rules: [{allow: [publish, subscribe], topic: "own/%u/#"}, {allow: publish, topic: "id/%c"}]}
"""


def roles(rules=RULES, users=USERS):
    known = ("edge", "viewer", "boss", "own")
    lines = ["trunkline: 1", "clock: utc", "users:"]
    for user in users:
        role = user if user in known else "own"
        has = f", roles: [{role}]" if f"\n  {role}:" in rules else ""
        lines.append(f'  "{user}": {{password: "{PASSWORDS[user]}"{has}}}')
    return "\n".join(lines) + "\nroles:" + (rules or " {}\n")


PASSWORDS = {user: access.argon2(secret(user)) for user in USERS}


def plant(env, **kwargs):
    kwargs.setdefault("roles", roles())
    return guarded(env, authenticators=["password"], **kwargs)


def join(env, broker, user, version=V5, listener="mqtt", **kwargs):
    name = kwargs.pop("client_id", None) or env.id(f"{user.translate(str.maketrans('+#/', 'xxx'))}{next(env.names)}")
    return env.connected(name, version, listener, broker, username=user, password=secret(user), **kwargs)


def reload(broker, text):
    access.write_private(broker.roles, text)
    broker.process.send_signal(signal.SIGHUP)


def trunkctl(broker, *arguments):
    """(exit code, standard output) of trunkctl beside the broker."""
    binary = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), "trunkctl")
    done = subprocess.run([binary, "--server", f"http://127.0.0.1:{broker.admin_port}", *arguments], text=True,
                          capture_output=True, timeout=20, check=False)
    return done.returncode, done.stdout + done.stderr


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_same_verdicts_on_every_transport(env, version):
    """Publishes at each QoS, retained, plain and shared subscriptions, wildcards, wills: the same over each transport.
    [MQTT-3.8.4-6]"""
    broker = plant(env, listeners=TRANSPORTS)
    for number, listener in enumerate(TRANSPORTS):
        viewer = join(env, broker, "viewer", version, listener)
        refused = NOT_AUTHORIZED if version == V5 else 0x80
        viewer.subscribe("plant/#", "$share/g/plant/t/+", "#", "$share/g/#", "$SYS/#", "+/a", qos=1,
                         codes=[1, 1, refused, refused, refused, refused])
        viewer.unsubscribe("$share/g/plant/t/+")
        edge = join(env, broker, "edge", version, listener)
        no = NOT_AUTHORIZED if version == V5 else 0
        for qos in (1, 2):
            edge.publish("plant/locked", b"no", qos=qos, reason=no)
            edge.publish("plant/locked", b"no", qos=qos, reason=no, retain=True)
            edge.publish("office", b"no", qos=qos, reason=no)
            edge.publish("plant/secret/a", b"secret", qos=qos)
        edge.publish("plant/locked", b"no", qos=0)
        edge.publish("plant/a", f"yes {number}".encode(), qos=1)
        assert viewer.message().payload == f"yes {number}".encode()
        viewer.expect_nothing(0.1)
        client = env.client(version, listener, broker)
        client.send_connect(env.id(f"w{number}"), username="edge", password=secret("edge"),
                            will=Will("plant/locked", b"gone"))
        client.expect(CONNACK, reason=NOT_AUTHORIZED if version == V5 else 5)
    broker.stop()


@mosquitto_differs(OTHER)
def test_refusal_is_explained(env):
    """[MQTT-3.4.2-2] The Reason String and the user properties name the rule, its file and line."""
    broker = plant(env)
    edge = join(env, broker, "edge")
    for qos, kind in ((1, PUBACK), (2, PUBREC)):
        number = edge.packet_id()
        edge.send(codec.publish("plant/locked", b"", version=V5, qos=qos, packet_id=number))
        found = edge.expect(kind, packet_id=number, reason=NOT_AUTHORIZED)
        told = dict(found.props["user_property"])
        assert told["uns-rule"] == "TL-1102", told
        assert told["uns-at"].startswith(broker.roles + ":"), told
        assert told["uns-at"] in found.props["reason_string"], found
    quiet = join(env, broker, "edge", props={"request_problem_information": 0})
    quiet.publish("plant/locked", b"", qos=1, reason=NOT_AUTHORIZED)
    text = broker.http("/metrics")[1]
    assert 'trunkline_authz_decisions_total{action="publish",result="deny"} 3\n' in text, text
    code, shown = trunkctl(broker, "explain", "--client", "x", "--user", "edge", "-t", "plant/locked", "-m", "1")
    assert code == 1 and "deny publish plant/locked" in shown and "roles.yaml:" in shown, shown
    code, shown = trunkctl(broker, "explain", "--client", "x", "--user", "edge", "-t", "plant/ok", "-m", "1")
    assert code == 0 and "allow publish plant/#" in shown and "roles: edge" in shown, shown


@mosquitto_differs(OTHER)
def test_names_do_not_widen_rules(env):
    """A user or client identifier with + # or / stands for itself and opens no other branch."""
    broker = plant(env)
    own = join(env, broker, "own", client_id="own-id")
    own.publish("own/own/x", b"1", qos=1)
    own.publish("id/own-id", b"1", qos=1)
    own.publish("id/other", b"1", qos=1, reason=NOT_AUTHORIZED)
    own.subscribe("own/own/#", "own/+/x", "own/#", qos=1, codes=[1, NOT_AUTHORIZED, NOT_AUTHORIZED])
    for user in ("a+b", "a#b", "a/b"):
        client = join(env, broker, user, client_id=f"c-{user}")
        for topic in ("own/own/x", "own/a/b/x", "own/a/x", "own/ab/x"):
            client.publish(topic, b"1", qos=1, reason=NOT_AUTHORIZED)
        client.subscribe("own/+/x", "own/a/#", "own/#", qos=1, codes=[NOT_AUTHORIZED] * 3)
        client.publish("id/c-a/b", b"1", qos=1, reason=NOT_AUTHORIZED)


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_role_change_on_live_sessions(env, version):
    """A reload holds for live sessions within a second: publishes, deliveries, subscriptions, wills, and a QoS 2
    exchange that had begun ends without bringing more. Others go on; a broken file changes nothing."""
    broker = plant(env)
    boss = join(env, broker, "boss")
    boss.subscribe("plant/#", qos=1)
    viewer = join(env, broker, "viewer", version)
    viewer.subscribe("plant/#", qos=1)
    edge = join(env, broker, "edge", version, will=Will("plant/will", b"gone", qos=1))
    number = edge.packet_id()
    edge.send(codec.publish("plant/begun", b"begun", version=version, qos=2, packet_id=number))
    edge.expect(PUBREC, packet_id=number)
    assert viewer.message().payload == b"begun"
    assert boss.message().payload == b"begun"
    started = time.monotonic()
    reload(broker, roles(RULES.replace('{allow: publish, topic: "plant/#"}', '{allow: publish, topic: plant/other}')
                         .replace('{allow: subscribe, topic: "plant/#"}', '{allow: receive, topic: "#"}')))
    eventually(lambda: any("roles_loaded" in line for line in broker.stderr[-20:]), 2, "the reload")
    time.sleep(max(0.0, 1 - (time.monotonic() - started)))
    edge.send(codec.ack(codec.PUBREL, number))
    edge.wait_for(codec.PUBCOMP, packet_id=number)
    edge.publish("plant/a", b"denied", qos=1, reason=NOT_AUTHORIZED if version == V5 else 0)
    boss.publish("plant/b", b"boss", qos=1)
    assert boss.message().payload == b"boss"
    viewer.expect_nothing(0.2)
    edge.drop()
    boss.expect_nothing(0.3)
    before = len(broker.stderr)
    reload(broker, "trunkline: 1\nroles: [broken\n")
    eventually(lambda: any("roles_refused" in line for line in broker.stderr[before:]), 2, "the refusal")
    boss.publish("plant/c", b"still", qos=1)
    assert boss.message().payload == b"still"
    reload(broker, roles())
    eventually(lambda: sum("roles_loaded" in line for line in broker.stderr) == 3, 2, "the next reload")
    time.sleep(0.5)
    boss.publish("plant/d", b"again", qos=1)
    assert boss.message().payload == b"again"
    assert viewer.message().payload == b"again"


@mosquitto_differs(OTHER)
def test_queue_of_a_session_that_resumes(env):
    """What was queued for an absent session is judged when it returns: what it may not have is gone, the rest comes;
    a retained message that it may not have does not."""
    broker = plant(env)
    boss = join(env, broker, "boss")
    boss.publish("plant/secret/r", b"retained secret", qos=1, retain=True)
    boss.publish("plant/r", b"retained", qos=1, retain=True)
    name = env.id("resumed")
    viewer = join(env, broker, "viewer", client_id=name, props={"session_expiry_interval": 600})
    viewer.subscribe("plant/#", qos=2)
    assert viewer.message().payload == b"retained"
    viewer.drop()
    for number in range(200):
        boss.publish("plant/x" if number % 2 else "plant/y", str(number).encode(), qos=1 + number % 2)
    reload(broker, roles(RULES.replace("plant/secret/#", "plant/x")))
    eventually(lambda: sum("roles_loaded" in line for line in broker.stderr) == 2, 2, "the reload")
    viewer = join(env, broker, "viewer", client_id=name, clean=False, props={"session_expiry_interval": 600})
    assert viewer.connack.session_present
    assert [found.payload for found in viewer.take(100)] == [str(n).encode() for n in range(0, 200, 2)]
    boss.publish("plant/y", b"last", qos=1)
    assert viewer.message().payload == b"last"
    eventually(lambda: 'trunkline_queued_messages{kind="durable"} 0\n' in broker.http("/metrics")[1], 5, "empty queue")


@mosquitto_differs(OTHER)
def test_will_after_the_session_left(env):
    """A will that is sent long after its connection ended, also after a restart, is judged by the roles of then."""
    stays = {"session_expiry_interval": 600}
    for revoked in (False, True):
        broker = plant(env)
        boss = join(env, broker, "boss", client_id="boss", props=stays)
        boss.subscribe("plant/#", qos=1)
        boss.drop()
        edge = join(env, broker, "edge", props=stays,
                    will=Will("plant/will", b"gone", qos=1, props={"will_delay_interval": 2}))
        edge.drop()
        time.sleep(0.2)
        broker.stop()
        if revoked:
            access.write_private(broker.roles, roles(RULES.replace('{allow: publish, topic: "plant/#"}, ', "")))
        broker.start()
        boss = join(env, broker, "boss", client_id="boss", props=stays, clean=False)
        if revoked:
            eventually(lambda at=broker: any("will_refused" in line for line in at.stderr), 10, "the will is refused")
            boss.expect_nothing(0.5)
        else:
            assert boss.message(timeout=10).payload == b"gone"


@mosquitto_differs(OTHER)
def test_users_by_trunkctl(env):
    """users add, passwd, rm change the file and nothing else in it, hold at once, and print no password."""
    broker = plant(env)
    with open(broker.roles, encoding="utf-8") as file:
        before = file.read()
    password_file = access.write_private(os.path.join(env.temporary(), "password"), "a first secret\n")
    code, shown = trunkctl(broker, "users", "add", "new", "--role", "boss", "--password-file", password_file)
    assert code == 0 and "secret" not in shown, shown
    client = env.connected(env.id("new"), broker=broker, username="new", password=b"a first secret")
    client.publish("anything", b"", qos=1)
    access.write_private(password_file, "another secret\n")
    code, shown = trunkctl(broker, "users", "passwd", "new", "--password-file", password_file)
    assert code == 0, shown
    env.connected(env.id("new2"), broker=broker, username="new", password=b"another secret")
    refused = env.client(broker=broker)
    refused.send_connect(env.id("new3"), username="new", password=b"a first secret")
    refused.expect(CONNACK, reason=0x86)
    assert os.stat(broker.roles).st_mode & 0o777 == 0o600
    code, shown = trunkctl(broker, "-o", "json", "users", "ls")
    listed = {user["name"]: user for user in json.loads(shown)}
    assert listed["new"]["roles"] == ["boss"] and "argon2" not in shown, shown
    code, shown = trunkctl(broker, "access", "who-can", "publish", "plant/locked")
    assert code == 0 and "new" in shown and "boss" in shown and "edge" not in shown, shown
    assert trunkctl(broker, "access", "test", "--user", "edge", "publish", "plant/a")[0] == 0
    code, shown = trunkctl(broker, "access", "test", "--user", "edge", "publish", "plant/locked")
    assert code == 1 and "deny publish plant/locked" in shown, shown
    code, shown = trunkctl(broker, "roles", "show", "edge")
    assert code == 0 and "allow publish plant/#" in shown, shown
    assert trunkctl(broker, "users", "rm", "new")[0] == 0
    with open(broker.roles, encoding="utf-8") as file:
        assert file.read() == before
    code, _ = trunkctl(broker, "users", "rm", "new")
    assert code == 1
    code, shown = trunkctl(broker, "audit", "search", "--action", "user.change", "-o", "jsonl")
    changes = [(record["object"], record["reason"].split(":")[0]) for record in map(json.loads, shown.splitlines())]
    assert changes == [("new", "added"), ("new", "password changed"), ("new", "removed")], shown
    text = "\n".join(broker.stderr) + broker.http("/metrics")[1] + broker.http("/api/v1/config")[1]
    assert "first secret" not in text and "another secret" not in text


@mosquitto_differs(OTHER)
def test_role_change_under_load(env):
    """While two publishers go on, one loses its right within a second; the other loses nothing and nobody is cut."""
    broker = plant(env)
    boss = join(env, broker, "boss")
    boss.subscribe("plant/keep", qos=1)
    keep = join(env, broker, "boss")
    edge = join(env, broker, "edge")
    changed, first_denied, stop = [], [], threading.Event()

    def by_hand():
        while not stop.is_set() and not first_denied:
            number = edge.packet_id()
            edge.send(codec.publish("plant/a", b"x", version=V5, qos=1, packet_id=number))
            if edge.wait_for(PUBACK, packet_id=number).reason == NOT_AUTHORIZED:
                first_denied.append(time.monotonic())

    worker = threading.Thread(target=by_hand)
    worker.start()
    sent = 0
    for number in range(300):
        if number == 100:
            reload(broker, roles(RULES.replace('{allow: publish, topic: "plant/#"}, ', "")))
            changed.append(time.monotonic())
        keep.publish("plant/keep", str(number).encode(), qos=1)
        sent += 1
        time.sleep(0.005)
    stop.set()
    worker.join(10)
    assert first_denied and first_denied[0] - changed[0] < 1.2, (changed, first_denied)
    assert [found.payload for found in boss.take(sent)] == [str(n).encode() for n in range(sent)]
    edge.ping()


@mosquitto_differs(OTHER)
def test_example_plugin_decides(env):
    """The example plugin, built from auth/plugin.h alone, denies by its own rule what the roles allow; the answer,
    explain and the metrics say so. With its principal it does not; without any roles nobody's opinion denies."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    folder = env.temporary()
    sources = shutil.copytree(os.path.join(root, "deploy", "examples", "plugin"), os.path.join(folder, "plugin"))
    subprocess.run(["make", "-s", "-C", sources, f"TRUNKLINE={root}"], check=True)
    built = os.path.join(sources, "maintenance_window.so")
    path = access.write_private(os.path.join(folder, "roles.yaml"), roles())
    plugin = {"plugin": {"file": built, "config": {"prefix": "plant/commands/", "principal": "edge"}}}
    for authorizers in ([{"roles": {"file": path}}, plugin], [plugin, {"roles": {"file": path}}]):
        broker = env.own_broker(extra_config={"authenticators": ["password"], "authorizers": authorizers})
        boss = join(env, broker, "boss")
        for _ in range(2):   # asked, and from what is kept
            found = boss.publish("plant/commands/stop", b"", qos=1, reason=NOT_AUTHORIZED)
            assert dict(found.props["user_property"])["uns-rule"] == "TL-1103", found
            assert "commands wait for the maintenance window" in found.props["reason_string"], found
        boss.publish("plant/a", b"", qos=1)
        edge = join(env, broker, "edge")
        edge.publish("plant/commands/stop", b"", qos=1)
        edge.publish("plant/locked", b"", qos=1, reason=NOT_AUTHORIZED)
        code, shown = trunkctl(broker, "explain", "--client", "x", "--user", "boss", "-t", "plant/commands/stop",
                               "-m", "")
        assert code == 1 and "commands wait for the maintenance window" in shown, shown
        text = broker.http("/metrics")[1]
        assert 'trunkline_authz_decisions_total{action="publish",result="deny"} 3\n' in text, text
        broker.stop()
    broker = env.own_broker(extra_config={"authorizers": [plugin]})
    nobody = env.connected(broker=broker)
    nobody.publish("plant/a", b"", qos=1, reason=NOT_AUTHORIZED)
