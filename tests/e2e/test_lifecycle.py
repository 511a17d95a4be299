"""Starting, stopping, readiness, the command line."""
import os
import re
import subprocess
import time

import mqttcodec as codec
from harness import eventually, mosquitto_differs
from mqttcodec import CONNACK, V311, Will


@mosquitto_differs("is another program")
def test_sigterm_says_goodbye(env):
    """[MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-3.14.4-2] SIGTERM: v5 clients get DISCONNECT 0x8B, older ones the close,
    the process exits with 0 within seconds."""
    broker = env.own_broker()
    five, four = env.connected(broker=broker), env.connected(version=V311, broker=broker)
    half = env.client(broker=broker)
    seconds = broker.stop()
    five.expect_disconnect(0x8B)
    four.expect_close()
    half.expect_close(allow=(CONNACK,))
    assert seconds < 5, f"stopping took {seconds:.1f} s"


@mosquitto_differs("is another program")
def test_config_file_and_flags(env):
    """Started by flags alone, without a file, the broker serves; and the admin endpoints answer."""
    broker = env.own_broker(config=False)
    env.still_serves(broker)
    assert broker.http("/healthz")[0] == 200 and broker.http("/readyz")[0] == 200
    status, text = broker.http("/metrics")
    assert status == 200 and "trunkline_connections" in text and "trunkline_build_info" in text, text[:300]
    broker.stop()


@mosquitto_differs("has no metrics")
def test_metrics_count(env):
    """What went through is in /metrics, under the documented names."""
    broker = env.own_broker()
    client = env.connected(broker=broker)
    client.subscribe(env.topic(), qos=1)
    for _ in range(5):
        client.publish(env.topic(), b"x", qos=1)
        client.puback(client.wait_for(codec.PUBLISH))

    def value(name):
        text = broker.http("/metrics")[1]
        found = re.findall(rf"^trunkline_{name} ([0-9.e+]+)$", text, re.MULTILINE)
        return sum(map(float, found)) if found else -1
    eventually(lambda: value(r'messages_received_total\{[^}]*qos="1"[^}]*\}') == 5, 3, "five messages received")
    eventually(lambda: value(r'messages_sent_total\{[^}]*qos="1"[^}]*\}') == 5, 3, "five messages sent")
    eventually(lambda: value(r"connections\{[^}]*\}") == 1, 3, "one connection")
    eventually(lambda: value(r"ready") == 1, 3, "ready")
    broker.stop()


def test_dollar_sys(env):
    """$SYS/broker/# follows Mosquitto's names."""
    client = env.connected()
    client.subscribe("$SYS/broker/#")
    wanted = {"version", "uptime", "clients/connected", "messages/received", "messages/sent", "bytes/received",
              "bytes/sent", "subscriptions/count", "retained messages/count"}
    deadline = time.monotonic() + 12
    while wanted and time.monotonic() < deadline:
        found = client.recv(12)
        wanted.discard(found.topic[len("$SYS/broker/"):])
    assert not wanted, f"missing {wanted}"


@mosquitto_differs("is another program")
def test_check_config(env):
    """--check-config: 0 for a good file; 1 with file:line for unknown keys and wrong types."""
    cases = [("listeners:\n  - url: mqtt://127.0.0.1:1883\n", 0), ("listenres: []\n", 1),
             ("limits:\n  max_connections: many\n", 1), ("limits:\n  no_such_limit: 3\n", 1), ("data: [\n", 1)]
    for number, (text, code) in enumerate(cases):
        path = os.path.join(env.temporary(), f"{number}.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        done = subprocess.run([env.brokers.binary, "--config", path, "--check-config"], capture_output=True, text=True,
                              timeout=20, check=False, env={**os.environ, **env.brokers.environment})
        assert done.returncode == code, f"{text!r}: exit {done.returncode}: {done.stderr}"
        if code:
            assert f"{number}.yaml:" in done.stdout + done.stderr, f"no file:line in {done.stderr!r}"


@mosquitto_differs("is another program")
def test_version_and_help(env):
    """--version and --help exit with 0 and say something."""
    for flag in ("--version", "--help"):
        done = subprocess.run([env.brokers.binary, flag], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0 and done.stdout.strip(), done


@mosquitto_differs("is another program")
def test_two_brokers_on_one_data_directory(env):
    """The second one refuses to start instead of harming the first one's data."""
    broker = env.own_broker()
    command = [env.brokers.binary, "--data", broker.data, "--listen", "mqtt://127.0.0.1:0", "--admin", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=env.temporary())
    try:
        assert process.wait(15) != 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
    env.still_serves(broker)
    broker.stop()


@mosquitto_differs("is another program")
def test_stop_under_load_and_start_again(env):
    """SIGTERM in the middle of a stream of QoS 1 messages: every acknowledged one is there after the start."""
    broker = env.own_broker()
    props = {"session_expiry_interval": 600}
    client = env.connected(env.id(), broker=broker, props=props)
    client.subscribe(env.topic(), qos=1)
    client.drop()
    publisher = env.connected(broker=broker)
    publisher.send(*(codec.publish(env.topic(), str(number).encode(), qos=1, packet_id=number + 1)
                     for number in range(1000)))
    acknowledged = set()
    for _ in range(200):
        acknowledged.add(publisher.expect(codec.PUBACK).packet_id - 1)
    broker.stop()
    for found in publisher.drain(0.5):
        if found.kind == codec.PUBACK and found.reason == 0:
            acknowledged.add(found.packet_id - 1)
    broker.start()
    client = env.connected(env.id(), broker=broker, clean=False, props=props)
    assert client.connack.session_present
    got = []
    while acknowledged - set(got):
        got.append(int(client.message().payload))
    assert got == sorted(got)
    broker.stop()


@mosquitto_differs("starts slower")
def test_start_is_quick(env):
    """An empty broker is ready within 2 s."""
    started = time.monotonic()
    broker = env.own_broker()
    assert time.monotonic() - started < 2
    broker.stop()


@mosquitto_differs("publishes no wills when it stops")
def test_wills_at_shutdown(env):
    """[MQTT-3.1.2-8] the broker's own stop is not the client's normal end: a retained will of a client that was
    connected is there after the restart."""
    broker = env.own_broker()
    env.connected(broker=broker, will=Will(env.topic(), b"will", qos=1, retain=True))
    broker.stop()
    broker.start()
    reader = env.connected(broker=broker)
    reader.subscribe(env.topic())
    reader.message(payload=b"will", timeout=5)
    broker.stop()
