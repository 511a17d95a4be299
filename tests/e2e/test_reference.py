"""Every route of /openapi.json and every command of `trunkctl --help` has a test here; a new one without fails."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

from access import write_private
from governed import write_model
from harness import eventually, mosquitto_differs
from reference import (MODEL, api, ask, check_problem, commands, openapi, pages, plant, program, publish, routes, stream,
                       temporary, trunkctl)

NOTHING_LIKE_IT = "has no admin interface"
OPEN = {"GET /healthz", "GET /readyz", "GET /openapi.json"}
VALUE = "plant/free/cell-1/value"
ROUTES, COMMANDS = {}, {}


def route(name):
    """Marks the test of a route; they run in the order in which they stand here, on one broker."""
    def mark(function):
        assert name not in ROUTES, name
        ROUTES[name] = function
        return function
    return mark


def command(name):
    """The same of a command of trunkctl."""
    def mark(function):
        assert name not in COMMANDS, name
        COMMANDS[name] = function
        return function
    return mark


def answers(name, check, target="", body=None, code=200):
    """A route whose answer needs one look."""
    method, path = name.split(" ", 1)

    def test(broker):
        found = api(broker, f"{method} {target or path}", body, code)
        assert check(found), (name, found)
    route(name)(test)


def says(name, *arguments, text="", code=0):
    """A command whose words need one look."""
    def test(broker):
        shown = trunkctl(broker, *name.split(), *arguments, code=code)
        assert text in shown, (name, text, shown)
    command(name)(test)


# ---------------------------------------------------------------- routes

answers("GET /healthz", lambda a: a["status"] == "ok")
answers("GET /readyz", lambda a: a["status"] == "ready")
answers("GET /openapi.json", lambda a: a["openapi"] == "3.1.0")
answers("GET /api/v1/status", lambda a: a["healthy"] and isinstance(a["advice"], list))
answers("GET /api/v1/config", lambda a: a["limits"] and a["listeners"])
answers("GET /api/v1/namespace/tree", lambda a: any(node["topic"] == "plant" for node in a["nodes"]))
answers("GET /api/v1/namespace/get", lambda a: a["payload"] == "queued 2", f"/api/v1/namespace/get?topic={VALUE}")
answers("GET /api/v1/namespace/find", lambda a: VALUE in json.dumps(a), "/api/v1/namespace/find?q=cell-1")
answers("GET /api/v1/namespace/meta", lambda a: a, f"/api/v1/namespace/meta?topic={VALUE}")
answers("GET /api/v1/clients", lambda a: "edge-1" in [one["client_id"] for one in a["clients"]])
answers("GET /api/v1/clients/{id}", lambda a: a["version"] == 5, "/api/v1/clients/edge-1")
answers("GET /api/v1/retained", lambda a: a["messages"][0]["topic"] == VALUE)
answers("GET /api/v1/violations", lambda a: a["violations"][0]["rule"] == "TL-2106")
answers("GET /api/v1/model", lambda a: a["version"] == "1.0.0")
answers("GET /api/v1/model/versions", lambda a: [one["version"] for one in a["versions"]] == ["1.0.0"])
answers("GET /api/v1/model/versions/{n}", lambda a: "regulated" in a["yaml"], "/api/v1/model/versions/1.0.0")
answers("POST /api/v1/model/plan", lambda a: a, body=MODEL.replace("1.0.0", "1.1.0"))
answers("POST /api/v1/model/learn", lambda a: a, body={"name": "learned"})
answers("GET /api/v1/model/drift", lambda a: a)
answers("GET /api/v1/model/sheet", lambda a: a["topics"], "/api/v1/model/sheet?asset=plant/free/cell-1")
answers("POST /api/v1/explain", lambda a: a["outcome"] == "quarantine",
        body={"topic": "plant/apart/cell-1/nonsense", "payload": "1", "client_id": "edge-1"})
answers("GET /api/v1/users", lambda a: [one["name"] for one in a["users"]] == ["anna", "otto"])
answers("GET /api/v1/roles", lambda a: [one["name"] for one in a["roles"]] == ["all", "everything"])
answers("GET /api/v1/roles/{name}", lambda a: a["rules"][0]["text"], "/api/v1/roles/all")
answers("POST /api/v1/access/test", lambda a: a["allowed"], body={"action": "publish", "topic": "x", "user": "anna"})
answers("GET /api/v1/access/who-can", lambda a: a["users"][0]["user"] == "anna",
        "/api/v1/access/who-can?action=publish&topic=x")
answers("GET /api/v1/audit", lambda a: a["records"])
answers("GET /api/v1/audit/tail", lambda a: a["records"])
answers("GET /api/v1/audit/status", lambda a: a)
answers("POST /api/v1/audit/verify", lambda a: a)
answers("POST /api/v1/audit/checkpoint", lambda a: a)
answers("GET /api/v1/audit/prove/{sequence}", lambda a: a, "/api/v1/audit/prove/0")
answers("POST /api/v1/drain", lambda a: a["draining"], body={"server_reference": "other:1883"})
answers("DELETE /api/v1/drain", lambda a: not a["draining"])


@route("GET /metrics")
def metrics(broker):
    status, headers, text = ask(broker, "GET", "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain") and "trunkline_ready 1" in text


@route("POST /api/v1/publish")
def published(broker):
    assert api(broker, "POST /api/v1/publish", {"topic": "office/x", "payload": "1"})["accepted"]
    assert "payload" in api(broker, "POST /api/v1/publish", {"topic": "x", "payload": 1}, 400)["detail"]


@route("GET /api/v1/namespace/watch")
def watch(broker):
    stream(broker, "/api/v1/namespace/watch?filter=office/%23", lambda event: event["payload"] == "seen",
           lambda: publish(broker, "office/seen", "seen"))
    api(broker, "GET /api/v1/namespace/watch?filter=a/%23/b", code=400)


def connected_again(broker):
    """The client that the drain has sent away."""
    client = broker.env.connected("edge-1", broker=broker)
    client.subscribe("watched/#", qos=1)
    return client


@route("GET /api/v1/trace")
def trace(broker):
    client = connected_again(broker)
    event = stream(broker, "/api/v1/trace?client=edge-1", lambda e: e.get("packet") == "PUBLISH",
                   lambda: client.publish("out", b"traced", qos=1))
    assert event["direction"] == "in" and event["payload"] == "traced" and event["topic"] == "out", event
    api(broker, "GET /api/v1/trace", code=400)
    api(broker, "DELETE /api/v1/clients/edge-1")


@route("DELETE /api/v1/clients/{id}")
def kick(broker):
    client = connected_again(broker)
    assert api(broker, "DELETE /api/v1/clients/edge-1")["kicked"]
    client.expect_disconnect(0x98)
    api(broker, "DELETE /api/v1/clients/edge-1", code=404)


@route("GET /api/v1/sessions")
def sessions(broker):
    connected_again(broker)
    found = {one["client_id"]: one for one in api(broker, "GET /api/v1/sessions")["sessions"]}
    assert found["away/1"]["state"] == "offline" and found["away/1"]["queued_messages"] == 3, found
    assert found["away/1"]["expires_at_ms"] > time.time() * 1000 and found["away/1"]["subscriptions"] == 2, found
    assert found["edge-1"]["state"] == "connected" and not found["edge-1"]["durable"], found
    only = api(broker, "GET /api/v1/sessions?state=offline")["sessions"]
    assert [one["client_id"] for one in only] == ["away/1"], only
    api(broker, "GET /api/v1/sessions?state=asleep", code=400)


@route("GET /api/v1/sessions/{id}")
def session(broker):
    found = api(broker, "GET /api/v1/sessions/away/1")
    assert [one["filter"] for one in found["filters"]] == ["$share/g/other/#", "plant/free/#"], found
    assert api(broker, "GET /api/v1/sessions/edge-1")["filters"][0]["filter"] == "watched/#"
    api(broker, "GET /api/v1/sessions/nobody", code=404)


@route("GET /api/v1/subscriptions")
def subscriptions(broker):
    def listed(query=""):
        return [(one["client_id"], one["filter"], one["connected"])
                for one in api(broker, f"GET /api/v1/subscriptions{query}")["subscriptions"]]
    away = [("away/1", "$share/g/other/#", False), ("away/1", "plant/free/#", False)]
    assert listed() == away + [("edge-1", "watched/#", True)]
    assert listed("?client=away/1") == away
    assert listed(f"?topic={VALUE}") == away[1:] and listed("?filter=other/%23") == away[:1]
    seen, cursor = [], ""
    while True:
        page = api(broker, f"GET /api/v1/subscriptions?limit=1{cursor}")
        assert len(page["subscriptions"]) == 1
        seen += [one["filter"] for one in page["subscriptions"]]
        if "cursor" not in page:
            break
        cursor = "&cursor=" + page["cursor"].replace("#", "%23")
    assert seen == [filter for _, filter, _ in listed()], seen
    api(broker, "GET /api/v1/subscriptions?cursor=x", code=400)
    api(broker, "GET /api/v1/subscriptions?topic=a/%23", code=400)


@route("DELETE /api/v1/sessions/{id}")
def session_removed(broker):
    assert api(broker, "DELETE /api/v1/sessions/away/1?dry_run=true")["queued_messages"] == 3
    assert api(broker, "DELETE /api/v1/sessions/away/1")["removed"]
    api(broker, "DELETE /api/v1/sessions/away/1", code=404)
    assert api(broker, "DELETE /api/v1/sessions/edge-1")["removed"]


@route("DELETE /api/v1/retained")
def retained_removed(broker):
    assert api(broker, "DELETE /api/v1/retained?filter=plant/%23&dry_run=true")["matched"] == 1
    assert api(broker, "DELETE /api/v1/retained?filter=plant/%23")["removed"] == 1


def quarantined(broker):
    return [one["id"] for one in api(broker, "GET /api/v1/quarantine")["messages"]]


@route("GET /api/v1/quarantine")
def quarantine(broker):
    page = api(broker, "GET /api/v1/quarantine?limit=1")
    assert len(page["messages"]) == 1 and page["total"] == 2 and page["cursor"], page


@route("GET /api/v1/quarantine/{id}")
def quarantine_one(broker):
    assert api(broker, f"GET /api/v1/quarantine/{quarantined(broker)[0]}")["payload"] == "kept apart"


@route("POST /api/v1/quarantine/{id}/replay")
def quarantine_replay(broker):
    assert api(broker, f"POST /api/v1/quarantine/{quarantined(broker)[0]}/replay", {"reason": "x"}, 422)["detail"]


@route("DELETE /api/v1/quarantine/{id}")
def quarantine_drop(broker):
    assert api(broker, f"DELETE /api/v1/quarantine/{quarantined(broker)[0]}?reason=x")["dropped"]
    api(broker, "DELETE /api/v1/quarantine/77", code=404)


@route("DELETE /api/v1/quarantine")
def quarantine_drop_all(broker):
    assert api(broker, "DELETE /api/v1/quarantine?filter=%23")["dropped"] == 1


def regulated_model(broker, version, owner):
    text = MODEL.replace("1.0.0", version).replace("$regulated: true", f"$regulated: true\n      $owner: {owner}")
    return api(broker, "PUT /api/v1/model", {"yaml": text, "reason": "test"}, 202)["pending"]


@route("PUT /api/v1/model")
def model_put(broker):
    text = MODEL.replace("1.0.0", "1.0.1").replace("    free:\n", "    free:\n      $owner: ot@plant.example\n")
    assert api(broker, "PUT /api/v1/model?dry_run=true", text)["version"] == "1.0.1"
    assert api(broker, "PUT /api/v1/model", text)["version"] == "1.0.1"
    assert api(broker, "PUT /api/v1/model", "trunkline: 1\nnonsense: 2\n", 422)["detail"]


@route("GET /api/v1/model/pending")
def model_pending(broker):
    number = regulated_model(broker, "1.1.0", "qa@plant.example")
    assert [one["id"] for one in api(broker, "GET /api/v1/model/pending")["pending"]] == [number]


@route("POST /api/v1/model/pending/{id}/approve")
def model_approve(broker):
    number = api(broker, "GET /api/v1/model/pending")["pending"][0]["id"]
    api(broker, f"POST /api/v1/model/pending/{number}/approve", {}, 403)
    api(broker, f"POST /api/v1/model/pending/{number}/approve", {"reason": "seen"}, token="token-of-otto")
    assert api(broker, "GET /api/v1/model")["version"] == "1.1.0"


@route("DELETE /api/v1/model/pending/{id}")
def model_withdraw(broker):
    number = regulated_model(broker, "1.2.0", "other@plant.example")
    api(broker, f"DELETE /api/v1/model/pending/{number}")
    api(broker, f"DELETE /api/v1/model/pending/{number}", code=404)


@route("POST /api/v1/model/rollback")
def model_rollback(broker):
    api(broker, "POST /api/v1/model/rollback", {"version": "9.9.9"}, 404)
    assert api(broker, "POST /api/v1/model/rollback", {"version": "1.0.1", "reason": "x"}, 202)["pending"]


@route("POST /api/v1/users")
def user_added(broker):
    assert api(broker, "POST /api/v1/users", {"name": "new", "password": "long enough 1", "roles": ["all"]})
    assert "new" in [one["name"] for one in api(broker, "GET /api/v1/users")["users"]]
    page = api(broker, "GET /api/v1/users?limit=2")
    assert api(broker, f"GET /api/v1/users?cursor={page['cursor']}")["users"][0]["name"] == "new", page
    api(broker, "GET /api/v1/users?cursor=nobody", code=400)


@route("POST /api/v1/users/password")
def user_password(broker):
    assert api(broker, "POST /api/v1/users/password", {"name": "new", "password": "another one 2"})
    api(broker, "POST /api/v1/users/password", {"name": "nobody", "password": "another one 2"}, 404)


@route("DELETE /api/v1/users/{name}")
def user_removed(broker):
    assert api(broker, "DELETE /api/v1/users/new")
    api(broker, "DELETE /api/v1/users/new", code=404)


@route("POST /api/v1/audit/prove")
def audit_prove(broker):
    facts = {"time": "2026-01-01T00:00:00.000000000Z", "monotonic_ns": 1, "principal": "x", "client_id": "x",
             "topic": "plant/gmp/cell-1/value", "payload_sha256": "0" * 64}
    api(broker, "POST /api/v1/audit/prove", facts, 404)
    api(broker, "POST /api/v1/audit/prove", {"time": "never"}, 400)


@route("GET /api/v1/audit/export")
def audit_export(broker):
    status, _, text = ask(broker, "GET", "/api/v1/audit/export?reason=test")
    assert status == 200 and json.loads(text.splitlines()[0]), text


@route("POST /api/v1/audit/witness")
def audit_witness(broker):
    status, headers, text = ask(broker, "POST", "/api/v1/audit/witness", "no checkpoint")
    assert status == 400, (status, text)
    check_problem(status, headers, text)


@route("POST /api/v1/audit/rotate-key")
def audit_rotate(broker):
    assert api(broker, "POST /api/v1/audit/rotate-key", {"reason": "yearly"})


@route("POST /api/v1/backup")
def backup_begun(broker):
    assert api(broker, "POST /api/v1/backup", {}, 202)["id"]


@route("GET /api/v1/backup")
def backup_state(broker):
    eventually(lambda: api(broker, "GET /api/v1/backup")["state"] == "ready", 10, "the backup")
    broker.backup = "/api/v1/backup/" + api(broker, "GET /api/v1/backup")["id"]


@route("GET /api/v1/backup/{id}/manifest")
def backup_manifest(broker):
    assert ask(broker, "GET", broker.backup + "/manifest")[0] == 200
    api(broker, "GET /api/v1/backup/none/manifest", code=404)


@route("GET /api/v1/backup/{id}/file")
def backup_file(broker):
    assert ask(broker, "GET", broker.backup + "/file?name=store/mark.1")[0] == 200
    api(broker, f"GET {broker.backup}/file?name=../../etc/passwd", code=404)


@route("DELETE /api/v1/backup/{id}")
def backup_released(broker):
    assert api(broker, f"DELETE {broker.backup}")["released"]


@route("POST /api/v1/config/check")
def config_check(broker):
    own = api(broker, "POST /api/v1/config/check")
    assert own["ok"] and own["file"].endswith("trunkline.yaml") and own["needs_restart"] == [], own
    bad = api(broker, "POST /api/v1/config/check?file=new.yaml", "node: a\nlisenters: []\nworkers: many\n")
    assert not bad["ok"] and [one["place"] for one in bad["problems"]] == ["new.yaml:2:1", "new.yaml:3:10"], bad
    assert "listeners" in bad["problems"][0]["fix"] and bad["problems"][0]["rule"] == "TL-9002", bad


def change_config(broker, change):
    path = os.path.join(broker.folder, "trunkline.yaml")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    change(config)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)


@route("POST /api/v1/config/reload")
def config_reload(broker):
    change_config(broker, lambda config: config.update(log={"level": "debug"}, sys_interval=5))
    done = api(broker, "POST /api/v1/config/reload", {"reason": "look closer"})
    assert done["ok"] and done["changed"] == ["log.level"] and done["needs_restart"] == ["sys_interval"], done
    assert any(file.endswith("roles.yaml") for file in done["read_again"]), done
    assert api(broker, "GET /api/v1/config")["log"]["level"] == "debug"
    change_config(broker, lambda config: config.update(nonsense=1))
    refused = api(broker, "POST /api/v1/config/reload", code=422)
    assert refused["problems"][0]["rule"] == "TL-9002" and "nonsense" in refused["detail"], refused
    assert "config" in [one["name"] for one in api(broker, "GET /api/v1/status")["advice"]]
    change_config(broker, lambda config: config.pop("nonsense"))
    assert api(broker, "POST /api/v1/config/reload")["changed"] == []
    eventually(lambda: any(record["reason"] == "look closer" for record in
                           api(broker, "GET /api/v1/audit?action=config.change")["records"]), 3, "the record of it")


@mosquitto_differs(NOTHING_LIKE_IT)
def test_every_route_is_tested(env):
    """The routes of /openapi.json are those that are tested here, and each does what it is for."""
    broker = plant(env)
    broker.env = env
    served = routes(openapi(broker))
    assert sorted(served) == sorted(ROUTES), set(served) ^ set(ROUTES)
    for name, test in ROUTES.items():
        try:
            test(broker)
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__} {error}") from error
    broker.stop()


@mosquitto_differs(NOTHING_LIKE_IT)
def test_every_route_refuses_without_a_token(env):
    """No token, an unknown one, one under another scheme: 401 as a problem document, whatever the route; nothing is
    done, and nobody can tell by it what there is."""
    broker = plant(env)
    document = openapi(broker)
    wrong = ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Basic YW5uYTp4"},
             {"Authorization": "token-of-anna"}, {"Authorization": "Bearer token-of-ann"})
    for name in routes(document):
        method, path = name.split(" ", 1)
        security = document["paths"][path][method.lower()]["security"]
        assert (security == []) == (name in OPEN), name
        target = re.sub(r"{\w+}", "edge-1", path)
        for headers in wrong:
            status, got, text = ask(broker, method, target, None, None, headers)
            if name in OPEN:
                assert status == 200, (name, status)
                continue
            assert status == 401 and got["www-authenticate"] == "Bearer", (name, headers, status, text)
            check_problem(status, got, text)
            if method == "GET":
                assert ask(broker, "HEAD", target, None, None, headers)[0] in (401, 405), name
    assert [one["client_id"] for one in api(broker, "GET /api/v1/clients")["clients"]] == ["edge-1"]
    assert api(broker, "GET /api/v1/quarantine")["total"] == 2
    trunkctl(broker, "status", token="wrong", code=4)
    broker.stop()


# ---------------------------------------------------------------- commands

says("status", text="healthy")
says("tree", "plant", text="cell-1")
says("ls", "plant/free/cell-1", text="queued 2")
says("get", VALUE, text="queued 2")
says("find", "cell-1", text=VALUE)
says("meta", VALUE, text="cell")
says("violations", text="TL-2106")
says("quarantine ls", text="plant/apart/cell-1/nonsense")
says("quarantine show", "1", text="TL-2106")
says("quarantine replay", "1", text="TL-2106", code=1)
says("quarantine drop", "--filter", "plant/apart/+/rubbish")
says("retained ls", text=VALUE)
says("clients ls", text="edge-1")
says("clients show", "edge-1", text="watched/#")
says("sessions ls", "--state", "offline", text="away/1")
says("sessions show", "away/1", text="$share/g/other/#")
says("subscriptions ls", "--topic", VALUE, text="plant/free/#")
says("model show", text="1.0.0")
says("model versions", text="in force")
says("model export", text="namespace: plant")
says("model drift")
says("model pending")
says("explain", "--client", "edge-1", "-t", VALUE, "-m", "1", text="verdict")
says("users ls", text="otto")
says("roles ls", text="every topic")
says("roles show", "all", text="publish")
says("access test", "--user", "anna", "publish", "x", text="allowed")
says("access who-can", "publish", "x", text="otto")
says("audit tail", text="publish")
says("audit search", "--action", "publish", text="publish")
says("audit status", text="written")
says("audit verify")
says("audit prove", "0", text="{")
says("audit export", "--reason", "test", text="publish")
says("audit checkpoint")
says("config show", text="limits:")
says("context ls", text="CONTEXT")


@command("publish")
def ctl_publish(broker):
    trunkctl(broker, "publish", "office/ctl", "-m", "hello", "-r")
    eventually(lambda: trunkctl(broker, "get", "office/ctl").strip() == "hello", 3, "the value")


@command("watch")
def ctl_watch(broker):
    assert "hello" in trunkctl(broker, "watch", "office/ctl", "-n", "1")


@command("retained rm")
def ctl_retained_rm(broker):
    assert "would remove 1" in trunkctl(broker, "--dry-run", "retained", "rm", "office/#")
    assert "removed 1" in trunkctl(broker, "retained", "rm", "office/#")


@command("clients trace")
def ctl_trace(broker):
    tracing = subprocess.Popen([program(broker), "clients", "trace", "edge-2", "-n", "4"], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "TRUNKLINE_TOKEN": "token-of-anna",
                                    "TRUNKLINE_SERVER": f"127.0.0.1:{broker.admin_port}"})
    try:
        eventually(lambda: any(record["action"] == "client.trace" for record in
                               api(broker, "GET /api/v1/audit/tail")["records"]), 5, "the trace has begun")
        client = broker.env.connected("edge-2", broker=broker, username="edge", password=b"not-to-be-seen")
        client.publish("office/traced", b"x" * 3000, qos=1)
        shown, _ = tracing.communicate(timeout=10)
        lines = shown.splitlines()
        assert [re.search(r"(->|<-)  (\w+)", line).groups() for line in lines] == [
            ("->", "CONNECT"), ("<-", "CONNACK"), ("->", "PUBLISH"), ("<-", "PUBACK")], shown
        assert "not-to-be-seen" not in shown and "not shown" in lines[0] and "user_name=edge" in lines[0], shown
        assert "(3000 bytes)" in lines[2] and len(lines[2]) < 1300, lines[2]
        client.disconnect()
    finally:
        tracing.kill()
        tracing.wait(5)


@command("clients kick")
def ctl_kick(broker):
    assert "would disconnect edge-1" in trunkctl(broker, "clients", "kick", "edge-1", "--dry-run")
    assert "edge-1" in trunkctl(broker, "clients", "ls")
    trunkctl(broker, "clients", "kick", "edge-1")
    trunkctl(broker, "clients", "kick", "edge-1", code=1)


@command("sessions rm")
def ctl_session_rm(broker):
    assert "3 messages" in trunkctl(broker, "sessions", "rm", "away/1", "--dry-run")
    assert "3 messages" in trunkctl(broker, "sessions", "rm", "away/1")
    trunkctl(broker, "sessions", "rm", "away/1", code=1)


@command("drain")
def ctl_drain(broker):
    assert "would send" in trunkctl(broker, "drain", "other:1883", "--dry-run")
    trunkctl(broker, "drain", "other:1883")
    shown = trunkctl(broker, "status", code=1)
    assert "NOT HEALTHY" in shown and "fix: trunkctl drain --end" in shown, shown
    trunkctl(broker, "drain", "--end")


@command("model check")
def ctl_model_check(broker):
    trunkctl(broker, "model", "check", write_model(MODEL, "m.yaml", broker.folder_of_test))
    shown = trunkctl(broker, "model", "check", write_model("trunkline: 1\nx: 1\n", "b.yaml", broker.folder_of_test), code=1)
    assert "b.yaml:2:1" in shown, shown


def model_file(broker, version="1.1.0", name="m2.yaml"):
    text = MODEL.replace("1.0.0", version).replace("    free:\n", "    free:\n      $owner: ot@plant.example\n")
    return write_model(text, name, broker.folder_of_test)


@command("model diff")
def ctl_model_diff(broker):
    assert "plant/free" in trunkctl(broker, "model", "diff", model_file(broker), code=1)


@command("model plan")
def ctl_model_plan(broker):
    trunkctl(broker, "model", "plan", model_file(broker))


@command("model apply")
def ctl_model_apply(broker):
    assert "would apply" in trunkctl(broker, "--dry-run", "model", "apply", model_file(broker))
    assert "applied" in trunkctl(broker, "model", "apply", model_file(broker))


@command("model rollback")
def ctl_model_rollback(broker):
    shown = trunkctl(broker, "model", "rollback", "1.0.0", "--dry-run")
    assert "would send POST /api/v1/model/rollback" in shown, shown
    trunkctl(broker, "model", "rollback", "1.0.0", "--reason", "back")
    assert "1.0.0" in trunkctl(broker, "model", "show")


def propose(broker, version):
    text = MODEL.replace("1.0.0", version).replace("$regulated: true", f"$regulated: true\n      $owner: v{version}@x.example")
    shown = trunkctl(broker, "model", "apply", write_model(text, "p.yaml", broker.folder_of_test))
    return re.search(r"waits as (\d+)", shown).group(1)


@command("model approve")
def ctl_model_approve(broker):
    number = propose(broker, "2.0.0")
    trunkctl(broker, "model", "approve", number, code=4)
    trunkctl(broker, "model", "approve", number, token="token-of-otto")


@command("model withdraw")
def ctl_model_withdraw(broker):
    trunkctl(broker, "model", "withdraw", propose(broker, "3.0.0"))


@command("model learn")
def ctl_model_learn(broker):
    assert "trunkline: 1" in trunkctl(broker, "model", "learn")


@command("model import")
def ctl_model_import(broker):
    path = write_model("{}", "emqx.json", broker.folder_of_test)
    assert "emqx.json" in trunkctl(broker, "model", "import", path, code=1)


@command("model new-asset")
def ctl_new_asset(broker):
    assert "plant/free/cell-9" in trunkctl(broker, "model", "new-asset", "cell", "plant/free/cell-9", "--dry-run")


def password_file(broker):
    return write_private(temporary(broker, "password"), "a long password 1\n")


@command("users add")
def ctl_users_add(broker):
    arguments = ("users", "add", "carl", "--role", "all", "--password-file", password_file(broker))
    shown = trunkctl(broker, *arguments, "--dry-run")
    assert "would send POST /api/v1/users" in shown and "long password" not in shown, shown
    assert "carl" not in trunkctl(broker, "users", "ls")
    trunkctl(broker, *arguments)
    assert "carl" in trunkctl(broker, "users", "ls")


@command("users passwd")
def ctl_users_passwd(broker):
    trunkctl(broker, "users", "passwd", "carl", "--password-file", password_file(broker))


@command("users rm")
def ctl_users_rm(broker):
    trunkctl(broker, "users", "rm", "carl")
    trunkctl(broker, "users", "rm", "carl", code=1)


@command("access import-mosquitto")
def ctl_import(broker):
    acl = write_private(temporary(broker, "acl"), "user ann\ntopic read a/#\n")
    assert "ann" in trunkctl(broker, "access", "import-mosquitto", "--acl", acl)
    trunkctl(broker, "--dry-run", "access", "import-mosquitto", "--acl", acl, code=2)


@command("audit rotate-key")
def ctl_rotate(broker):
    assert "would send" in trunkctl(broker, "--dry-run", "audit", "rotate-key", "--reason", "yearly")
    trunkctl(broker, "audit", "rotate-key", "--reason", "yearly")


@command("backup create")
def ctl_backup(broker):
    trunkctl(broker, "backup", "create", temporary(broker, "backup"))


@command("backup verify")
def ctl_verify(broker):
    trunkctl(broker, "backup", "verify", temporary(broker, "backup"))


@command("backup restore")
def ctl_restore(broker):
    trunkctl(broker, "--dry-run", "backup", "restore", temporary(broker, "backup"), "--data", temporary(broker, "data"),
             code=2)
    trunkctl(broker, "backup", "restore", temporary(broker, "backup"), "--data", temporary(broker, "data"))


@command("config check")
def ctl_config_check(broker):
    bad = write_private(temporary(broker, "bad.yaml"), "node: a\nlisenters: []\nworkers: many\n")
    nowhere = {"TRUNKLINE_SERVER": "127.0.0.1:1"}   # by itself it needs no broker
    for arguments, environment in ((("config", "check", bad), nowhere), (("config", "check", bad, "--broker"), {})):
        shown = trunkctl(broker, *arguments, code=1, environment=environment)
        assert "bad.yaml:2:1: TL-9002" in shown and "bad.yaml:3:10: TL-9003" in shown and "fix: " in shown, shown
    good = write_private(temporary(broker, "good.yaml"), "node: a\n")
    assert "is good" in trunkctl(broker, "config", "check", good, environment=nowhere)
    assert "takes a restart: node" in trunkctl(broker, "config", "check", good, "--broker")
    assert "is good" in trunkctl(broker, "config", "check")
    roles = write_private(temporary(broker, "rules.yaml"), "trunkline: 1\nrolls: {}\n")
    named = write_private(temporary(broker, "named.yaml"), f"authorizers: [{{roles: {{file: {roles}}}}}]\n")
    assert "rules.yaml:2:1" in trunkctl(broker, "config", "check", named, code=1, environment=nowhere)


@command("config reload")
def ctl_config_reload(broker):
    change_config(broker, lambda config: config.update(log={"level": "debug"}))
    assert "a reload would change: log.level" in trunkctl(broker, "config", "reload", "--dry-run")
    assert "changed: log.level" in trunkctl(broker, "config", "reload", "--reason", "look closer")
    change_config(broker, lambda config: config.update(wrokers=1))
    assert "TL-9002" in trunkctl(broker, "config", "reload", code=1)
    shown = trunkctl(broker, "status")
    assert "the last reload of the configuration was not taken" in shown and "fix: trunkctl config check" in shown, shown
    change_config(broker, lambda config: config.pop("wrokers"))
    trunkctl(broker, "config", "reload")


@command("context add")
def ctl_context_add(broker):
    here = f"http://127.0.0.1:{broker.admin_port}"
    bare = {"TRUNKLINE_SERVER": "", "TRUNKLINE_TOKEN": ""}
    trunkctl(broker, "context", "add", "plant", "--server", here, "--token-stdin", text="token-of-anna\n")
    trunkctl(broker, "context", "add", "nowhere", "--server", "127.0.0.1:1")
    path = os.path.join(broker.folder, "config", "trunkline", "trunkctl.json")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert "healthy" in trunkctl(broker, "status", environment=bare)   # the first is in use
    trunkctl(broker, "--context", "nowhere", "status", environment=bare, code=3)
    trunkctl(broker, "status", environment={**bare, "TRUNKLINE_CONTEXT": "nowhere"}, code=3)
    trunkctl(broker, "--server", here, "status", environment=bare, code=4)   # its token is for its own server
    trunkctl(broker, "--context", "unknown", "status", environment=bare, code=2)
    trunkctl(broker, "--server", here, "--context", "plant", "status", environment=bare, code=2)
    trunkctl(broker, "context", "add", "bad", "--server", "127.0.0.1:x", code=2)
    os.chmod(path, 0o644)
    assert "chmod 600" in trunkctl(broker, "--context", "plant", "status", environment=bare, code=2)
    os.chmod(path, 0o600)


@command("context use")
def ctl_context_use(broker):
    trunkctl(broker, "context", "use", "nowhere")
    trunkctl(broker, "status", environment={"TRUNKLINE_SERVER": "", "TRUNKLINE_TOKEN": ""}, code=3)
    listed = json.loads(trunkctl(broker, "context", "ls", "-o", "json"))
    assert [(one["name"], one["current"]) for one in listed] == [("nowhere", True), ("plant", False)], listed
    assert "token-of-anna" not in json.dumps(listed)
    trunkctl(broker, "context", "use", "unknown", code=2)


@command("context rm")
def ctl_context_rm(broker):
    trunkctl(broker, "context", "rm", "nowhere")
    trunkctl(broker, "context", "rm", "nowhere", code=2)
    assert "nowhere" not in trunkctl(broker, "context", "ls")


@mosquitto_differs(NOTHING_LIKE_IT)
def test_every_command_is_tested(env):
    """The commands that `trunkctl --help` tells, all the way down, are those that are tested here; each is in the
    completions of bash and zsh and in the manual page."""
    broker = plant(env)
    broker.env = env
    tree = commands(broker)
    told = [" ".join(one.path) for one in tree.all() if not one.children]
    assert sorted(told) == sorted(COMMANDS), set(told) ^ set(COMMANDS)
    module = pages()
    bash, zsh, page = module.bash(tree), module.zsh(tree), module.page("trunkctl", tree, "0")
    for one in tree.all():
        path = " ".join(one.path)
        assert f'" {path}") words=' in bash or not path, path
        assert f"_trunkctl_{module.identifier(one.path)}() {{" in zsh, path
        assert module.roff(".SS " + path)[2:] in page or ".SS " + module.roff(path) in page or not path, path
    for name, test in COMMANDS.items():
        try:
            test(broker)
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__} {error}") from error
    broker.stop()


@mosquitto_differs(NOTHING_LIKE_IT)
def test_output_formats_and_exit_codes(env):
    """-o table, json, yaml and jsonl; 0 ok, 1 findings, 2 usage, 3 no connection, 4 not authorised."""
    broker = plant(env)
    assert [one["client_id"] for one in json.loads(trunkctl(broker, "sessions", "ls", "-o", "json"))] == ["away/1", "edge-1"]
    lines = trunkctl(broker, "-o", "jsonl", "sessions", "ls").splitlines()
    assert [json.loads(line)["client_id"] for line in lines] == ["away/1", "edge-1"]
    yaml = trunkctl(broker, "-o", "yaml", "sessions", "ls")
    assert yaml.startswith('- client_id: "away/1"\n') and "\n- client_id" in yaml, yaml
    table = trunkctl(broker, "sessions", "ls").splitlines()
    assert table[0].split()[0] == "CLIENT" and "\x1b" not in "".join(table) and len(table) == 3, table
    trunkctl(broker, "get", "not/there", code=1)
    trunkctl(broker, "no-such-command", code=2)
    trunkctl(broker, "sessions", "ls", "-o", "xml", code=2)
    trunkctl(broker, "status", code=3, environment={"TRUNKLINE_SERVER": "127.0.0.1:1"})
    trunkctl(broker, "status", code=4, token="wrong")
    trunkctl(broker, "--watch", "clients", "kick", "edge-1", code=2)
    broker.stop()


def on_terminal(broker, columns, *arguments, until, seconds=10):
    """What a command paints on a terminal, until a text has come."""
    main, other = pty.openpty()
    env = {**os.environ, "TRUNKLINE_TOKEN": "token-of-anna", "TRUNKLINE_SERVER": f"127.0.0.1:{broker.admin_port}",
           "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([program(broker), *arguments], stdout=other, stderr=other, stdin=subprocess.DEVNULL, env=env)
    os.close(other)
    text, deadline = "", time.monotonic() + seconds
    try:
        while until(text) is False and time.monotonic() < deadline:
            if not select.select([main], [], [], 0.1)[0]:
                continue
            try:
                text += os.read(main, 65536).decode(errors="replace")
            except OSError:
                break   # it has ended
        assert until(text) is not False, text
        return text
    finally:
        process.kill()
        process.wait(5)
        os.close(main)


@mosquitto_differs(NOTHING_LIKE_IT)
def test_terminal(env):
    """On a terminal tables fit its width and have colour; --watch paints again; what takes over two seconds says so."""
    broker = plant(env)
    long = env.connected("x" * 100, broker=broker)
    text = on_terminal(broker, 60, "clients", "ls", until=lambda t: "edge-1" in t and t.count("\n") >= 3)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.replace("\r", "").splitlines()]
    assert lines and all(len(line) <= 60 for line in lines), lines
    assert "\x1b[1m" in text and "\u2026" in text, text
    plain = on_terminal(broker, 200, "--no-color", "clients", "ls", until=lambda t: "edge-1" in t)
    assert "\x1b" not in plain and "x" * 100 in plain, plain
    on_terminal(broker, 80, "--watch", "--interval", "0.2", "clients", "ls", until=lambda t: t.count("\x1b[2J") >= 3)
    long.disconnect()
    broker.process.send_signal(signal.SIGSTOP)
    try:
        on_terminal(broker, 80, "status", until=lambda t: "waiting for" in t, seconds=6)
    finally:
        broker.process.send_signal(signal.SIGCONT)
    broker.stop()


@mosquitto_differs(NOTHING_LIKE_IT)
def test_sessions_page_by_page(env):
    """Pages of sessions and of subscriptions hold everybody once, in order, connected or away; clients that come and go
    meanwhile make nobody appear twice."""
    broker = plant(env, approval="none")
    names = [f"s{number:03}" for number in range(60)]
    for number, name in enumerate(names):
        client = env.connected(name, broker=broker, props={"session_expiry_interval": 600} if number % 3 else None)
        client.subscribe(f"t/{name}", "t/all", qos=1)
        if number % 3 == 2:
            client.disconnect()
    names = sorted(names + ["away/1", "edge-1"])

    def everybody(path, key, limit, name):
        seen, cursor = [], ""
        while True:
            page = api(broker, f"GET {path}?limit={limit}{cursor}")
            assert 0 < len(page[key]) <= limit, page
            seen += [one[name] for one in page[key]]
            if "cursor" not in page:
                return seen
            cursor = "&cursor=" + page["cursor"].replace("#", "%23").replace("+", "%2B").replace("$", "%24")
    assert everybody("/api/v1/sessions", "sessions", 7, "client_id") == names
    found = everybody("/api/v1/subscriptions", "subscriptions", 7, "client_id")
    assert found == sorted(found) and len(found) == 2 * 60 + 2 + 1, len(found)
    assert trunkctl(broker, "sessions", "ls", "-o", "jsonl").count("\n") == len(names)
    broker.stop()
