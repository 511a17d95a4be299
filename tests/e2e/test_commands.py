"""Every command of `trunkctl --help` has a test here, and a new one without fails; formats, exit codes, terminals."""
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
from reference import (MODEL, VALUE, api, change_config, commands, pages, plant, program, run_table, temporary,
                       trunkctl)

NO_TRUNKCTL = "has no trunkctl"
COMMANDS = {}


def command(name):
    """Marks the test of a command; they run in the order in which they stand here, on one broker."""
    def mark(function):
        assert name not in COMMANDS, name
        COMMANDS[name] = function
        return function
    return mark


def says(name, *arguments, text="", code=0):
    """A command whose words need one look."""
    def test(broker):
        shown = trunkctl(broker, *name.split(), *arguments, code=code)
        assert text in shown, (name, text, shown)
    command(name)(test)


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
says("model drift", text="rubbish", code=1)
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
    tracing = subprocess.Popen([program(broker), "clients", "trace", "edge-2", "-n", "6"], text=True,
                               stdout=subprocess.PIPE,
                               env={**os.environ, "TRUNKLINE_TOKEN": "token-of-anna",
                                    "TRUNKLINE_SERVER": f"127.0.0.1:{broker.admin_port}"})
    try:
        eventually(lambda: any(record["action"] == "client.trace" for record in
                               api(broker, "GET /api/v1/audit/tail")["records"]), 5, "the trace has begun")
        refused = broker.env.client(broker=broker)
        refused.connect("edge-2", username="edge", password=b"not-to-be-seen", reason=0x87)
        client = broker.env.connected("edge-2", broker=broker)
        client.publish("office/traced", b"x" * 3000, qos=1)
        shown, _ = tracing.communicate(timeout=10)
        lines = shown.splitlines()
        assert [re.search(r"(->|<-|--)  (\w+)", line).groups() for line in lines] == [
            ("->", "CONNECT"), ("<-", "CONNACK"), ("--", "closed"),
            ("->", "CONNECT"), ("<-", "CONNACK"), ("->", "PUBLISH"), ("<-", "PUBACK")], shown
        assert "not-to-be-seen" not in shown and "not shown" in lines[0] and "user_name=edge" in lines[0], shown
        assert "reason=Not authorized" in lines[1], lines[1]
        assert "(3000 bytes)" in lines[5] and len(lines[5]) < 1300, lines[5]
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
    bad = write_model("trunkline: 1\nx: 1\n", "b.yaml", broker.folder_of_test)
    shown = trunkctl(broker, "model", "check", bad, code=1)
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
    owned = f"$regulated: true\n      $owner: v{version}@x.example"
    text = MODEL.replace("1.0.0", version).replace("$regulated: true", owned)
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
    assert "the last reload of the configuration was not taken" in shown, shown
    assert "fix: trunkctl config check" in shown, shown
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


@mosquitto_differs(NO_TRUNKCTL)
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
        assert not path or f".SS {module.roff(path)}\n" in page, path
    run_table(COMMANDS, broker)
    broker.stop()


class Zsh:
    """A zsh at a terminal, with the completion of trunkctl."""

    def __init__(self, folder, completion):
        with open(os.path.join(folder, "_trunkctl"), "w", encoding="utf-8") as file:
            file.write(completion)
        self.terminal, other = pty.openpty()
        self.process = subprocess.Popen(["zsh", "-f", "-i"], stdin=other, stdout=other, stderr=other, cwd=folder,
                                        start_new_session=True, env={"PATH": os.environ["PATH"], "TERM": "dumb",
                                                                     "HOME": folder, "LC_ALL": "C.UTF-8"})
        os.close(other)
        # Control-X shows what the line has become, between marks.
        self.ask(f"PS1=; fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; "
                 "show() { print -r -- \"<$BUFFER>\"; BUFFER= }; zle -N show; bindkey '^X' show; print '<re''ady>'\n",
                 "<ready>")

    def ask(self, typed, until):
        os.write(self.terminal, typed.encode())
        text, deadline = "", time.monotonic() + 15
        while not re.search(until, text):
            assert time.monotonic() < deadline, text
            if select.select([self.terminal], [], [], 0.1)[0]:
                text += os.read(self.terminal, 65536).decode(errors="replace")
        return re.findall(until, text)[-1]

    def completes(self, typed):
        return self.ask(typed + "\t\x18", r"<([^<>]*)>\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(5)
        os.close(self.terminal)


@mosquitto_differs(NO_TRUNKCTL)
def test_completion_in_zsh(env):
    """A real zsh completes commands, those below them, and their options, also behind options with a value."""
    broker = plant(env)
    tree = commands(broker)
    with Zsh(env.temporary(), pages().zsh(tree)) as zsh:
        for typed, whole in (("stat", "status"), ("--serv", "--server"), ("--context plant stat", None),
                             ("sessions ls --stat", "sessions ls --state"), ("model ver", "model versions"),
                             ("--c", "--c"), ("-o json quarantine rep", "-o json quarantine replay")):
            whole = whole or typed + "us"
            found = zsh.completes("trunkctl " + typed)
            assert found.rstrip() == "trunkctl " + whole, (typed, found)
        for group in tree.children:
            last = group.children[-1] if group.children else group
            typed = "trunkctl " + " ".join(last.path)
            assert zsh.completes(typed) == typed + " ", typed   # a blank behind: it is one
        assert zsh.completes("trunkctl nothing-of-this-name") == "trunkctl nothing-of-this-name"
    broker.stop()


@mosquitto_differs(NO_TRUNKCTL)
def test_output_formats_and_exit_codes(env):
    """-o table, json, yaml and jsonl; 0 ok, 1 findings, 2 usage, 3 no connection, 4 not authorised."""
    broker = plant(env)
    found = json.loads(trunkctl(broker, "sessions", "ls", "-o", "json"))
    assert [one["client_id"] for one in found] == ["away/1", "edge-1"], found
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
    process = subprocess.Popen([program(broker), *arguments], stdout=other, stderr=other, stdin=subprocess.DEVNULL,
                               env=env)
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


@mosquitto_differs(NO_TRUNKCTL)
def test_terminal(env):
    """On a terminal tables fit its width and have colour; --watch paints again; what takes over two seconds says so."""
    broker = plant(env)
    long = env.connected("x" * 100, broker=broker)
    text = on_terminal(broker, 60, "clients", "ls", until=lambda t: "edge-1" in t and t.count("\n") >= 3)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.replace("\r", "").splitlines()]
    assert lines and all(len(line) <= 60 for line in lines), lines
    assert "\x1b[1m" in text and "\u2026" in text, text
    plain = on_terminal(broker, 200, "--no-color", "clients", "ls", until=lambda t: t.count("\n") >= 3)
    assert "\x1b" not in plain and "x" * 100 in plain, plain
    on_terminal(broker, 80, "--watch", "--interval", "0.2", "clients", "ls", until=lambda t: t.count("\x1b[2J") >= 3)
    long.disconnect()
    broker.process.send_signal(signal.SIGSTOP)
    try:
        on_terminal(broker, 80, "status", until=lambda t: "waiting for" in t, seconds=6)
    finally:
        broker.process.send_signal(signal.SIGCONT)
    broker.stop()
