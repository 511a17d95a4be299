#!/usr/bin/python3
"""Takes values from the namespace and keeps its place: consume.py FILTER [COUNT] [HOST]

The session outlives the connection: what comes while this program is away waits for it on the broker's disk.
MQTT_CA in the environment is the file of the authority for TLS, MQTT_USER and MQTT_PASSWORD log in.
"""
import json
import os
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

topics, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
host = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
units = {}   # topic -> unit, as the model has it
taken = 0


def on_connect(client, userdata, flags, reason, properties):
    if reason != 0:
        sys.exit(f"refused: {reason} {getattr(properties, 'ReasonString', '')}")
    # What the model says comes first; last values come once, not again when the session is resumed.
    client.subscribe([("$UNS/meta/" + topics, SubscribeOptions(qos=1)),
                      (topics, SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB))])


def on_subscribe(client, userdata, mid, granted, properties):
    refused = [str(reason) for reason in granted if reason.value >= 0x80]
    if refused:
        sys.exit(f"no subscription: {', '.join(refused)}")


def on_message(client, userdata, message):
    global taken
    if message.topic.startswith("$UNS/meta/"):
        if message.payload:   # an empty one: the model has this topic no more
            units[message.topic[len("$UNS/meta/"):]] = json.loads(message.payload).get("unit", "")
        return
    if taken == count or not message.payload:
        return
    reading = json.loads(message.payload)
    print(message.topic, reading["value"], units.get(message.topic, ""), reading["timestamp"], flush=True)
    # Store it here. It is acknowledged when this function returns: until then the broker keeps it, and after a crash
    # in between it comes again, so storing the same value twice must do no harm.
    taken += 1
    if taken == count:
        client.disconnect()   # before this one is acknowledged: it comes again at the next start


options = {"client_id": "historian-1", "protocol": mqtt.MQTTv5}
if hasattr(mqtt, "CallbackAPIVersion"):   # Paho 2
    options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
client = mqtt.Client(**options)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
if "MQTT_CA" in os.environ:
    client.tls_set(os.environ["MQTT_CA"])
if "MQTT_USER" in os.environ:
    client.username_pw_set(os.environ["MQTT_USER"], os.environ.get("MQTT_PASSWORD"))
session = Properties(PacketTypes.CONNECT)
session.SessionExpiryInterval = 24 * 3600
client.connect_async(host, 8883 if "MQTT_CA" in os.environ else 1883, clean_start=False, properties=session)
client.loop_forever(retry_first_connection=True)   # whatever happens to broker and network, it connects again
