"""Shared subscriptions."""
import collections

import mqttcodec as codec
from harness import eventually, mosquitto_differs, versions
from mqttcodec import PUBLISH, V311, V5


def members(env, count, qos=1, props=None, group="g", topic="t"):
    """`count` members of one group and a publisher."""
    found = []
    for number in range(count):
        member = env.connected(env.id(f"m{group}{number}"), props=props, clean=True)
        member.subscribe(f"$share/{group}/{env.topic(topic)}", qos=qos)
        found.append(member)
    return found, env.connected()


@versions(V311, V5)
def test_each_message_goes_to_one_member(env, version):
    """[MQTT-4.8.2-1] 90 messages over three members: each once, none to nobody, shared out fairly; a plain
    subscription and another group get all of them besides. Before v5, too."""
    clients = [env.connected(version=version) for _ in range(3)]
    for client in clients:
        client.subscribe(f"$share/g/{env.topic('+')}", qos=1)
    lone, plain, publisher = (env.connected(version=version) for _ in range(3))
    lone.subscribe(f"$share/other/{env.topic('#')}", qos=1)
    plain.subscribe(env.topic("#"), qos=1)
    for number in range(90):
        publisher.publish(env.topic(str(number % 4)), str(number).encode(), qos=1)
    everything = sorted(str(number).encode() for number in range(90))
    for client in (lone, plain):
        assert sorted(found.payload for found in client.take(90)) == everything
    shares = []
    for client in clients:
        share = [found for found in client.drain(0.3) if found.kind == PUBLISH]
        shares.append([found.payload for found in share])
    assert sorted(payload for share in shares for payload in share) == everything
    assert all(15 <= len(share) <= 45 for share in shares), [len(share) for share in shares]


@mosquitto_differs("accepts some")
def test_bad_shared_filters(env):
    """[MQTT-4.8.2-1] [MQTT-4.8.2-2] share name empty, with wildcard, or without a filter behind it: 0x8F (or 0x9E), or
    a protocol error that closes."""
    for text in ("$share/", "$share//a", "$share/g", "$share/g/", "$share/+/a", "$share/g#/a", "$share/#",
                 "$share/g/a#"):
        client = env.connected()
        client.send(codec.subscribe(1, [(text, 1)]))
        found = client.recv()
        if found.kind == codec.SUBACK:
            assert found.codes[0] in (0x8F, 0x82, 0x87), f"{text}: {found}"
        else:
            assert found.kind == codec.DISCONNECT and found.reason in (0x81, 0x82, 0x8F), f"{text}: {found}"


def test_granted_qos_is_respected(env):
    """[MQTT-4.8.2-3] [MQTT-3.8.4-8] members with different granted QoS get the lesser of it and the message's."""
    clients = {qos: env.connected() for qos in (0, 1, 2)}
    for qos, client in clients.items():
        client.subscribe(f"$share/g/{env.topic()}", qos=qos)
    publisher = env.connected()
    for _ in range(30):
        publisher.publish(env.topic(), b"", qos=2)
    total = 0
    for qos, client in clients.items():
        got = []
        for found in client.drain(0.3):
            got.append(found.qos)
        assert all(item == qos for item in got), (qos, got)
        total += len(got)
    assert total == 30


@mosquitto_differs("has one more in flight than the client takes")
def test_leaving_members_give_back(env):
    """[MQTT-4.5.0-1] what a member whose session ended, or who unsubscribed, had not acknowledged (QoS 1) or not
    received goes to the others; nothing is lost."""
    (first, second), publisher = members(env, 2, props={"receive_maximum": 5})
    for number in range(40):
        publisher.publish(env.topic(), str(number).encode(), qos=1)
    got = collections.Counter()

    def take(client):
        for found in client.drain(0.2):
            if found.kind == PUBLISH:
                client.puback(found)
                got[found.payload] += 1
    first.drop()  # session expiry 0: its session ends with the connection

    def complete():
        take(second)
        return len(got) == 40
    eventually(complete, 8, "all 40 with the remaining member")


def test_offline_member_of_a_persistent_session(env):
    """[MQTT-4.5.0-1] with one member offline and one online all messages reach the online one, or the offline one
    when it is back: none is lost, none is doubled."""
    props = {"session_expiry_interval": 60}
    (first, second), publisher = members(env, 2, props=props)
    first.drop()
    for number in range(20):
        publisher.publish(env.topic(), str(number).encode(), qos=1)
    got = [found.payload for found in take_all(second)]
    first = env.connected(env.id("mg0"), clean=False, props=props)
    got += [found.payload for found in take_all(first)]
    assert sorted(got) == sorted(str(number).encode() for number in range(20)), got


def take_all(client):
    """Every PUBLISH (QoS 0 or 1) that comes until a pause, acknowledged."""
    seen = []
    while True:
        found = [item for item in client.drain(0.3) if item.kind == PUBLISH]
        if not found:
            return seen
        for item in found:
            if item.qos == 1:
                client.puback(item)
        seen += found


