"""What tests of access share: hashes, verifiers and tokens as people would make them, roles files, SCRAM's client."""
import base64
import ctypes
import hashlib
import hmac
import json
import os
import shutil
import struct
import tempfile
import time

import mqttcodec as codec

ALPHABET_FREE = "every-secret-of-the-tests-"   # all secrets begin with it, so that they are found wherever they leak


def secret(name):
    return ALPHABET_FREE + name


def b64(data):
    return base64.b64encode(data).decode()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def argon2(password, passes=1, memory=8192):
    """Argon2id as libsodium writes it; the defaults are quick, not strong."""
    sodium = ctypes.CDLL("libsodium.so.23")
    assert sodium.sodium_init() >= 0
    out = ctypes.create_string_buffer(128)
    raw = password.encode()
    result = sodium.crypto_pwhash_str_alg(out, raw, ctypes.c_ulonglong(len(raw)), ctypes.c_ulonglong(passes),
                                          ctypes.c_size_t(memory), 2)
    assert result == 0
    return out.value.decode()


def scram_verifier(password, iterations=4096):
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{b64(salt)}${b64(stored)}:{b64(server)}"


def token(key, claims, kid="k1", algorithm="HS256"):
    head = b64url(json.dumps({"alg": algorithm, "typ": "JWT", "kid": kid}).encode())
    text = head + "." + b64url(json.dumps(claims).encode())
    return text + "." + b64url(hmac.digest(key, text.encode(), "sha256"))


def jwks(key, kid="k1"):
    return json.dumps({"keys": [{"kty": "oct", "kid": kid, "alg": "HS256", "k": b64url(key)}]})


def write_private(path, text):
    """As a person who knows would: nobody else may read it. The old content stays until the new one is there."""
    with open(path + ".new", "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(text)
    os.replace(path + ".new", path)
    return path


class Scram:
    """The client's side of SCRAM-SHA-256 (RFC 7677) over AUTH packets."""
    METHOD = "SCRAM-SHA-256"

    def __init__(self, user, password):
        self.user, self.password = user, password
        self.nonce = b64(os.urandom(18))
        self.first_bare = f"n={user},r={self.nonce}"

    def first(self):
        return ("n,," + self.first_bare).encode()

    def final(self, server_first):
        server_first = server_first.decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={fields['r']}"
        message = f"{self.first_bare},{server_first},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, signature))
        self.expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        return f"{without_proof},p={b64(proof)}".encode()

    def check(self, server_final):
        """The server knows the account, too."""
        assert server_final == f"v={b64(self.expected)}".encode(), server_final

    def login(self, client, client_id, **kwargs):
        """CONNECT to CONNACK; the CONNACK."""
        props = {"authentication_method": self.METHOD, "authentication_data": self.first()}
        client.send_connect(client_id, props={**props, **kwargs.pop("props", {})}, **kwargs)
        return self.finish(client, codec.CONNACK)

    def again(self, client):
        """Re-authentication of a live connection; the AUTH that ends it."""
        fresh = Scram(self.user, self.password)
        client.send(codec.auth(0x19, {"authentication_method": self.METHOD, "authentication_data": fresh.first()}))
        return fresh.finish(client, codec.AUTH)

    def finish(self, client, kind):
        found = client.recv()
        if found.kind != codec.AUTH or found.reason != 0x18:
            return found
        data = self.final(found.props["authentication_data"])
        client.send(codec.auth(0x18, {"authentication_method": self.METHOD, "authentication_data": data}))
        found = client.recv()
        if found.kind == kind and found.reason == 0:
            self.check(found.props["authentication_data"])
        return found


def expiry(seconds):
    return int(time.time()) + seconds


def proxy_header(address, port=40_000):
    """PROXY protocol 2: the connection comes from this IPv4 address."""
    parts = bytes(int(part) for part in address.split("."))
    return (b"\r\n\r\n\x00\r\nQUIT\n" + bytes([0x21, 0x11]) + struct.pack(">H", 12) + parts + bytes([127, 0, 0, 1]) +
            struct.pack(">HH", port, 1883))


def temporary_folder():
    return tempfile.mkdtemp(prefix="trunkline-access-")


def remove_folder(folder):
    shutil.rmtree(folder, ignore_errors=True)
