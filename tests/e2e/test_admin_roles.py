"""Administration by roles: who asks over TCP and the Unix socket, which routes that somebody may use, what it sees."""
import base64
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

import access
import governed
from access import secret
from harness import ROOT, eventually, mosquitto_differs
from test_admin import trunkctl
from test_authentication import guarded

OTHER = "mosquitto has no administration"
KEPT = "kept-apart/cell-1/temperature"   # of governed.MODEL: what breaks it is quarantined
ROLES = """
  viewer:
    rules:
      - {allow: admin, actions: [namespace/read, status/read]}
      - {allow: subscribe, topic: "plant/a/#"}
      - {deny: receive, topic: plant/a/secret}
  operator:
    rules:
      - {allow: admin, actions: ["namespace/#", retained/delete, clients/read, audit/read]}
      - {deny: admin, actions: [audit/read]}
      - {allow: [publish, subscribe], topic: "plant/a/#"}
  boss: {rules: [{allow: admin, actions: ["#"]}, {allow: [publish, subscribe], topic: "#"}]}
"""
USERS = ("viewer", "operator", "boss")
HASHES = {user: access.argon2(secret(user)) for user in USERS}


def roles(rules=ROLES, extra=""):
    lines = ["trunkline: 1", "clock: utc", "users:"]
    lines += [f'  {user}: {{password: "{HASHES[user]}", roles: [{user}]}}' for user in USERS]
    return "\n".join(lines) + "\n" + extra + "roles:" + rules


def plant(env, **kwargs):
    return guarded(env, authenticators=["password"], roles=kwargs.pop("roles", roles()), **kwargs)


