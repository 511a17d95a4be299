"""Logins that a directory judges: a real slapd, with TLS."""
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import warnings

import access
from access import secret
from harness import Certificates, eventually, free_port, mosquitto_differs, versions
from mqttcodec import CONNACK, V311, V5
from services import DocumentedBroker, Relay, Slapd, Trap, documented, put
from test_authentication import NOT_AUTHORIZED, OTHER, WRONG, attempt, guarded, round_trip
from test_http_login import UNAVAILABLE, check_guessing_is_slowed, counted, told


def person(uid, password=None, dn_value=None):
    return (f"dn: uid={dn_value or uid},{Slapd.PEOPLE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\n"
            f"sn: x\nuserPassword: {password or secret(uid)}\n\n")


PEOPLE = (person("dora") + person("guest") + person("gone") + person("o,brien+x", secret("brien"), "o\\,brien\\+x") +
          person("st*r (x)", secret("star")) +
          f"dn: cn=operators,{Slapd.GROUPS}\nobjectClass: groupOfNames\ncn: operators\n"
          f"member: uid=dora,{Slapd.PEOPLE}\nmember: uid=o\\,brien\\+x,{Slapd.PEOPLE}\n"
          f"member: uid=st*r (x),{Slapd.PEOPLE}\n\n"
          f"dn: cn=others,{Slapd.GROUPS}\nobjectClass: groupOfNames\ncn: others\nmember: uid=guest,{Slapd.PEOPLE}\n\n")
ROLES = [{"group": f"CN=Operators, {Slapd.GROUPS}", "roles": ["all"]}]
# What must not be taken for anything but a name.
INJECTIONS = ("*", "dora*", "d*", "dora)(uid=*", "*)(uid=*))(|(uid=*", "dora,ou=people", f"dora,{Slapd.PEOPLE}",
              "dora+cn=dora", "\\64ora", "dora\\", "(uid=dora)", "#04046461", "dora,", '"dora"', "%u", "uid=dora")


def directory(env, **kwargs):
    return Slapd(os.path.join(env.temporary(), f"slapd-{next(env.names)}"), PEOPLE, **kwargs)


def by_search(env, url, **extra):
    """The configuration with a search account, groups by memberOf."""
    password = os.path.join(env.temporary(), "searcher")
    if not os.path.exists(password):
        access.write_private(password, secret("searcher"))
    return {"ldap": {"url": url, "ca": Certificates.shared().path("ca.crt"),
                     "search": {"base": Slapd.PEOPLE, "filter": "(&(objectClass=person)(uid=%u))",
                                "bind_dn": Slapd.SEARCHER, "password": f"file:{password}"},
                     "groups": {"attribute": "memberOf"}, "group_roles": ROLES, **extra}}


def by_template(url, **extra):
    """The configuration without one, groups by a search as the user."""
    return {"ldap": {"url": url, "ca": Certificates.shared().path("ca.crt"), "bind_dn": f"uid=%u,{Slapd.PEOPLE}",
                     "groups": {"base": Slapd.GROUPS, "filter": "(&(objectClass=groupOfNames)(member=%d))"},
                     "group_roles": ROLES, **extra}}


@mosquitto_differs(OTHER)
@versions(V311, V5)
def test_logins(env, version):
    """By search and by template: the right password gets in with the roles of its groups; a wrong one, an unknown user,
    an empty password and names that are more than names do not, and are told the same."""
    with directory(env) as slapd:
        for one in (by_search(env, slapd.tls_url()), by_template(slapd.url, start_tls=True)):
            broker = guarded(env, [one], listeners=("mqtt", "wss", "proxy"))
            sides = ({}, {"listener": "wss"})
            for side in sides:
                client = attempt(env, broker, 0, version=version, username="dora", password=secret("dora"), **side)
                round_trip(env, client)
            for user, password in (("o,brien+x", "brien"), ("st*r (x)", "star")):
                round_trip(env, attempt(env, broker, 0, version=version, username=user, password=secret(password)))
            guest = attempt(env, broker, 0, version=version, username="guest", password=secret("guest"))
            if version == V5:
                guest.publish(env.topic("no"), b"x", qos=1, reason=NOT_AUTHORIZED)   # in another group
            for user, password in (("dora", secret("guest")), ("nobody", secret("dora")), ("dora", ""), ("guest", "")):
                attempt(env, broker, WRONG, version=version, username=user, password=password)
            attempt(env, broker, NOT_AUTHORIZED, version=version)
            attempt(env, broker, NOT_AUTHORIZED, version=version, username="dora")
            # who is disabled in the roles file is so however the name is written
            for name in ("gone", "GONE", "Gone"):
                attempt(env, broker, NOT_AUTHORIZED, version=version, username=name, password=secret("gone"))
            assert counted(broker, "accepted", "ldap") == 5
            assert not any("auth_backend_failed" in line for line in broker.stderr), broker.tail()
            broker.stop()


