"""The live tree: values that nobody retained, staleness, search, and $UNS, as clients and trunkctl see them."""
import json
import os
import subprocess
import time

import mqttcodec as codec
from harness import eventually, mosquitto_differs
from test_admin import api, trunkctl

PLANT = """
trunkline: 1
namespace: acme
version: 1.2.0
defaults: {mode: observe, unmodelled: observe}
levels: [enterprise, site, cell]
types:
  filler:
    version: 2
    description: Rotary bottle filler
    metrics:
      temperature: {type: number, unit: Cel, every: 500ms, description: Bowl temperature TT-101}
      level: {type: number, unit: mm}
tree:
  acme:
    munich:
      $owner: munich-ot@acme.example
      filler-1: {$type: filler@2}
      "{cell}": {$match: "packer-[0-9]+", $type: filler}
"""
TEMPERATURE = "acme/munich/filler-1/temperature"


def plant(env, model=PLANT):
    path = os.path.join(env.temporary(), "plant.yaml")
    with open(path, "w", encoding="ascii") as file:
        file.write(model)
    return env.own_broker(flags=("--model", path))


def reading(value):
    return json.dumps({"value": value, "timestamp": int(time.time() * 1000)}).encode()


def read_with_mosquitto(broker, topic, count=1):
    """Payloads that mosquitto_sub reads on a topic."""
    done = subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.ports["mqtt"]), "-t", topic, "-C",
                           str(count), "-W", "5"], capture_output=True, text=True, timeout=15, check=False)
    return done.stdout.splitlines()


@mosquitto_differs("has no admin interface")
def test_a_value_that_is_not_retained_is_seen_within_two_seconds(env):
    """tree, ls, get and find show what was published last without RETAIN, with its publisher and its age."""
    broker = env.own_broker()
    client = env.connected(broker=broker)
    client.publish("shop/press-1/force", b"17.5", qos=0)
    begun = time.monotonic()
    eventually(lambda: broker.http("/api/v1/namespace/get?topic=shop/press-1/force")[0] == 200, 2, "the value")
    assert time.monotonic() - begun < 2
    value = api(broker, "/api/v1/namespace/get?topic=shop/press-1/force")
    assert (value["payload"], value["retain"], value["messages"]) == ("17.5", False, 1)
    assert value["publisher"] and value["age_ms"] < 3_000 and value["read"]["number"] == 17.5
    assert trunkctl(broker, "get", "shop/press-1/force") == "17.5\n"
    tree = trunkctl(broker, "tree")
    assert [line.split()[0] for line in tree.splitlines()] == ["shop/", "press-1/", "force"], tree
    assert "17.5" in tree
    assert "17.5" in trunkctl(broker, "ls", "shop/press-1")
    assert "shop/press-1/force" in trunkctl(broker, "find", "PRESS", "force")
    client.publish("shop/press-1/force", b"18.5", qos=1)
    eventually(lambda: trunkctl(broker, "get", "shop/press-1/force") == "18.5\n", 2, "the newer value")
    client.publish("shop/press-1/force", b"19.5", qos=1, retain=True)
    eventually(lambda: api(broker, "/api/v1/namespace/get?topic=shop/press-1/force")["retain"], 2, "retained now")
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_an_unknown_topic_names_the_nearest(env):
    """get and meta of a topic that does not exist say what was probably meant; find says that nothing is like it."""
    broker = env.own_broker()
    env.connected(broker=broker).publish("shop/press-1/force", b"17.5", qos=1)
    eventually(lambda: broker.http("/api/v1/namespace/get?topic=shop/press-1/force")[0] == 200, 2, "the value")
    assert 'the nearest topic is "shop/press-1/force"' in trunkctl(broker, "get", "shop/press-1/forse", code=1)
    assert 'the nearest topic is "shop/press-1/force"' in trunkctl(broker, "meta", "shop/Press-1/force", code=1)
    assert "shop/press-1" in trunkctl(broker, "get", "shop/press-1/entirely-other", code=1)
    assert "is a level" in trunkctl(broker, "get", "shop/press-1", code=1)
    assert "nothing is like that" in trunkctl(broker, "find", "unheard-of", code=1)
    assert "none of structure" in trunkctl(broker, "find", "--kind", "asse", code=2)
    broker.stop()