def as_user(user, password=None):
    login = f"{user}:{secret(user) if password is None else password}"
    return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def ask(broker, path, headers, method="GET", body=None, sock=None):
    """Status, headers and JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", broker.admin_port, timeout=15)
    if sock:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(15)
        connection.sock.connect(sock)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        is_json = "json" in answer.getheader("Content-Type", "") and "\n{" not in text
        return answer.status, dict(answer.getheaders()), json.loads(text) if is_json else text
    finally:
        connection.close()


def refused(answer, *words):
    status, _, document = answer
    assert status == 403 and document["type"] == "urn:trunkline:problem:forbidden", answer
    for word in words:
        assert word in json.dumps(document), (word, document)


def reload(broker, text):
    access.write_private(broker.roles, text)
    broker.process.send_signal(signal.SIGHUP)


def retained(broker, *topics):
    for topic in topics:
        body = {"topic": topic, "payload": f"at {topic}", "retain": True, "qos": 1}
        status, _, found = ask(broker, "/api/v1/publish", as_user("boss"), "POST", body)
        assert status == 200, found


def quoted(text):
    return urllib.parse.quote(text, safe="")


class Watching:
    """A watch over HTTP; its events are read line by line."""

    def __init__(self, broker, filter_, headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", broker.admin_port, timeout=5)
        self.connection.request("GET", f"/api/v1/namespace/watch?filter={quoted(filter_)}", headers=headers)
        self.answer = self.connection.getresponse()

    def event(self):
        """(name, data) of the next event; None at the end."""
        name = "message"
        while line := self.answer.readline():
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            if line.startswith("data: "):
                return name, json.loads(line[6:])
        return None

    def close(self):
        self.connection.close()


@mosquitto_differs(OTHER)
def test_routes_by_role(env):
    """Every route of the interface: nobody gets 401, who lacks the permission 403 with the rule, who has it neither."""
    broker = plant(env)
    _, _, document = ask(broker, "/openapi.json", {})
    sets = {"viewer": {"namespace/read", "status/read"},
            "operator": {"namespace/read", "namespace/publish", "retained/delete", "clients/read"}}
    seen = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            permission = operation.get("x-permission")
            if permission in (None, "metrics/read"):
                assert ask(broker, path, {})[0] == 200, path
                continue
            seen.add(permission)
            target = path.replace("{id}", "1").replace("{n}", "1").replace("{name}", "x").replace("{sequence}", "0")
            status, headers, found = ask(broker, target, {}, method.upper())
            assert status == 401 and found["fix"] and "Basic" in headers["WWW-Authenticate"], (path, found)
            for user, allowed in sets.items():
                answer = ask(broker, target, as_user(user), method.upper())
                if permission in allowed:
                    assert answer[0] not in (401, 403), (user, path, answer)
                else:
                    refused(answer, permission, user)
    assert len(seen) > 15, seen
    refused(ask(broker, "/api/v1/audit", as_user("operator")), "roles.yaml:", "deny admin audit/read")
    assert ask(broker, "/api/v1/status", as_user("boss"))[0] == 200
    broker.stop()


@mosquitto_differs(OTHER)
def test_login_over_http(env):
    """Passwords of the roles file: wrong ones, unknown and disabled users are refused alike and are slowed down; no
    secret shows anywhere; a page of another site changes nothing."""
    broker = plant(env, roles=roles(extra=f'  gone: {{password: "{access.argon2(secret("gone"))}", disabled: true}}\n'),
                   flags=("--log-level", "debug"))
    texts = set()
    for headers in (as_user("boss", secret("wrong")), as_user("nobody", secret("wrong")), as_user("boss", "")):
        status, _, found = ask(broker, "/api/v1/status", headers)
        assert status == 401, found
        texts.add(json.dumps(found))
    assert len(texts) == 1 and "wrong" in texts.pop()
    assert ask(broker, "/api/v1/status", as_user("gone"))[0] == 401
    for headers in ({"Authorization": "Bearer " + secret("token")}, {"Authorization": "Basic ???"},
                    {"Authorization": "Negotiate abc"}):
        assert ask(broker, "/api/v1/status", headers)[0] == 401
    assert ask(broker, "/api/v1/drain", {**as_user("boss"), "Origin": "http://evil.example"}, "DELETE")[0] == 403
    assert ask(broker, "/api/v1/status", as_user("boss"))[0] == 200
    for _ in range(8):
        ask(broker, "/api/v1/status", as_user("boss", secret("guess")))
    started = time.monotonic()
    assert ask(broker, "/api/v1/status", as_user("viewer", secret("guess")))[0] == 401
    assert time.monotonic() - started > 0.2
    seen = "".join(str(ask(broker, path, as_user("boss"))[2]) for path in
                   ("/metrics", "/api/v1/config", "/api/v1/users", "/api/v1/audit", "/api/v1/status"))
    broker.stop()
    seen += "\n".join(broker.stderr)
    for text in (access.ALPHABET_FREE, "$argon2", as_user("boss")["Authorization"].split()[1]):
        assert text not in seen, text
    for root, _, files in os.walk(broker.data):
        for name in files:
            with open(os.path.join(root, name), "rb") as file:
                assert access.ALPHABET_FREE.encode() not in file.read(), name


@mosquitto_differs(OTHER)
def test_what_is_seen(env):
    """tree, get, find, retained and watch show what the user may receive; publishing and removing is judged as the
    user."""
    broker = plant(env)
    retained(broker, "plant/a/x", "plant/a/secret", "plant/b/y", "office/z")
    viewer, operator = as_user("viewer"), as_user("operator")

    def get(topic, headers=viewer):
        return ask(broker, f"/api/v1/namespace/get?topic={topic}", headers)

    eventually(lambda: get("office/z", as_user("boss"))[0] == 200, 3, "all is there")
    assert get("plant/a/x")[2]["payload"] == "at plant/a/x"
    refused(get("plant/a/secret"), "deny receive plant/a/secret", "roles.yaml:")
    refused(get("office/z"), "no rule of viewer")
    refused(ask(broker, "/api/v1/namespace/meta?topic=plant/b", viewer))
    nodes = ask(broker, "/api/v1/namespace/tree?depth=9", viewer)[2]["nodes"]
    assert [node["topic"] for node in nodes] == ["plant", "plant/a", "plant/a/x"], nodes
    assert "value" in nodes[2] and set(nodes[0]) == {"topic", "name", "has_children"}, nodes
    eventually(lambda: ask(broker, "/api/v1/namespace/find?q=plant", as_user("boss"))[2]["matched"] >= 3, 3, "learned")
    found = ask(broker, "/api/v1/namespace/find?q=plant", viewer)[2]
    assert [one["topic"] for one in found["topics"]] == ["plant/a/x"] and found["matched"] == 1, found
    found = ask(broker, "/api/v1/retained", viewer)[2]
    assert [one["topic"] for one in found["messages"]] == ["plant/a/x"], found
    missing = get("plant/a/zz")
    assert missing[0] == 404 and "secret" not in json.dumps(missing[2]) and "office" not in json.dumps(missing[2])
    refused(ask(broker, "/api/v1/namespace/watch?filter=" + quoted("plant/#"), viewer), "subscribe")
    watching = Watching(broker, "plant/a/#", viewer)
    assert watching.event()[1]["topic"] == "plant/a/x"
    retained(broker, "plant/a/secret", "plant/a/new")
    assert watching.event()[1]["topic"] == "plant/a/new"
    watching.close()
    refused(ask(broker, "/api/v1/publish", viewer, "POST", {"topic": "plant/a/x", "payload": "1"}), "namespace/publish")
    assert ask(broker, "/api/v1/publish", operator, "POST", {"topic": "plant/a/x", "payload": "1"})[0] == 200
    status, _, found = ask(broker, "/api/v1/publish", operator, "POST", {"topic": "plant/b/y", "payload": "1"})
    assert status == 403 and "TL-1101" in found["detail"], found
    found = ask(broker, "/api/v1/retained?filter=" + quoted("#"), operator, "DELETE")[2]
    assert found["not_allowed"] == 2, found
    assert sorted(found["topics"]) == ["plant/a/new", "plant/a/secret", "plant/a/x"], found
    eventually(lambda: len(ask(broker, "/api/v1/retained", as_user("boss"))[2]["messages"]) == 2, 3, "the others stay")
    broker.stop()


@mosquitto_differs(OTHER)
def test_quarantine_and_violations_of_ones_own(env):
    """Who is in charge of a branch sees what broke the model there, replays and drops it, and finds nothing of others,
    by number neither."""
    rules = """
  viewer:
    rules:
      - {allow: admin, actions: ["quarantine/#"]}
      - {allow: receive, topic: "e1/#"}
  operator: {rules: [{allow: admin, actions: ["quarantine/#"]}]}
  boss: {rules: [{allow: admin, actions: ["#"]}, {allow: [publish, subscribe], topic: "#"}]}
