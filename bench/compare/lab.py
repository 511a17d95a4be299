"""Starts and stops the brokers of a comparison, runs trunkbench against them, and writes results down.

Python 3 standard library only. Everything that is started is stopped by its process id, and every temporary directory
removed, whether the run ends, fails or is interrupted.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "bench" / "results"


class LabError(Exception):
    """Something the person at the keyboard has to know; printed without a traceback."""


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return True
    except OSError:
        return False


class Broker:
    """A broker process in a temporary directory of its own. Use as a context manager."""

    name = "broker"

    def __init__(self):
        self.port = free_port()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="trunkbench-"))
        self.log = self.directory / "log"
        self.log_start = 0  # bytes of the log that earlier starts wrote
        self.process = None

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        return accepts(self.port)

    def start(self, timeout_s=60):
        """Starts the process; returns the seconds until it was ready."""
        started = time.monotonic()
        self.log_start = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            cwd=self.directory)
        while not self.is_ready():
            if self.process.poll() is not None:
                raise LabError(f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() - started > timeout_s:
                raise LabError(f"{self.name} is not ready after {timeout_s} s:\n{self.log_tail()}")
            time.sleep(0.01)
        return time.monotonic() - started

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def log_tail(self):
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Mosquitto(Broker):
    """Debian's mosquitto: a listener on loopback, no limits that would drop messages, nothing saved."""

    name = "mosquitto"

    def __init__(self, binary, nodelay=False):
        super().__init__()
        self.binary = binary
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0",
                 "max_inflight_messages 0", "persistence false", "log_type error", "log_type warning"]
        if nodelay:  # otherwise the peer's own default, where its throughput is best
            lines.append("set_tcp_nodelay true")
        if os.geteuid() == 0:
            lines.append("user root")  # it could not read its configuration as another user
        (self.directory / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def command(self):
        return [self.binary, "-c", str(self.directory / "mosquitto.conf")]


class Trunkline(Broker):
    """The broker under test, on loopback with a data directory of its own."""

    name = "trunkline"

    def __init__(self, binary, arguments=(), config=""):
        super().__init__()
        self.binary = binary
        self.arguments = list(arguments)
        self.admin_port = free_port()
        self.config = config
        if config:
            (self.directory / "trunkline.yaml").write_text(config)

    def listen(self):
        return ["--listen", self.url]

    def command(self):
        config = ["--config", str(self.directory / "trunkline.yaml")] if self.config else []
        return [self.binary, *config, "--data", str(self.directory / "data"), *self.listen(), "--admin",
                f"127.0.0.1:{self.admin_port}", *self.arguments]

    def is_ready(self):
        if self.log.exists() and b"trunkline: ready" in self.log.read_bytes()[self.log_start:]:
            return True
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=0.5) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False


class TlsTrunkline(Trunkline):
    """The same with a TLS listener and a certificate made on the spot."""

    def __init__(self, binary, arguments=(), config=""):
        super().__init__(binary, arguments, "")
        cert, key = self.directory / "cert.pem", self.directory / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=127.0.0.1"],
                       check=True, capture_output=True)
        self.config = (f"{config}\nlisteners:\n  - url: {self.url}\n"
                       f"    tls: {{cert: {cert}, key: {key}}}\n")
        (self.directory / "trunkline.yaml").write_text(self.config)

    @property
    def url(self):
        return f"mqtts://127.0.0.1:{self.port}"

    def listen(self):
        return []


class Bench:
    """Runs trunkbench and reads its JSON."""

    def __init__(self, binary):
        self.binary = binary

    def run(self, broker, mode, *arguments, timeout_s=300):
        command = [self.binary, mode, "--json", "--url", broker.url, "--broker-pid", str(broker.pid),
                   *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except BaseException as error:
            process.kill()
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise LabError(f"no end within {timeout_s} s: {shlex.join(command)}") from error
            raise
        try:
            result = json.loads(out)
        except json.JSONDecodeError:
            raise LabError(f"{shlex.join(command)} ended with status {process.returncode}: {err.strip()}\n"
                           f"{broker.name} says:\n{broker.log_tail()}") from None
        result["exit_status"] = process.returncode
        result["command"] = shlex.join(["trunkbench", *command[1:]])
        return result


def progress(text):
    """Rewrites the last line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def dig(document, path):
    """document["a"]["b"] for "a.b"; None where it is missing."""
    for key in path.split("/"):
        document = document.get(key) if isinstance(document, dict) else None
    return document


def find_binary(given, name):
    """`given`, or the program of this source tree's release build, or the one on the path."""
    built = ROOT / "build" / "release" / "bin" / name
    for candidate in [given, str(built) if built.exists() else None, shutil.which(name), f"/usr/sbin/{name}"]:
        if candidate and os.access(candidate, os.X_OK):
            return str(pathlib.Path(candidate).resolve())
    raise LabError(f"no {name}: build it, or give --{name} PATH")


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return "unknown"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"


def machine():
    """What the figures depend on, without the machine's name."""
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory_kib = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(memory_kib / 2**20, 1),
            "kernel": platform.release(), "load_average": os.getloadavg()[0]}


def source_version():
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def options(description):
    """The arguments that all scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--trunkline", metavar="PATH", help="broker under test (default: build/release/bin)")
    parser.add_argument("--trunkbench", metavar="PATH", help="load generator (default: build/release/bin)")
    parser.add_argument("--broker-arg", action="append", default=[], metavar="ARG",
                        help="one more argument for trunkline; repeatable")
    parser.add_argument("--broker-config", metavar="FILE", help="configuration file for trunkline")
    parser.add_argument("--write", metavar="NAME", help="write bench/results/NAME.json and NAME.md")
    return parser


def config_text(arguments):
    return pathlib.Path(arguments.broker_config).read_text() if arguments.broker_config else ""


def table(header, rows):
    """Columns for a terminal: the first to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]

    def line(row):
        return "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                         for i, (cell, width) in enumerate(zip(row, widths)))
    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, rows)])


def markdown_table(header, rows):
    lines = ["| " + " | ".join(map(str, header)) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def write_results(name, title, versions, tables, document):
    """Writes bench/results/NAME.json and NAME.md. `tables`: (heading, header, rows)."""
    RESULTS.mkdir(exist_ok=True)
    about = {"title": title, "date": datetime.date.today().isoformat(), "source": source_version(),
             "machine": machine(), "versions": versions,
             "command": shlex.join([str(pathlib.Path(sys.argv[0]).resolve().relative_to(ROOT)), *shown_arguments()])}
    (RESULTS / f"{name}.json").write_text(json.dumps({**about, **document}, indent=1) + "\n")
    box = about["machine"]
    text = [f"# {title}", "",
            f"{about['date']}, source {about['source']}. {box['cpu']}, {box['cores']} cores, {box['memory_gib']} GiB, "
            f"Linux {box['kernel']}, load average at the end {box['load_average']:.1f}.",
            "", ", ".join(f"{key}: {value}" for key, value in versions.items()), "",
            f"    {about['command']}", ""]
    for heading, header, rows in tables:
        text += [f"## {heading}", "", markdown_table(header, rows), ""]
    (RESULTS / f"{name}.md").write_text("\n".join(text))
    print(f"\nwritten: bench/results/{name}.json, bench/results/{name}.md")


def shown_arguments():
    """The command line without this machine's paths."""
    return [pathlib.Path(argument).name if "/" in argument else argument for argument in sys.argv[1:]]


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


def main(run):
    """Runs `run()` so that SIGTERM, like Ctrl-C, stops what was started."""
    signal.signal(signal.SIGTERM, interrupt)
    try:
        sys.exit(run())
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