@mosquitto_differs("has no model")
def test_the_tree_shows_what_the_model_says_and_what_is_silent_and_stale(env):
    """Members that nobody publishes are silent; a metric is stale after three periods; find knows both."""
    broker = plant(env)
    def members(name):
        return [line for line in trunkctl(broker, "tree").splitlines() if line.strip().startswith(name)]
    eventually(lambda: members("{cell}") and any("metric number" in line and "silent" in line
                                                 for line in members("temperature")), 10, "the model's topics")
    assert "filler@2" in trunkctl(broker, "tree")
    client = env.connected(broker=broker)
    for _ in range(3):
        client.publish(TEMPERATURE, reading(23.5), qos=1)
        time.sleep(0.3)
    eventually(lambda: "fresh" in broker.http(f"/api/v1/namespace/meta?topic={TEMPERATURE}")[1], 2, "fresh")
    line = next(line for line in trunkctl(broker, "tree").splitlines() if line.strip().startswith("temperature"))
    assert "23.5 Cel" in line and "STALE" not in line, line
    find = "/api/v1/namespace/find?stale=true&q=temperature"
    eventually(lambda: api(broker, find)["matched"] == 1, 8, "stale")
    assert TEMPERATURE in trunkctl(broker, "find", "--stale", "temperature")
    assert "STALE" in trunkctl(broker, "tree", "acme/munich/filler-1")
    for arguments in (["--unit", "Cel"], ["--type", "filler", "tt-101"], ["--owner", "munich-ot", "--kind", "metric"]):
        assert TEMPERATURE in trunkctl(broker, "find", *arguments), arguments
    health = "/api/v1/namespace/meta?topic=acme/munich/filler-1"
    eventually(lambda: api(broker, health)["health"]["state"] == "stale", 2, "the asset is stale, too")
    meta = json.loads(trunkctl(broker, "-o", "json", "meta", "acme/munich/filler-1"))
    assert (meta["kind"], meta["asset_type"], meta["health"]["stale"]) == ("asset", "filler@2", ["temperature"]), meta
    assert "Rotary bottle filler" in trunkctl(broker, "meta", "acme/munich/filler-1")
    metrics = broker.http("/metrics")[1]
    assert "trunkline_stale_metrics 1\n" in metrics
    assert 'trunkline_namespace_nodes{kind="metric"}' in metrics
    broker.stop()


@mosquitto_differs("has no model")
def test_any_client_reads_what_the_broker_knows_below_uns(env):
    """$UNS/model, $UNS/meta and $UNS/health are retained, live, and not among the topics of #."""
    broker = plant(env)
    health = "/api/v1/namespace/get?topic=$UNS/health/acme/munich/filler-1"
    eventually(lambda: broker.http(health)[0] == 200, 4, "health")
    assert json.loads(read_with_mosquitto(broker, "$UNS/model")[0])["version"] == "1.2.0"
    meta = json.loads(read_with_mosquitto(broker, f"$UNS/meta/{TEMPERATURE}")[0])
    assert (meta["kind"], meta["unit"], meta["owner"]) == ("metric", "Cel", "munich-ot@acme.example")
    assert json.loads(read_with_mosquitto(broker, "$UNS/health/acme/munich/filler-1")[0])["state"] == "silent"
    watching = subprocess.Popen(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker.ports["mqtt"]), "-t",
                                 "$UNS/health/#", "-C", "4", "-W", "15"], stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(watching.stdout.readline())["state"] == "silent"
        client = env.connected(broker=broker)
        for member, value in (("temperature", 20), ("level", 7)):
            client.publish(f"acme/munich/filler-1/{member}", reading(value), qos=1)
        states = []
        while "stale" not in states:
            states.append(json.loads(watching.stdout.readline())["state"])
        assert states[-2:] == ["fresh", "stale"], states
    finally:
        watching.kill()
        watching.wait(5)
    client.publish("acme/munich/packer-7/temperature", reading(20), qos=1)
    packer = "$UNS/meta/acme/munich/packer-7/level"
    eventually(lambda: broker.http(f"/api/v1/namespace/get?topic={packer}")[0] == 200, 3, "an instance's members")
    everything = read_with_mosquitto(broker, "#", 100)
    assert all("filler@2" not in line for line in everything), everything
    broker.stop()