"""
    broker = plant(env, roles=roles(rules), flags=("--model", governed.PATH))
    client = env.client(broker=broker)
    client.connect(env.id(), username="boss", password=secret("boss"))
    for branch in ("e1", "e2", "e1"):
        client.publish(f"{branch}/{KEPT}", governed.reading("131.4"), qos=1)
    viewer, operator, boss = as_user("viewer"), as_user("operator"), as_user("boss")

    def topics(user, route, key):
        status, _, page = ask(broker, f"/api/v1/{route}", user)
        assert status == 200, page
        return [one["topic"] for one in page[key]]
    eventually(lambda: len(topics(boss, "quarantine", "messages")) == 3, 3, "three are kept")
    one, other = f"e1/{KEPT}", f"e2/{KEPT}"
    assert topics(viewer, "quarantine", "messages") == [one, one] and topics(operator, "quarantine", "messages") == []
    assert sorted(set(topics(boss, "violations", "violations"))) == [one, other]
    assert set(topics(viewer, "violations", "violations")) == {one}
    assert topics(operator, "violations", "violations") == []
    ids = [one["id"] for one in ask(broker, "/api/v1/quarantine", boss)[2]["messages"]]
    for number, status in zip(ids, (200, 404, 200)):
        assert ask(broker, f"/api/v1/quarantine/{number}", viewer)[0] == status, number
    for method, tail in (("POST", "/replay"), ("DELETE", "")):
        assert ask(broker, f"/api/v1/quarantine/{ids[1]}{tail}", viewer, method)[0] == 404
        assert ask(broker, f"/api/v1/quarantine/{ids[0]}{tail}", operator, method)[0] == 404
    found = ask(broker, "/api/v1/quarantine?filter=" + quoted("#"), operator, "DELETE")[2]
    assert found["dropped"] == found["matched"] == 0 and found["topics"] == [], found
    found = ask(broker, "/api/v1/quarantine?filter=" + quoted("#"), viewer, "DELETE")[2]
    assert found["dropped"] == 2 and found["topics"] == [one, one], found
    assert topics(boss, "quarantine", "messages") == [other]


@mosquitto_differs(OTHER)
def test_change_takes_effect(env):
    """A role that changes holds for running connections within a second: a watch loses a topic, its subscription, its
    permission, its user."""
    broker = plant(env)
    retained(broker, "plant/a/x")
    viewer = as_user("viewer")
    kept = Watching(broker, "plant/a/#", as_user("boss"))
    assert kept.event()[1]["topic"] == "plant/a/x"
    for change in (ROLES.replace('{allow: subscribe, topic: "plant/a/#"}', "{allow: subscribe, topic: plant/b}"),
                   ROLES.replace("namespace/read, status/read", "status/read"), None):
        reload(broker, roles())
        eventually(lambda: ask(broker, "/api/v1/namespace/get?topic=plant/a/x", viewer)[0] == 200, 3, "allowed again")
        watching = Watching(broker, "plant/a/#", viewer)
        assert watching.event()[1]["topic"] == "plant/a/x"
        text = roles(change) if change else roles().replace("roles: [viewer]}", "roles: [viewer], disabled: true}")
        access.write_private(broker.roles, text)
        started = time.monotonic()
        broker.process.send_signal(signal.SIGHUP)
        name, data = watching.event()
        took = time.monotonic() - started
        assert name == "end" and data["reason"] and took < 1.0, (name, data, took)
        assert watching.event() is None
    reload(broker, roles())
    eventually(lambda: ask(broker, "/api/v1/namespace/get?topic=plant/a/x", viewer)[0] == 200, 3, "allowed again")
    watching = Watching(broker, "plant/a/#", viewer)
    assert watching.event()[1]["topic"] == "plant/a/x"
    reload(broker, roles(ROLES.replace("topic: plant/a/secret", 'topic: "plant/a/+"')))
    eventually(lambda: ask(broker, "/api/v1/namespace/get?topic=plant/a/x", viewer)[0] == 403, 1, "denied now")
    time.sleep(1)   # so long a subscription may take to notice
    retained(broker, "plant/a/last", "plant/a/b/c")
    assert watching.event()[1]["topic"] == "plant/a/b/c"   # a delivery is denied, the subscription is not
    watching.close()
    assert [kept.event()[1]["topic"] for _ in range(2)] == ["plant/a/last", "plant/a/b/c"]   # nobody else was cut
    kept.close()
    broker.stop()


@mosquitto_differs(OTHER)
def test_actor_and_denials_are_audited(env):
    """The actor of a change is the user; a denial names who, how it was known, what, and the rule."""
    broker = plant(env)
    files = {}
    for user in USERS:
        files[user] = access.write_private(os.path.join(env.temporary(), user), secret(user) + "\n")

    def by(user, *arguments, code=0):
        return trunkctl(broker, "--login", user, "--login-password-file", files[user], *arguments, code=code)

    by("boss", "--reason", "test", "drain", "--end")
    said = by("viewer", "drain", "--end", code=4)
    assert "broker/drain" in said and "no rule of viewer" in said and "fix:" in said, said
    said = by("operator", "audit", "tail", code=4)
    assert "roles.yaml:" in said and "deny admin audit/read" in said, said
    said = trunkctl(broker, "status", code=4)
    assert "--login" in said, said
    environment = {"TRUNKLINE_LOGIN": "viewer", "TRUNKLINE_PASSWORD_FILE": files["viewer"]}
    assert "healthy" in trunkctl(broker, "status", environment=environment)

    def records(action):
        return ask(broker, f"/api/v1/audit?action={action}", as_user("boss"))[2]["records"]

    drained = records("drain.end")
    assert [(one["actor"], one["method"], one["reason"]) for one in drained] == [("boss", "password", "test")], drained
    eventually(lambda: len(records("denial")) == 3, 5, "all denials are in the trail")
    assert [one["actor"] for one in records("denial")] == ["viewer", "operator", ""]
    denials = json.dumps(records("denial"))
    for text in ("broker/drain", "no rule of viewer", "/api/v1/drain", "audit/read", "/api/v1/status"):
        assert text in denials, (text, denials)
    broker.stop()


@mosquitto_differs(OTHER)
def test_tokens_with_users_and_roles(env):
    """A token is a user, or has roles of its own, or everything; one whose user is gone is nothing."""
    broker = plant(env, start=False)
    lines = {"full": "", "of-viewer": " user=viewer", "lookout": " roles=viewer", "lost": " user=nobody",
             "boss": " roles=viewer"}
    tokens = access.write_private(os.path.join(env.temporary(), "tokens"), "".join(
        f"{name}:{hashlib.sha256(secret(name).encode()).hexdigest()}{rights}\n" for name, rights in lines.items()))
    broker.choose_ports()
    broker.extra_config["admin"] = {"listen": f"127.0.0.1:{broker.admin_port}", "tokens_file": tokens}
    broker.start()
    bearer = {name: {"Authorization": "Bearer " + secret(name)} for name in lines}
    for name, status, config in (("full", 200, 200), ("of-viewer", 200, 403), ("lookout", 200, 403),
                                 ("lost", 401, 401), ("boss", 401, 401)):
        assert ask(broker, "/api/v1/status", bearer[name])[0] == status, name
        assert ask(broker, "/api/v1/config", bearer[name])[0] == config, name
    refused(ask(broker, "/api/v1/namespace/get?topic=plant/b", bearer["lookout"]), "lookout", "receive plant/b")
    assert ask(broker, "/api/v1/status", as_user("viewer"))[0] == 200
    token_file = access.write_private(os.path.join(env.temporary(), "t"), secret("of-viewer"))
    trunkctl(broker, "status", environment={"TRUNKLINE_TOKEN_FILE": token_file})
    trunkctl(broker, "clients", "ls", environment={"TRUNKLINE_TOKEN_FILE": token_file}, code=4)
    watching = Watching(broker, "plant/a/#", bearer["lookout"])
    access.write_private(tokens, open(tokens, encoding="ascii").read().replace("lookout", "renamed"))
    broker.process.send_signal(signal.SIGHUP)
    assert watching.event()[0] == "end"
    broker.stop()


@mosquitto_differs(OTHER)
def test_unix_socket_knows_its_peers(env):
    """On the Unix socket root and the broker's own user have everything, who is mapped is that user, others nothing."""
    folder = env.temporary()
    os.chmod(folder, 0o755)
    path = os.path.join(folder, "admin.sock")
    broker = plant(env, start=False)
    broker.extra_config["admin"] = {"listen": f"unix:{path}", "unix_users": {"nobody": "viewer", "4242": "gone"}}
    broker.choose_ports()
    broker.launch()
    try:
        eventually(lambda: any("trunkline: ready" in line for line in broker.stderr), 15, "ready")
        assert os.stat(path).st_mode & 0o777 == 0o666
        assert ask(broker, "/api/v1/config", {}, sock=path)[0] == 200
        body = {"topic": "plant/b/y", "payload": "by root", "retain": True, "qos": 1}
        assert ask(broker, "/api/v1/publish", {}, "POST", body, sock=path)[0] == 200
        assert ask(broker, "/api/v1/config", as_user("viewer"), sock=path)[0] == 403   # who says who that is, is it
        assert ask(broker, "/api/v1/config", as_user("viewer", "x"), sock=path)[0] == 401
        tail = ask(broker, "/api/v1/audit?action=publish", {}, sock=path)[2]["records"]
        assert tail and tail[-1]["method"] == "unix", tail
        if os.geteuid() != 0 or not shutil.which("setpriv"):
            return   # only root can be somebody else

        def other(uid, target):
            """Status and body, asked by somebody else of this machine."""
            program = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
                       "s.sendall(('GET '+sys.argv[2]+' HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n').encode()); "
                       "print(b''.join(iter(lambda: s.recv(65536), b'')).decode())")
            done = subprocess.run(["setpriv", f"--reuid={uid}", "--clear-groups", "/usr/bin/python3", "-c", program,
                                   path, target], capture_output=True, text=True, timeout=20, check=False)
            assert done.returncode == 0, done.stderr
            return int(done.stdout.split()[1]), done.stdout

        assert other("nobody", "/api/v1/status")[0] == 200
        status, text = other("nobody", "/api/v1/config")
        assert status == 403 and "config/read" in text and "viewer" in text, text
        assert other("4242", "/api/v1/status")[0] == 401           # the roles file has no such user
        status, text = other("4243", "/api/v1/status")
        assert status == 401 and "4243" in text and "unix_users" in text, text
        assert other("4243", "/healthz")[0] == 200
    finally:
        broker.kill()


