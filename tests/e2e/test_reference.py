"""Every route of /openapi.json has a test here, and a new one without fails; refusals without a token; paging."""
import json
import re
import socket
import time

import mqttcodec as codec
from harness import eventually, mosquitto_differs
from reference import (MODEL, VALUE, api, ask, change_config, check_problem, openapi, plant, publish, routes,
                       run_table, stream, trunkctl)

NOTHING_LIKE_IT = "has no admin interface"
OPEN = {"GET /healthz", "GET /readyz", "GET /openapi.json"}
ROUTES = {}


def route(name):
    """Marks the test of a route; they run in the order in which they stand here, on one broker."""
    def mark(function):
        assert name not in ROUTES, name
        ROUTES[name] = function
        return function
    return mark


def answers(name, check, target="", body=None, code=200):
    """A route whose answer needs one look."""
    method, path = name.split(" ", 1)

    def test(broker):
        found = api(broker, f"{method} {target or path}", body, code)
        assert check(found), (name, found)
    route(name)(test)


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
    assert api(broker, f"GET /api/v1/users?cursor={page['cursor']}")["users"][0]["name"] == "otto", page
    api(broker, "GET /api/v1/users?cursor=nobody", code=400)


@route("POST /api/v1/users/password")
def user_password(broker):
    assert api(broker, "POST /api/v1/users/password", {"name": "new", "password": "another one 2"})
    api(broker, "POST /api/v1/users/password", {"name": "nobody", "password": "another one 2"}, 422)


@route("DELETE /api/v1/users/{name}")
def user_removed(broker):
    assert api(broker, "DELETE /api/v1/users/new")
    api(broker, "DELETE /api/v1/users/new", code=422)


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
    run_table(ROUTES, broker)
    broker.stop()


@mosquitto_differs(NOTHING_LIKE_IT)
def test_every_route_refuses_without_a_token(env):
    """No token, an unknown one, one under another scheme: 401 as a problem document, whatever the route; nothing is
    done, and nobody can tell by it what there is."""
    broker = plant(env)
    document = openapi(broker)
    wrong = ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}, {"Authorization": "Basic YW5uYTp"},
             {"Authorization": "token-of-anna"}, {"Authorization": "Bearer token-of-ann"})
    guess = {"Authorization": "Basic YW5uYTp4"}   # once: guesses are answered later and later
    assert ask(broker, "GET", "/api/v1/status", None, None, guess)[0] == 401
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
            assert status == 401 and got["www-authenticate"].startswith("Bearer"), (name, headers, status, text)
            check_problem(status, got, text)
            if method == "GET":
                assert ask(broker, "HEAD", target, None, None, headers)[0] in (401, 405), name
    assert [one["client_id"] for one in api(broker, "GET /api/v1/clients")["clients"]] == ["edge-1"]
    assert api(broker, "GET /api/v1/quarantine")["total"] == 2
    trunkctl(broker, "status", token="wrong", code=4)
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


@mosquitto_differs(NOTHING_LIKE_IT)
def test_nobody_waits_for_a_trace(env):
    """Who watches a client and does not read costs a bounded amount of memory, and the client nothing; once it reads,
    it hears how many packets it has missed. The trace ends with its reader."""
    broker = env.own_broker()
    client = env.connected("busy", broker=broker)
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.settimeout(10)
    with lazy:
        lazy.connect(("127.0.0.1", broker.admin_port))
        lazy.sendall(b"GET /api/v1/trace?client=busy HTTP/1.1\r\nHost: localhost\r\n\r\n")
        text = b""
        while b"attached" not in text:
            text += lazy.recv(4096)
        before = broker.resident_bytes()
        many = codec.publish("t", b"x" * 1000, version=codec.V5) * 100
        for _ in range(200):
            client.send(many)
        started = time.monotonic()
        client.publish("t", b"after all of them", qos=1)
        assert time.monotonic() - started < 5
        assert broker.resident_bytes() - before < 48 << 20, broker.resident_bytes() - before
        missed, deadline = 0, time.monotonic() + 20
        while missed <= 1000:
            assert time.monotonic() < deadline, missed
            *events, text = (text + lazy.recv(1 << 16)).split(b"\n\n")
            missed += sum(json.loads(event.split(b"data: ", 1)[1])["count"] for event in events
                          if b'"event":"missed"' in event)

    def traced():
        with socket.create_connection(("127.0.0.1", broker.admin_port), 5) as one:
            one.sendall(b"GET /api/v1/trace?client=busy HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return b"200 OK" in one.recv(100)
    for number in range(20):   # were they not ended, there would be too many
        eventually(traced, 5, f"trace {number}")
    client.publish("t", b"goes on", qos=1)
    broker.stop()