@mosquitto_differs("has no admin interface")
def test_values_for_browsing_survive_kill_9(env):
    """Values that nobody retained are there after kill -9, at most 2 s older than the last that was published."""
    broker = env.own_broker()
    publisher = env.id("gauge")
    client = env.connected(publisher, broker=broker)
    published = {}
    until = time.monotonic() + 5
    number = 0
    while time.monotonic() < until:
        number += 1
        for topic in ("shop/press-1/force", "shop/press-2/force"):
            client.publish(topic, str(number).encode(), qos=0)
        published[number] = time.monotonic()
        time.sleep(0.01)
    client.publish("shop/press-2/force", b"retained", qos=1, retain=True)
    client.publish("shop/press-2/force", b"", qos=1, retain=True)
    time.sleep(2)
    for _ in range(100):
        number += 1
        client.publish("shop/press-1/force", str(number).encode(), qos=0)
        published[number] = time.monotonic()
        time.sleep(0.01)
    killed = time.monotonic()
    broker.kill()
    broker.start()
    value = api(broker, "/api/v1/namespace/get?topic=shop/press-1/force")
    age = killed - published[int(value["payload"])]
    assert age < 2, f"the value is of {age:.1f} s before the kill"
    assert value["publisher"] == publisher, value
    status, _ = broker.http("/api/v1/namespace/get?topic=shop/press-2/force")
    assert status == 404, "a value that was cleared came back"


@mosquitto_differs("has no admin interface")
def test_values_of_tens_of_thousands_of_topics_are_two_seconds_old_at_most(env):
    """Where 60,000 topics speak all the time, values that nobody retained are at most 2 s old for whoever browses, and
    after kill -9 at most 2 s older than the kill."""
    broker = env.own_broker()
    client = env.connected(broker=broker)
    portion = 1_000
    topics = [f"shop/press-{number}/force" for number in range(60_000)]
    portions = [[] for _ in range(0, len(topics), portion)]   # when each was published

    def publish_all():
        for index, times in enumerate(portions):
            times.append(time.monotonic())
            client.send(*(codec.publish(topic, b"%d" % len(times))
                          for topic in topics[index * portion:(index + 1) * portion]))
            client.ping()   # the broker has read them all
            time.sleep(0.002)   # a plant of so many topics, not a generator at its limit

    def too_old(now, sample):
        """Values that were not the last at any moment of the two seconds before `now`."""
        found = []
        for topic in sample:
            status, answer = broker.http(f"/api/v1/namespace/get?topic={topic}")
            value = json.loads(answer)["payload"] if status == 200 else "0"
            times = portions[topics.index(topic) // portion]
            least = sum(at <= now - 2 for at in times)
            if int(value) < least:
                found.append(f"{topic}: {value} instead of {least}, published {now - times[least - 1]:.2f} s before")
        return found

    until = time.monotonic() + 5
    while time.monotonic() < until:
        publish_all()
        seen = time.monotonic()
        assert not (old := too_old(seen, topics[::6_007])), old[:5]
    assert len(portions[0]) >= 3, "this machine is too slow for this test to say anything"
    killed = time.monotonic()
    broker.kill()
    broker.start()
    assert not (old := too_old(killed, topics[::211])), f"{len(old)}: {old[:5]}"
