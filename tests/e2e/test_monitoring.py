"""Metrics, alerts and dashboards: a real Prometheus scrapes a broker under load and answers every query of them.

PENDING names what a broker without a feature does not export. A query on such a metric may stay empty as long as the
broker does not export it; as soon as it does, it must return data.
"""
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request

import yaml

import mqttcodec as codec
from harness import ROOT, alone, eventually, free_port, mosquitto_differs, Broker
from test_admin import ask

DEPLOY = os.path.join(ROOT, "deploy")
NO_METRICS = "has no metrics"
SECONDS = float(os.environ.get("TRUNKLINE_PROMETHEUS_SECONDS", "12"))   # of scraping under load; 60 by hand
PENDING = {
    "bridges": ("trunkline_bridge_up", "trunkline_bridge_backlog_messages"),
}
# Of failures that the load does not bring about: without one there is no series.
NEEDS_A_FAILURE = {'sum by (instance, method) (rate(trunkline_authn_total{result!="accepted"}[5m]))'}
# What dashboards and scripts outside the project rely on.
PROMISED = """build_info ready connections sessions subscriptions retained_messages messages_received_total
    messages_sent_total bytes_received_total bytes_sent_total messages_dropped_total disconnects_total connects_total
    publish_verdicts_total violations_total authz_decisions_total authn_total publish_ack_seconds commit_seconds
    commit_batch_messages queued_messages queue_oldest_age_seconds inflight_messages store_bytes disk_free_bytes
    quarantined_messages bridge_backlog_messages bridge_up namespace_nodes stale_metrics model_info
    audit_records_total audit_last_checkpoint_timestamp_seconds tls_certificate_expiry_timestamp_seconds
    config_last_reload_success""".split()
PROCESS = ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes",
           "process_open_fds", "process_max_fds", "process_start_time_seconds")


# ---------------------------------------------------------------- the files of deploy/

def rules():
    with open(os.path.join(DEPLOY, "prometheus", "alerts.yml"), encoding="utf-8") as file:
        return [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]