def test_all_members_offline(env):
    """[MQTT-4.5.0-1] messages for a group whose members are all offline wait and are delivered once to one of them."""
    props = {"session_expiry_interval": 60}
    clients, publisher = members(env, 2, props=props)
    for client in clients:
        client.drop()
    for number in range(10):
        publisher.publish(env.topic(), str(number).encode(), qos=1)
    got = []
    for number in range(2):
        client = env.connected(env.id(f"mg{number}"), clean=False, props=props)
        got += [found.payload for found in take_all(client)]
    assert sorted(got) == sorted(str(number).encode() for number in range(10)), got


def test_qos_2_stays_with_its_member(env):
    """[MQTT-4.8.2-4] a QoS 2 delivery begun with one member is completed with it, after its reconnect, and nobody
    else gets the message."""
    props = {"session_expiry_interval": 60}
    clients, publisher = members(env, 2, qos=2, props=props)
    publisher.publish(env.topic(), b"begun", qos=2)
    owner, found = None, None
    for index, client in enumerate(clients):
        seen = client.drain(0.3)
        if seen:
            owner, found = index, seen[0]
    clients[owner].drop()
    other = clients[1 - owner]
    other.expect_nothing(0.3)
    again = env.connected(env.id(f"mg{owner}"), clean=False, props=props)
    resent = again.expect(PUBLISH, payload=b"begun", dup=True, packet_id=found.packet_id)
    again.acknowledge(resent)
    other.expect_nothing(0.2)


@mosquitto_differs("may send it to another member")
def test_qos_2_dies_with_its_session(env):
    """[MQTT-4.8.2-5] when the session of the member that was sent a QoS 2 message ends, it goes to nobody else."""
    clients, publisher = members(env, 2, qos=2)
    publisher.publish(env.topic(), b"begun", qos=2)
    owner = next(index for index, client in enumerate(clients) if client.drain(0.3))
    clients[owner].drop()
    clients[1 - owner].expect_nothing(0.5)


def test_refused_by_the_member(env):
    """[MQTT-4.8.2-6] a PUBACK or PUBREC of 0x80 or more drops the message: the other member does not get it."""
    clients, publisher = members(env, 2, qos=2)
    for qos in (1, 2):
        publisher.publish(env.topic(), b"refused", qos=qos)
        owner, found = next((index, seen[0]) for index, seen in
                            ((index, client.drain(0.3)) for index, client in enumerate(clients)) if seen)
        clients[owner].send(codec.ack(codec.PUBACK if qos == 1 else codec.PUBREC, found.packet_id, 0x97))
        clients[owner].in_flight.clear()
        clients[1 - owner].expect_nothing(0.3)
        clients[owner].expect_nothing(0.1)


def test_shared_and_plain_in_one_client(env):
    """A client with a plain and a shared subscription to the same topic gets the message for each of them, with the
    identifier of each [MQTT-3.3.4-3]."""
    client = env.connected()
    client.subscribe(env.topic(), qos=1, props={"subscription_identifier": 1})
    client.subscribe(f"$share/g/{env.topic()}", qos=1, props={"subscription_identifier": 2})
    env.connected().publish(env.topic(), b"x", qos=1)
    got = client.take(2)
    assert sorted(found.props["subscription_identifier"] for found in got) == [[1], [2]], got


def test_unsubscribe_shared(env):
    """[MQTT-3.10.4-1] unsubscribing needs the same share name and filter; the others go on."""
    clients, publisher = members(env, 2)
    assert clients[0].unsubscribe(f"$share/x/{env.topic()}", env.topic()).codes == [0x11, 0x11]
    assert clients[0].unsubscribe(f"$share/g/{env.topic()}").codes == [0]
    for number in range(6):
        publisher.publish(env.topic(), str(number).encode(), qos=1)
    assert [found.payload for found in clients[1].take(6)] == [str(number).encode() for number in range(6)]
    clients[0].expect_nothing(0.1)


@mosquitto_differs("has one more in flight than the client takes")
def test_full_member_does_not_block_the_others(env):
    """[MQTT-4.9.0-2] a member whose Receive Maximum is used up gets no more; the others take the rest."""
    (slow, fast), publisher = members(env, 2, props={"receive_maximum": 2})
    for number in range(30):
        publisher.publish(env.topic(), str(number).encode(), qos=1)
    held = [found.payload for found in slow.drain(0.3)]
    got = [found.payload for found in take_all(fast)]
    assert len(held) <= 2
    assert len(set(got) | set(held)) == len(got) + len(held), "a message went to both"
    slow.drop()
    got += [found.payload for found in take_all(fast)]
    assert sorted(set(got)) == sorted(str(number).encode() for number in range(30)), len(got)