@mosquitto_differs(OTHER)
def test_broken_roles_file_guards(env):
    """A roles file that was never good leaves nobody in by loopback; a good one without rules about administration does
    not guard it."""
    broker = plant(env, roles="trunkline: 1\nroles: [\n")
    assert ask(broker, "/api/v1/status", {})[0] == 401
    assert ask(broker, "/readyz", {})[0] == 200
    reload(broker, "trunkline: 1\nroles: {r: {rules: [{allow: publish, topic: a}]}}\n")
    eventually(lambda: ask(broker, "/api/v1/status", {})[0] == 200, 3, "nothing says who may administrate")
    reload(broker, roles())
    eventually(lambda: ask(broker, "/api/v1/status", {})[0] == 401, 3, "guarded again")
    broker.stop()


@mosquitto_differs(OTHER)
def test_plugins_are_asked_too(env):
    """Where a plugin has no opinion, roles decide; its deny holds here as anywhere."""
    sources = os.path.join(env.temporary(), "plugin")
    shutil.copytree(os.path.join(ROOT, "deploy", "examples", "plugin"), sources)
    subprocess.run(["make", "-s", "-C", sources, f"TRUNKLINE={ROOT}"], check=True)
    broker = plant(env, start=False)
    broker.extra_config["authorizers"].append({"plugin": {"file": os.path.join(sources, "maintenance_window.so"),
                                                          "config": {"prefix": "plant/a/b/", "principal": "x"}}})
    broker.start()
    retained(broker, "plant/a/x", "office/z")
    viewer, operator = as_user("viewer"), as_user("operator")
    assert ask(broker, "/api/v1/status", viewer)[0] == 200
    refused(ask(broker, "/api/v1/config", viewer), "no rule of viewer")
    nodes = ask(broker, "/api/v1/namespace/tree?depth=9", viewer)[2]["nodes"]
    assert [node["topic"] for node in nodes] == ["plant", "plant/a", "plant/a/x"], nodes
    watching = Watching(broker, "plant/a/#", viewer)
    assert watching.event()[1]["topic"] == "plant/a/x"
    watching.close()
    assert ask(broker, "/api/v1/publish", operator, "POST", {"topic": "plant/a/y", "payload": "1"})[0] == 200
    status, _, found = ask(broker, "/api/v1/publish", operator, "POST", {"topic": "plant/a/b/c", "payload": "1"})
    assert status == 403 and "TL-1103" in found["detail"], found
    broker.stop()
