"""Services that brokers of tests ask who a client is: an HTTP server that answers as a test says, and a directory."""
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading

import access
from harness import ROOT, Broker, Certificates, eventually, free_port


class LoginService:
    """Answers POSTs by `judge(question)`: a dictionary (200, JSON), (status, bytes[, headers]), or None: hangs up.
    Counts and keeps the questions, and how many it had at once. With `certificate` it speaks TLS."""

    def __init__(self, judge, certificate=None, port=0):
        self.judge, self.questions, self.headers, self.peers = judge, [], [], set()
        self.lock, self.now, self.most = threading.Lock(), 0, 0
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):  # pylint: disable=invalid-name
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with service.lock:
                    service.questions.append(question)
                    service.headers.append(dict(self.headers))
                    service.peers.add(self.client_address)
                    service.now += 1
                    service.most = max(service.most, service.now)
                try:
                    answer = service.judge(question)
                finally:
                    with service.lock:
                        service.now -= 1
                if answer is None:
                    self.close_connection = True
                    return
                if isinstance(answer, dict):
                    answer = (200, json.dumps(answer).encode())
                status, body, headers = (*answer, {})[:3]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass   # whoever hangs up in the middle of an answer

        self.server = Server(("127.0.0.1", port), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            path = Certificates.shared().path
            context.load_cert_chain(path(f"{certificate}.crt"), path(f"{certificate}.key"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.scheme = "https" if certificate else "http"
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def url(self, host="127.0.0.1", path="/login"):
        return f"{self.scheme}://{host}:{self.port}{path}"

    def users(self):
        with self.lock:
            return [question["user"] for question in self.questions]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Slapd:
    """OpenLDAP's server with a folder and ports of its own: ldaps, and ldap with StartTLS."""
    SUFFIX = "dc=acme,dc=example"
    PEOPLE = "ou=people," + SUFFIX
    GROUPS = "ou=groups," + SUFFIX
    ROOT = "cn=root," + SUFFIX
    SEARCHER = "cn=searcher," + SUFFIX

    def __init__(self, folder, entries, tls=True):
        """`entries`: LDIF that is added below the suffix, ou=people and ou=groups."""
        self.folder, self.tls, self.process = folder, tls, None
        self.port, self.tls_port = free_port(), free_port()
        self.root_password = access.secret("root")
        os.makedirs(os.path.join(folder, "db"))
        path = Certificates.shared().path
        modules = next(place for place in ("/usr/lib/ldap", "/usr/lib64/openldap") if os.path.isdir(place))
        with open(self.config, "w", encoding="ascii") as file:
            file.write("".join(f"include /etc/ldap/schema/{name}.schema\n"
                               for name in ("core", "cosine", "inetorgperson")))
            file.write(f"modulepath {modules}\nmoduleload back_mdb\nmoduleload memberof\n"
                       f"pidfile {folder}/pid\nargsfile {folder}/args\n"
                       "allow bind_anon_cred\n")   # a name without a password is nobody, and that succeeds
            if tls:
                file.write(f"TLSCACertificateFile {path('ca.crt')}\nTLSCertificateFile {path('server.crt')}\n"
                           f"TLSCertificateKeyFile {path('server.key')}\n")
            file.write(f"database mdb\ndirectory {folder}/db\nmaxsize 16777216\nsuffix {self.SUFFIX}\n"
                       f"rootdn {self.ROOT}\nrootpw {self.root_password}\noverlay memberof\n"
                       "access to attrs=userPassword by anonymous auth by * none\n"
                       f"access to * by dn.exact={self.SEARCHER} read by users read by * none\n")
        self.start()
        self.add(f"dn: {self.SUFFIX}\nobjectClass: domain\ndc: acme\n\n"
                 f"dn: {self.PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
                 f"dn: {self.GROUPS}\nobjectClass: organizationalUnit\nou: groups\n\n"
                 f"dn: {self.SEARCHER}\nobjectClass: person\ncn: searcher\nsn: searcher\n"
                 f"userPassword: {access.secret('searcher')}\n\n" + entries)

    @property
    def config(self):
        return os.path.join(self.folder, "slapd.conf")

    @property
    def url(self):
        return f"ldap://127.0.0.1:{self.port}"

    def tls_url(self, host="127.0.0.1"):
        return f"ldaps://{host}:{self.tls_port}"

    def start(self):
        urls = self.url + "/" + (f" {self.tls_url()}/" if self.tls else "")
        log = open(os.path.join(self.folder, "log"), "a", encoding="ascii")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(["slapd", "-f", self.config, "-h", urls, "-d", "stats"], stdout=log, stderr=log,
                                        env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/usr/libexec"})
        log.close()

        def serves():
            assert self.process.poll() is None, self.log()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                return False
        eventually(serves, 15, "slapd serves")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def tool(self, name, text):
        done = subprocess.run([name, "-x", "-H", self.url, "-D", self.ROOT, "-w", self.root_password], input=text,
                              text=True, capture_output=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr

    def add(self, text):
        self.tool("ldapadd", text)

    def modify(self, text):
        self.tool("ldapmodify", text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Relay:
    """Forwards connections to a port of 127.0.0.1 from another address of this machine, and counts them."""

    def __init__(self, port, address="127.0.0.3"):
        self.target, self.address, self.connections = port, address, 0
        self.server = socket.create_server((address, 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                near = self.server.accept()[0]
            except OSError:
                return
            self.connections += 1
            far = socket.create_connection(("127.0.0.1", self.target))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self.copy, args=(source, target), daemon=True).start()

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def stop(self):
        self.server.close()


class Trap:
    """Accepts connections, answers the first bytes of each with `answer` (None: with nothing, for ever), and keeps what
    it has read."""

    def __init__(self, answer=None):
        self.answer, self.seen, self.sockets = answer, [], []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock = self.server.accept()[0]
            except OSError:
                return
            self.sockets.append(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            self.seen.append(sock.recv(65536))
            if self.answer is not None:
                sock.sendall(self.answer)
                sock.close()
        except OSError:
            pass

    def stop(self):
        self.server.close()
        for sock in self.sockets:
            sock.close()


def documented(section):
    """The examples of a section of docs/access.md: [(language, text)]."""
    with open(os.path.join(ROOT, "docs", "access.md"), encoding="utf-8") as file:
        part = file.read().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", part, re.S)


class DocumentedBroker(Broker):
    """Runs a configuration of the documents as it is, but for its port, in `folder`."""

    def __init__(self, binary, folder, text):
        super().__init__(binary)
        self.where, self.text = folder, text

    def command(self):
        path = os.path.join(self.where, "trunkline.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write(self.text.replace("127.0.0.1:1883", f"127.0.0.1:{self.ports['mqtt']}"))
        return [self.binary, "--config", path, "--data", self.data, "--admin", f"127.0.0.1:{self.admin_port}"]

    def publish(self, password):
        """What the documents do then: the exit code and what is said."""
        done = subprocess.run(["mosquitto_pub", "-p", str(self.ports["mqtt"]), "-u", "ann", "-P", password, "-q", "1",
                               "-t", "acme/hello", "-m", "hello"], capture_output=True, text=True, timeout=20,
                              check=False)
        return done.returncode, done.stderr


def put(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)