@mosquitto_differs(OTHER)
def test_injection(env):
    """No name widens a filter or leaves its part of a distinguished name."""
    with directory(env) as slapd:
        for one in (by_search(env, slapd.tls_url()), by_template(slapd.tls_url())):
            for names in (INJECTIONS[:5], INJECTIONS[5:10], INJECTIONS[10:]):   # guesses from an address are slowed
                broker = guarded(env, [one])
                for name in names:
                    attempt(env, broker, WRONG, username=name, password=secret("dora"))
                attempt(env, broker, 0, username="dora", password=secret("dora"))
                assert not any("auth_backend_failed" in line for line in broker.stderr), broker.tail()
                broker.stop()


@mosquitto_differs(OTHER)
def test_chain(env):
    """Users of the roles file log in beside those of the directory, whichever is asked first; the name is the
    directory's; a user of a group that is removed loses its roles with the next login."""
    with directory(env) as slapd:
        for order in ([by_search(env, slapd.tls_url()), "password"], ["password", by_search(env, slapd.tls_url())]):
            broker = guarded(env, order)
            attempt(env, broker, 0, username="ann", password=secret("ann"))
            attempt(env, broker, WRONG, username="ann", password=secret("bob"))
            client = attempt(env, broker, 0, "dora-1", username="DORA", password=secret("dora"))
            round_trip(env, client)
            assert '"dora"' in broker.http("/api/v1/clients")[1], broker.http("/api/v1/clients")
            broker.stop()
        broker = guarded(env, [by_search(env, slapd.tls_url())])
        round_trip(env, attempt(env, broker, 0, username="dora", password=secret("dora")))
        slapd.modify(f"dn: cn=operators,{Slapd.GROUPS}\nchangetype: modify\ndelete: member\n"
                     f"member: uid=dora,{Slapd.PEOPLE}\n")
        client = attempt(env, broker, 0, username="dora", password=secret("dora"))
        client.publish(env.topic("no"), b"x", qos=1, reason=NOT_AUTHORIZED)


@mosquitto_differs(OTHER)
def test_down_and_up(env):
    """While the directory is away a login is denied, or the next method's; when it is back, connections are opened
    again and nothing has to be restarted."""
    with directory(env) as slapd:
        denying = guarded(env, [by_search(env, slapd.tls_url()), "password"])
        deferring = guarded(env, [by_template(slapd.tls_url(), when_unreachable="defer"), "password"])
        for broker in (denying, deferring):
            attempt(env, broker, 0, username="dora", password=secret("dora"))
        slapd.stop()
        for version in (V311, V5):
            attempt(env, denying, UNAVAILABLE, version=version, username="ann", password=secret("ann"))
            attempt(env, deferring, 0, version=version, username="ann", password=secret("ann"))
            attempt(env, deferring, WRONG, version=version, username="dora", password=secret("dora"))
        assert counted(denying, "unavailable", "ldap") == 2
        for broker in (denying, deferring):
            assert told(broker, "auth_backend_failed") == 1, broker.tail()
        for _ in range(2):
            slapd.start()
            for broker in (denying, deferring):
                round_trip(env, attempt(env, broker, 0, username="dora", password=secret("dora")))
            slapd.stop()
        told(denying, "auth_backend_recovered")
    nobody = guarded(env, [by_search(env, f"ldaps://127.0.0.1:{free_port()}", when_unreachable="defer"),
                           by_search(env, "ldaps://no-such-host.invalid", when_unreachable="defer"), "password"])
    attempt(env, nobody, 0, username="ann", password=secret("ann"))


@mosquitto_differs(OTHER)
def test_tls(env):
    """A stranger's authority, a certificate for another host, a server without StartTLS: no password is sent, nobody
    gets in, nobody is deferred. Without TLS only by name."""
    with directory(env) as slapd, directory(env, tls=False) as plain:
        stranger = Certificates.shared().path("stranger-ca.crt")
        relay, plain_relay = Relay(slapd.tls_port), Relay(slapd.port)
        for url, extra in ((slapd.tls_url(), {"ca": stranger}), (slapd.url, {"ca": stranger, "start_tls": True}),
                           (f"ldaps://{relay.address}:{relay.port}", {}),
                           (f"ldap://{plain_relay.address}:{plain_relay.port}", {"start_tls": True}),
                           (plain.url, {"start_tls": True}), (f"ldaps://127.0.0.1:{plain.port}", {"timeout": "2s"})):
            for one in (by_search, lambda _, *args, **kwargs: by_template(*args, **kwargs)):
                broker = guarded(env, [one(env, url, when_unreachable="defer", **extra), "password"])
                attempt(env, broker, UNAVAILABLE, username="ann", password=secret("ann"))
                told(broker, "TLS failed")
                broker.stop()
        assert relay.connections == 2 and plain_relay.connections == 2
        for log in (slapd.log(), plain.log()):
            binds = [line for line in log.splitlines() if " BIND dn=" in line]
            assert all(Slapd.ROOT in line for line in binds), binds
        insecure = by_search(env, plain.url, allow_insecure=True)
        del insecure["ldap"]["ca"]
        round_trip(env, attempt(env, guarded(env, [insecure]), 0, username="dora", password=secret("dora")))
        relay.stop()
        plain_relay.stop()