def dashboard_queries():
    """(where, query) of every panel."""
    folder = os.path.join(DEPLOY, "grafana", "dashboards")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            document = json.load(file)
        for panel in document["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']}", target["expr"]


def split_top(text, pattern):
    """Splits at a pattern where no bracket and no quote is open."""
    parts, depth, quoted, at, begin = [], 0, False, 0, 0
    while at < len(text):
        char = text[at]
        if char == '"':
            quoted = not quoted
        elif not quoted and char in "([{":
            depth += 1
        elif not quoted and char in ")]}":
            depth -= 1
        elif not quoted and depth == 0:
            found = pattern.match(text, at)
            if found:
                parts.append(text[begin:at])
                at = begin = found.end()
                continue
        at += 1
    return parts + [text[begin:]]


def sides(expression):
    """What an alert compares: a healthy broker makes each side return data though the alert stays empty."""
    for part in split_top(expression, re.compile(r"\s+(?:and|or|unless)\s+")):
        for side in split_top(part, re.compile(r"\s*(?:==|!=|>=|<=|>|<)\s*")):
            if not re.fullmatch(r"[\d\s.*+-]+", side):
                yield side.strip()


def all_queries():
    for where, query in dashboard_queries():
        yield where, query.replace("$__rate_interval", "10s").replace("$instance", ".+")
    for rule in rules():
        for side in sides(rule["expr"]):
            yield f"alert {rule['alert']}", side


def metrics_of(query):
    return set(re.findall(r"\b(?:trunkline|process)_[a-z_]+|\bup\b", query))


def tool(broker, name):
    """A program beside the broker, or the release build's."""
    beside = os.path.join(os.path.dirname(os.path.abspath(broker.binary)), name)
    return beside if os.path.exists(beside) else os.path.join(ROOT, "build", "release", "bin", name)


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@mosquitto_differs(NO_METRICS)
def test_alert_rules(_env):
    """promtool takes the rules and their test; each alert is in that test, says what to do, and is documented."""
    folder = os.path.join(DEPLOY, "prometheus")
    run("promtool", "check", "config", "prometheus.yml", cwd=folder)
    run("promtool", "check", "rules", "alerts.yml", cwd=folder)
    run("promtool", "test", "rules", "alerts_test.yml", cwd=folder)
    with open(os.path.join(folder, "alerts_test.yml"), encoding="utf-8") as file:
        tested = file.read()
    with open(os.path.join(ROOT, "docs", "ops", "monitoring.md"), encoding="utf-8") as file:
        documented = file.read()
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 20, names
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule
        assert rule["annotations"]["summary"] and len(rule["annotations"]["runbook"]) > 20, rule
        assert f'="{rule["alert"]}"' in tested or f'alertname: {rule["alert"]}' in tested, rule["alert"]
        assert f"\n### {rule['alert']}\n" in documented, f"{rule['alert']} has no part in docs/ops/monitoring.md"
    for name in re.findall(r"\n### (Trunkline\w+)\n", documented):
        assert name in names, f"docs/ops/monitoring.md: {name} is no alert"


@mosquitto_differs(NO_METRICS)
def test_dashboards(_env):
    """Dashboards are as deploy/grafana/make writes them, and are what Grafana takes: ids of their own, no panel over
    another one, every query by the data source and the broker that were chosen."""
    run(os.path.join(DEPLOY, "grafana", "make"), "--check")
    folder = os.path.join(DEPLOY, "grafana", "dashboards")
    uids = set()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            document = json.load(file)
        uids.add(document["uid"])
        taken = set()
        panels = document["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels), name
        for panel in panels:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            assert not cells & taken and place["x"] + place["w"] <= 24, (name, panel["title"])
            taken |= cells
            if panel["type"] == "row":
                continue
            assert panel["targets"] and panel["datasource"]["uid"] == "${datasource}", (name, panel["title"])
            for target in panel["targets"]:
                assert 'instance=~"$instance"' in target["expr"], (name, target["expr"])
    assert len(uids) == len(os.listdir(folder)) == 4


@mosquitto_differs("is not what they are about")
def test_container_files(_env):
    """What compose mounts is there, images are public with a version, no capability is kept, nothing listens but on
    loopback; the image's instructions are ones that there are, and it does not run as root."""
    folder = os.path.join(DEPLOY, "container")
    with open(os.path.join(folder, "compose.yaml"), encoding="utf-8") as file:
        document = yaml.safe_load(file)
    for name, service in document["services"].items():
        assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"], name
        if "build" not in service:
            assert re.fullmatch(r"\w+/\w+:v?[\d.]+", service["image"]), service["image"]
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            known = os.path.exists(os.path.join(folder, source)) if source.startswith(".") else \
                source in document["volumes"]
            assert known, (name, volume)
    assert "--web.listen-address=127.0.0.1:9090" in document["services"]["prometheus"]["command"]
    assert document["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    with open(os.path.join(folder, "Containerfile"), encoding="utf-8") as file:
        text = re.sub(r"\\\n", " ", file.read())
    words = [line.split()[0] for line in text.split("\n") if line.strip() and not line.startswith("#")]
    assert words[0] == "FROM" and set(words) <= {"FROM", "COPY", "RUN", "USER", "WORKDIR", "VOLUME", "EXPOSE",
                                                 "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}, words
    assert "\nUSER trunkline\n" in text


# ---------------------------------------------------------------- a broker under load

class Load:
    """A plant with its mistakes, a window of QoS 1, and a session that is away while messages wait for it."""

    def __init__(self, env, broker):
        self.processes = []
        bench = tool(broker, "trunkbench")
        url = f"mqtt://127.0.0.1:{broker.ports['mqtt']}"
        away = env.connected(f"away-{env.unique}", broker=broker, props={"session_expiry_interval": 3600})
        away.subscribe("away/#", qos=1)
        away.disconnect()
        member = env.connected(broker=broker)
        member.subscribe("$share/group/shared/#", qos=1)
        publisher = env.connected(broker=broker)
        for number in range(20):
            publisher.publish("away/topic", b"%d" % number, qos=1)
        for _ in range(3):
            refused = env.client(broker=broker)
            refused.connect("x" * 200, reason=0x85)
        for command in (["plant", "--mistakes", "--assets", "20"],
                        ["pairs", "--qos", "1", "--clients", "4", "--rate", "2000", "--duration", "600"],
                        ["durable", "--clients", "2", "--rate", "200", "--duration", "600"]):
            self.processes.append(subprocess.Popen([bench, command[0], "--url", url, *command[1:]],
                                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                                   stderr=subprocess.DEVNULL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


class Prometheus:
    """Debian's Prometheus, scraping one broker every second."""

    def __init__(self, folder, broker):
        self.port = free_port()
        with open(os.path.join(DEPLOY, "prometheus", "prometheus.yml"), encoding="utf-8") as file:
            config = yaml.safe_load(file)
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{broker.admin_port}"]}]
        shutil.copy(os.path.join(DEPLOY, "prometheus", "alerts.yml"), folder)
        path = os.path.join(folder, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as file:
            yaml.safe_dump(config, file)
        self.log = os.path.join(folder, "prometheus.log")
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder}/tsdb",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "1"})

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def query(self, expression):
        return self.get("/api/v1/query", query=expression)["result"]

    def __enter__(self):
        eventually(self.ready, 20, "Prometheus serves")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def monitored_broker(env):
    """With the plant's model, which enforces what the plant says and lets other topics be."""
    with open(os.path.join(DEPLOY, "examples", "discrete.yaml"), encoding="utf-8") as file:
        model = file.read().replace("unmodelled: reject", "unmodelled: observe")
    path = os.path.join(env.temporary(), "model.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(model)
    return env.own_broker(listeners=("mqtt", "mqtts"), flags=("--model", path))


def families(broker):
    """(name, type, help) of all families of /metrics."""
    status, text = broker.http("/metrics")
    assert status == 200, text
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    return {name: (kind, helps[name]) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)}


@alone
@mosquitto_differs(NO_METRICS)
def test_prometheus_scrapes_under_load(env):
    """promtool finds nothing wrong with /metrics. A Prometheus with the rules of deploy/ scrapes a broker under load
    every second without one failure, and each query of each dashboard and alert returns data."""
    broker = monitored_broker(env)
    with Load(env, broker), Prometheus(env.temporary(), broker) as prometheus:
        began = time.monotonic()
        waiting = dict.fromkeys(all_queries())
        assert len(waiting) > 90, len(waiting)
        while time.monotonic() < began + 60:
            exported = set(families(broker))
            for where, query in list(waiting):
                excused = query in NEEDS_A_FAILURE or any(pending(name) and name not in exported
                                                          for name in metrics_of(query))
                result = [] if excused else prometheus.query(query)
                if excused or any(sample["value"][1] != "NaN" for sample in result):
                    del waiting[where, query]
            if not waiting and time.monotonic() > began + SECONDS:
                break
            time.sleep(1)
        assert not waiting, "no data for\n" + "\n".join(f"{where}: {query}" for where, query in waiting)
        (up,) = prometheus.query(f'min_over_time(up{{job="trunkline"}}[{max(10, int(SECONDS) - 5)}s])')
        assert up["value"][1] == "1", "a scrape failed: " + str(prometheus.get("/api/v1/targets"))
        for group in prometheus.get("/api/v1/rules")["groups"]:
            for rule in group["rules"]:
                assert rule["health"] == "ok", rule
        checked = subprocess.run(["promtool", "check", "metrics"], input=broker.http("/metrics")[1],
                                 capture_output=True, text=True, timeout=30, check=False)
        assert checked.returncode == 0 and not checked.stdout + checked.stderr, checked.stdout + checked.stderr
        every_promised_metric_is_there(broker)
        every_metric_is_documented(broker)


def pending(name):
    return any(name == metric for metrics in PENDING.values() for metric in metrics)


def every_promised_metric_is_there(broker):
    found = families(broker)
    for name in ["trunkline_" + name for name in PROMISED] + list(PROCESS):
        assert name in found or pending(name), f"{name} is promised and not exported"


def every_metric_is_documented(broker):
    """docs/reference/metrics.md has a row `| `name` | type | help |` for each family, and no other."""
    with open(os.path.join(ROOT, "docs", "reference", "metrics.md"), encoding="utf-8") as file:
        rows = {name: (kind, text) for name, kind, text in
                re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", file.read(), re.M)}
    for name, (kind, text) in families(broker).items():
        assert rows.get(name) == (kind, text), f"| `{name}` | {kind} | {text} | is not in docs/reference/metrics.md"
    missing = [name for name in rows if name not in families(broker) and not pending(name)]
    assert not missing, f"docs/reference/metrics.md has what the broker does not export: {missing}"


@mosquitto_differs(NO_METRICS)
def test_open_metrics(env):
    """With OpenMetrics asked for, counters are named without _total in their TYPE lines and the text ends with EOF."""
    status, headers, text = ask(env.broker, "/metrics", {"Accept": "application/openmetrics-text;version=1.0.0"})
    assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text"), headers
    assert text.endswith("# EOF\n")
    for name in re.findall(r"^# TYPE (\S+) counter$", text, re.M):
        assert not name.endswith("_total") and re.search(rf"^{name}_total[ {{]", text, re.M), name


@mosquitto_differs("is what is compared with")
def test_sys_topics_as_mosquitto(env):
    """Below $SYS/broker is everything that Debian's mosquitto publishes there, by the same names, and as numbers where
    mosquitto has numbers."""
    def topics(broker):
        client = env.connected(broker=broker)
        client.subscribe("$SYS/broker/#")
        other = env.connected(broker=broker)
        other.publish("some/topic", b"x", qos=1)
        found, deadline = {}, time.monotonic() + 4
        while time.monotonic() < deadline:
            with contextlib.suppress(AssertionError):
                packet = client.wait_for(codec.PUBLISH, timeout=0.5)
                found[packet.topic] = packet.payload
        return found

    mosquitto = Broker(shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin"))
    env.own_brokers.append(mosquitto)
    theirs = topics(mosquitto.start())
    ours = topics(env.own_broker(extra_config={"sys_interval": "1s"}))
    assert len(theirs) > 40, sorted(theirs)
    missing = sorted(set(theirs) - set(ours))
    assert not missing, f"mosquitto has {missing}"
    for topic, payload in theirs.items():
        if re.fullmatch(rb"[\d.]+", payload):
            assert re.fullmatch(rb"[\d.]+", ours[topic]), (topic, payload, ours[topic])