@mosquitto_differs(OTHER)
def test_old_tls(env):
    """A server that speaks no TLS of today is sent nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # that they are deprecated is the point
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    path = Certificates.shared().path
    context.load_cert_chain(path("server.crt"), path("server.key"))
    server = socket.create_server(("127.0.0.1", 0))
    seen = []

    def serve():
        with contextlib.suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True) as sock:
            seen.append(sock.recv(4096))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    broker = guarded(env, [by_template(f"ldaps://127.0.0.1:{server.getsockname()[1]}")])
    attempt(env, broker, UNAVAILABLE, username="dora", password=secret("dora"))
    told(broker, "TLS failed")
    thread.join(5)
    server.close()
    # an unbind request says goodbye, and nothing of the client (RFC 4511, section 4.3)
    assert not thread.is_alive() and all(data in (b"", b"0\x05\x02\x01\x01B\0") for data in seen), seen


@mosquitto_differs(OTHER)
def test_hanging(env):
    """A directory that accepts and says nothing, in the handshake or after: refused when its time is over, nobody is
    deferred, others are not delayed, and a stop does not wait for it."""
    trap = Trap()
    url = f"ldap://127.0.0.1:{trap.port}"
    for one in (by_search(env, f"ldaps://127.0.0.1:{trap.port}", timeout="1s"),
                by_template(url, start_tls=True, timeout="1s"), by_search(env, url, allow_insecure=True, timeout="1s")):
        if "allow_insecure" in one["ldap"]:
            del one["ldap"]["ca"]
        broker = guarded(env, [{**one, "ldap": {**one["ldap"], "when_unreachable": "defer"}}, "password"])
        started = time.monotonic()
        attempt(env, broker, UNAVAILABLE, username="ann", password=secret("ann"))
        assert 0.9 < time.monotonic() - started < 3
        told(broker, "no answer in time")
        broker.stop()
    slow = {**by_search(env, f"ldaps://127.0.0.1:{trap.port}", timeout="30s")}
    broker = guarded(env, ["password", slow], listeners=("mqtt", "ws"))
    running = attempt(env, broker, 0, username="ann", password=secret("ann"))
    hanging = []
    for i in range(6):         # more than there are connections
        client = env.client(broker=broker)
        client.send_connect(env.id(f"h{i}"), username="dora", password=secret("dora"))
        hanging.append(client)
    eventually(lambda: len(trap.sockets) >= 3 + 4, what="all connections hang")
    for _ in range(5):
        started = time.monotonic()
        attempt(env, broker, 0, username="bob", password=secret("bob"))
        round_trip(env, running)
        assert time.monotonic() - started < 1
    hanging.pop().drop()
    assert len(trap.sockets) == 3 + 4
    assert broker.stop() < 5
    trap.stop()


@mosquitto_differs(OTHER)
def test_garbage(env):
    """A server that is no directory, and what looks like an answer and is none."""
    for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x30\x84\xff\xff\xff\xff" + b"x" * 100,
                   b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04", b"\x30\x80\x00\x00", bytes(1000)):
        trap = Trap(answer)
        url = f"ldap://127.0.0.1:{trap.port}"
        insecure = {"allow_insecure": True, "timeout": "2s", "when_unreachable": "defer"}
        for one in (by_template(url, **insecure), by_search(env, url, **insecure)):
            del one["ldap"]["ca"]
            broker = guarded(env, [one, "password"])
            for _ in range(2):
                attempt(env, broker, UNAVAILABLE, username="ann", password=secret("ann"))
            broker.stop()
        trap.stop()


@mosquitto_differs(OTHER)
def test_referral(env):
    """What a directory refers to elsewhere is not followed."""
    trap = Trap(b"")
    with directory(env) as slapd:
        slapd.tool("ldapadd", f"dn: ou=away,{Slapd.PEOPLE}\nobjectClass: referral\nobjectClass: extensibleObject\n"
                              f"ou: away\nref: ldap://127.0.0.1:{trap.port}/ou=away,{Slapd.PEOPLE}\n\n")
        broker = guarded(env, [by_search(env, slapd.tls_url())])
        round_trip(env, attempt(env, broker, 0, username="dora", password=secret("dora")))
        attempt(env, broker, WRONG, username="nobody", password=secret("dora"))
        away = by_template(slapd.tls_url())
        away["ldap"]["bind_dn"] = f"uid=%u,ou=away,{Slapd.PEOPLE}"
        attempt(env, guarded(env, [away]), WRONG, username="dora", password=secret("dora"))
    assert trap.sockets == []
    trap.stop()


@mosquitto_differs(OTHER)
def test_search_account(env):
    """Another password of the search account is taken by SIGHUP; a wrong one lets nobody in and says so."""
    with directory(env) as slapd:
        broker = guarded(env, [by_search(env, slapd.tls_url(), when_unreachable="defer"), "password"])
        attempt(env, broker, 0, username="dora", password=secret("dora"))
        slapd.modify(f"dn: {Slapd.SEARCHER}\nchangetype: modify\nreplace: userPassword\n"
                     f"userPassword: {secret('changed')}\n")
        for password, reason in (("never", UNAVAILABLE), ("changed", 0)):
            access.write_private(os.path.join(env.temporary(), "searcher"), secret(password))
            before = len(broker.stderr)
            broker.process.send_signal(signal.SIGHUP)
            eventually(lambda: any("config_reloaded" in line for line in broker.stderr[before:]), what="reload")
            attempt(env, broker, reason, username="dora", password=secret("dora"))
        assert not any("needs_restart" in line for line in broker.stderr), broker.tail()
        told(broker, "the search account cannot log in")


@mosquitto_differs(OTHER)
def test_guessing_is_slowed(env):
    """Wrong passwords make the next attempt from that address wait."""
    with directory(env) as slapd:
        broker = guarded(env, [by_search(env, slapd.tls_url())])
        check_guessing_is_slowed(env, broker, "dora")


@mosquitto_differs(OTHER)
def test_no_secret_leaks(env):
    """No password in logs, metrics, administration or the command line; connections are kept."""
    with directory(env) as slapd:
        broker = guarded(env, [by_search(env, slapd.tls_url())], flags=("--log-level", "debug"))
        for _ in range(3):
            attempt(env, broker, 0, username="dora", password=secret("dora"))
        attempt(env, broker, WRONG, username="dora", password=secret("wrong"))
        client = env.client(broker=broker)
        client.send_connect(env.id("x"), username="nobody", password=secret("nobody"))
        client.expect(CONNACK, reason=WRONG)
        seen = "".join(broker.http(path)[1] for path in ("/metrics", "/api/v1/config", "/api/v1/clients"))
        with open(f"/proc/{broker.process.pid}/cmdline", "rb") as file:
            seen += file.read().decode()
        broker.stop()
        assert access.ALPHABET_FREE not in seen + "\n".join(broker.stderr)
        accepted = [line for line in slapd.log().splitlines() if "ACCEPT from" in line and "ldaps" in line]
        assert len(accepted) <= 2 * 2, accepted      # one to search and one to bind with, for each thread that was used


@mosquitto_differs(OTHER)
def test_documented(env):
    """The examples of docs/access.md work as they are written."""
    roles = [text for language, text in documented("An HTTP service") if language == "yaml"][0]
    (_, script), (_, config), (_, active_directory) = documented("A directory")
    folder, port = env.temporary(), str(free_port())
    put(folder, "roles.yaml", roles)
    script = "set -e\nPATH=$PATH:/usr/sbin\n" + script.replace("6360", port) + "echo $! > pid\n"
    subprocess.run(["bash", "-c", script], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60,
                   check=True)
    try:
        broker = DocumentedBroker(env.brokers.binary, folder, config.replace("6360", port))
        env.own_brokers.append(broker)
        broker.start()
        eventually(lambda: broker.publish("valve")[0] == 0, what="slapd serves")
        code, said = broker.publish("wrong")
        assert code != 0 and "bad user name or password" in said, (code, said)
    finally:
        with open(os.path.join(folder, "pid"), encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGTERM)
    put(folder, "ldap-password", "x")
    put(folder, "acme-ca.pem", "x")
    put(folder, "ad.yaml", "authenticators:\n" + active_directory)
    check = subprocess.run([env.brokers.binary, "--config", os.path.join(folder, "ad.yaml"), "--check-config"],
                           capture_output=True, text=True, timeout=20, check=False)
    assert check.returncode == 0, check.stderr
