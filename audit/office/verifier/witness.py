#!/usr/bin/env python3
"""Watch a Fusebox audit log from another machine, and sign what was seen. One file, Python 3.9 or
newer, nothing else. What it knows is in a folder of its own, ~/.fusebox-witness.

    python3 witness.py init --name auditor-pc --certificate fusebox-certificate.txt \\
        --console https://fusebox.example
    python3 witness.py run

`init` makes a key and prints its public half, which the audit administrator registers in the
console; the console answers with a secret, for which the first `run` asks. `run` asks for the newest
head once a minute, checks who signed it and that the log has only grown since the head seen last,
keeps it, and confirms it with a signature of its own (c2sp.org/tlog-cosignature). `once` does it
once. When the log is not the one that was seen, it says so, tells the console, signs nothing more
and ends with 1 (another history, or a false signature) or 2 (set back, or begun anew); so does every
later start, until `settle` says that a person has looked into it. 3: the console could not be asked;
4: used wrongly.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import getpass
import hashlib
import json
import os
import re
import ssl
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

FINE, FORKED, SET_BACK, AWAY, MISUSED = range(5)
HOME = Path(os.path.expanduser("~")) / ".fusebox-witness"
MAX_ANSWER = 1024 * 1024
MAX_NOTE = 64 * 1024
MAX_SIGNATURES = 128
TIMEOUT_S = 30
EVERY_S = 60


class BadBundle(Exception):
    """Something that was given is not what it should be: exit code 4."""


class Tampered(Exception):
    """Something is not what was signed: exit code 1."""


class Alarm(Exception):
    """The log is not the one that was seen. `kind` is the console's word for it."""

    def __init__(self, kind, text, note=""):
        super().__init__(text)
        self.kind, self.note = kind, note


class Away(Exception):
    """The console cannot be asked just now, or does not want to answer."""


# --- hashes ---------------------------------------------------------------------------------------


def sm3(data):
    """SM3 (GB/T 32905-2016), for Pythons whose OpenSSL has none."""
    mask = 0xFFFFFFFF

    def rol(x, n):
        n %= 32
        return ((x << n) | (x >> (32 - n))) & mask

    v = [0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D,
         0xB0FB0E4E]  # fmt: skip
    padded = data + b"\x80" + b"\x00" * ((55 - len(data)) % 64) + struct.pack(">Q", 8 * len(data))
    for start in range(0, len(padded), 64):
        w = list(struct.unpack(">16I", padded[start : start + 64]))
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ rol(w[j - 3], 15)
            w.append((x ^ rol(x, 15) ^ rol(x, 23)) ^ rol(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = v
        for j in range(64):
            t = 0x79CC4519 if j < 16 else 0x7A879D8A
            ss1 = rol((rol(a, 12) + e + rol(t, j)) & mask, 7)
            ss2 = ss1 ^ rol(a, 12)
            ff = a ^ b ^ c if j < 16 else (a & b) | (a & c) | (b & c)
            gg = e ^ f ^ g if j < 16 else (e & f) | (~e & g & mask)
            tt1 = (ff + d + ss2 + (w[j] ^ w[j + 4])) & mask
            tt2 = (gg + h + ss1 + w[j]) & mask
            a, b, c, d = tt1, a, rol(b, 9), c
            e, f, g, h = tt2 ^ rol(tt2, 9) ^ rol(tt2, 17), e, rol(f, 19), g
        v = [x ^ y for x, y in zip(v, (a, b, c, d, e, f, g, h))]
    return struct.pack(">8I", *v)


class Hasher:
    """The tree hash of RFC 6962 section 2.1 over SHA-256 or SM3."""

    def __init__(self, name):
        if name == "sha256":
            self.hash = lambda data: hashlib.sha256(data).digest()
        elif name == "sm3" and "sm3" in hashlib.algorithms_available:
            self.hash = lambda data: hashlib.new("sm3", data).digest()
        elif name == "sm3":
            self.hash = sm3
        else:
            raise BadBundle("the hash %r is not known" % (name,))

    def leaf(self, data):
        return self.hash(b"\x00" + data)

    def node(self, left, right):
        return self.hash(b"\x01" + left + right)


class Edge:
    """The roots of the largest complete subtrees of the first `size` leaves; it can only grow."""

    def __init__(self, hasher, size=0, hashes=()):
        if len(hashes) != bin(size).count("1"):
            raise Tampered("a proof has the wrong number of hashes")
        self.hasher, self.size, self.hashes = hasher, size, list(hashes)

    def append(self, value, level=0):
        if self.size % (1 << level):
            raise Tampered("a proof does not fit where it stands")
        carry = self.size >> level
        while carry & 1:
            value = self.hasher.node(self.hashes.pop(), value)
            carry >>= 1
        self.hashes.append(value)
        self.size += 1 << level

    def extend(self, end, hashes):
        """Append the subtrees that cover the leaves from here to `end`."""
        levels = list(cover(self.size, end))
        if len(levels) != len(hashes):
            raise Tampered("a proof has the wrong number of hashes")
        for level, value in zip(levels, hashes):
            self.append(value, level)

    def root(self):
        if not self.hashes:
            return self.hasher.hash(b"")
        value = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            value = self.hasher.node(left, value)
        return value


def cover(begin, end):
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield level
        begin += 1 << level


# --- Ed25519 (RFC 8032) --------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)  # noqa: E741  the name it has in the RFC


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * I % P
    if (x * x - x2) % P:
        return None
    return P - x if (x & 1) != sign else x


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(s, p):
    q = (0, 1, 1, 0)
    while s > 0:
        if s & 1:
            q = add(q, p)
        p = add(p, p)
        s >>= 1
    return q


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_verifies(public, message, signature):
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    h = int.from_bytes(digest, "little") % L
    left, right = multiply(s, BASE), add(r, multiply(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (
        left[1] * right[2] - right[1] * left[2]
    ) % P == 0


def ed25519_secret(seed):
    """The scalar and the prefix of a seed. Not constant in time: for a machine of one's own."""
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return (scalar & ((1 << 254) - 8)) | (1 << 254), digest[32:]


def compress(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | ((x & 1) << 255)).to_bytes(32, "little")


def ed25519_public(seed):
    return compress(multiply(ed25519_secret(seed)[0], BASE))


def ed25519_sign(seed, message):
    """RFC 8032 section 5.1.6."""
    scalar, prefix = ed25519_secret(seed)
    public = compress(multiply(scalar, BASE))
    r = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    point = compress(multiply(r, BASE))
    h = int.from_bytes(hashlib.sha512(point + public + message).digest(), "little") % L
    return point + ((r + h * scalar) % L).to_bytes(32, "little")


# --- signed notes (c2sp.org/signed-note) ----------------------------------------------------------

# Visible characters of ASCII without the plus sign, which parts a key's name from its id.
NAME = re.compile(r"[!-*,-~]{1,200}")
SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


class Key:
    """A verifier key: name+id+base64."""

    def __init__(self, vkey):
        try:
            name, key_id, data = vkey.strip().split("+", 2)
            raw = base64.b64decode(data, validate=True)
        except (AttributeError, TypeError, ValueError, binascii.Error):
            raise BadBundle("a key is malformed") from None
        if not NAME.fullmatch(name) or len(raw) != 33 or raw[:1] != b"\x01":
            raise BadBundle("a key is no Ed25519 key")
        self.vkey, self.name, self.public = vkey.strip(), name, raw[1:]
        self.id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        if self.id.hex() != key_id:
            raise BadBundle("the id of a key is not its own")

    @property
    def fingerprint(self):
        digest = hashlib.sha256(self.public).hexdigest()
        return " ".join(digest[i : i + 4] for i in range(0, 32, 4))


def open_note(note, keys):
    """The text of a note that one of the keys signed; Tampered when none did."""
    if len(note) > MAX_NOTE:
        raise Tampered("a signed note is too long")
    text, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or "\r" in note or "\x00" in note or lines[-1] or not lines[:-1]:
        raise Tampered("a signed note is malformed")
    if len(lines) > MAX_SIGNATURES:
        raise Tampered("a signed note has too many signatures")
    text += "\n"
    good = set()
    for line in lines[:-1]:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not NAME.fullmatch(parts[1]):
            raise Tampered("a signature line is malformed")
        try:
            raw = base64.b64decode(parts[2], validate=True)
        except (ValueError, binascii.Error):
            raise Tampered("a signature is malformed") from None
        if base64.b64encode(raw).decode() != parts[2]:
            raise Tampered("a signature is malformed")
        for key in keys:
            if (parts[1], raw[:4]) == (key.name, key.id):
                if key.vkey in good:
                    raise Tampered("a key signed twice")
                if not ed25519_verifies(key.public, text.encode("utf-8", "replace"), raw[4:]):
                    raise Tampered("a signature is false")
                good.add(key.vkey)
    if not good:
        raise Tampered("no trusted key signed it")
    return text


def read_checkpoint(text):
    """(origin, size, root) of the text of a checkpoint."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not NAME.fullmatch(lines[0]) or not SIZE.fullmatch(lines[1]):
        raise Tampered("a checkpoint is malformed")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (ValueError, binascii.Error):
        raise Tampered("a checkpoint is malformed") from None
    if len(root) != 32 or base64.b64encode(root).decode() != lines[2]:
        raise Tampered("a checkpoint is malformed")
    return lines[0], int(lines[1]), root


def hashes_of(value, what):
    if not isinstance(value, list) or len(value) > 256:
        raise Tampered("%s is malformed" % what)
    try:
        found = [bytes.fromhex(item) for item in value]
    except (TypeError, ValueError):
        raise Tampered("%s is malformed" % what) from None
    if any(len(item) != 32 for item in found) or [item.hex() for item in found] != value:
        raise Tampered("%s is malformed" % what)
    return found


def printable(text):
    """Nothing that a terminal would act on."""
    return "".join(c if c.isprintable() else "<U+%04X>" % ord(c) for c in text)


def read_certificate(path):
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(16384)
    except (OSError, UnicodeDecodeError) as error:
        raise BadBundle("the certificate %s cannot be read: %s" % (path, error)) from None
    values = dict(
        line.split(": ", 1)
        for line in text.splitlines()
        if line.startswith(("log: ", "hash: ", "key: "))
    )
    if not {"log", "hash", "key"} <= set(values):
        raise BadBundle("%s is no certificate of a log" % path)
    return {**values, "key": Key(values["key"]), "path": str(path)}


# --- what this witness is and knows ----------------------------------------------------------------


class Cosigner:
    """A key of our own (type 0x04), and what it signs: a head, with the time."""

    def __init__(self, name, seed):
        self.name, self.seed = name, seed
        self.raw = b"\x04" + ed25519_public(seed)
        self.id = hashlib.sha256(name.encode() + b"\n" + self.raw).digest()[:4]

    @property
    def vkey(self):
        return "%s+%s+%s" % (self.name, self.id.hex(), base64.b64encode(self.raw).decode())

    def line(self, head, seconds):
        text = "cosignature/v1\ntime %d\n%s" % (seconds, head)
        signed = self.id + struct.pack(">Q", seconds) + ed25519_sign(self.seed, text.encode())
        return "\u2014 %s %s\n" % (self.name, base64.b64encode(signed).decode())


def keep(path, value):
    """Write a file so that after a power cut the old or the new one is there, whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    handle = os.open(str(new), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(str(new), str(path))
    with contextlib.suppress(OSError):
        folder = os.open(str(path.parent), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load(path):
    """A file of ours, or None where there is none. One that is broken is not the same as none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadBundle("%s cannot be read: %s" % (path, error)) from None
    if not isinstance(value, dict):
        raise BadBundle("%s is not what this program wrote" % path)
    return value


@contextlib.contextmanager
def alone(folder):
    """One process at a time: two could sign two histories."""
    handle = os.open(str(folder / "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            try:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:
                import msvcrt

                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BadBundle("this witness runs already") from None
        yield
    finally:
        os.close(handle)


# --- the console -------------------------------------------------------------------------------------


class Refusing(urllib.request.HTTPRedirectHandler):
    """The secret goes to the console that was named, and nowhere else."""

    def redirect_request(self, *_arguments):
        return None


class Console:
    def __init__(self, url, secret, authority=None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadBundle("%s is no address of a console" % url)
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise BadBundle(
                "without TLS the secret could be read on the way: give an https address"
            )
        self.url, self.secret = url.rstrip("/"), secret
        context = ssl.create_default_context(cafile=authority)
        self.opener = urllib.request.build_opener(
            Refusing(), urllib.request.HTTPSHandler(context=context)
        )

    def ask(self, path, value):
        request = urllib.request.Request(
            self.url + "/api/v1/witness/" + path,
            json.dumps(value).encode(),
            {"Authorization": "Bearer " + self.secret, "Content-Type": "application/json"},
        )
        try:
            with self.opener.open(request, timeout=TIMEOUT_S) as reply:
                data = reply.read(MAX_ANSWER + 1)
            answer = json.loads(data[: MAX_ANSWER + 1].decode("utf-8"))
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(2000).decode("utf-8", "replace")
            raise Away("the console answers %d: %s" % (error.code, said)) from None
        except (OSError, ValueError, urllib.error.URLError) as error:
            raise Away("the console cannot be asked: %s" % error) from None
        if not isinstance(answer, dict) or len(data) > MAX_ANSWER:
            raise Away("the console does not answer as a console does")
        return answer


# --- witnessing --------------------------------------------------------------------------------------


def trusted_keys(certificate, listed):
    """The log's keys: that of the certificate, and those linked to it by signatures of both."""
    if not isinstance(listed, list) or not 0 < len(listed) <= 1000:
        raise Tampered("the console named no keys")
    try:
        keys = [Key(item["vkey"]) for item in listed]
        words = [item["endorsement"] for item in listed]
    except (TypeError, KeyError, BadBundle):
        raise Tampered("the keys are malformed") from None
    if certificate["key"].public not in [key.public for key in keys]:
        raise Tampered("this was not signed with the key of the certificate")
    if any(key.name != certificate["log"] for key in keys):
        raise Tampered("a key is of another log")
    for index in range(1, len(keys)):
        old, new = keys[index - 1], keys[index]
        for key in (old, new):
            if open_note(words[index], [key]).split("\n")[2:4] != [old.vkey, new.vkey]:
                raise Tampered("the key %s was not named by the key before it" % new.id.hex())
    return keys


def judge(certificate, seen, answer):
    """(text of the head, note) of an answer that continues what was seen. Raises Alarm."""
    note = answer.get("checkpoint")
    try:
        if not isinstance(note, str):
            raise Tampered("there is no head in the answer")
        if answer.get("log") != certificate["log"] or answer.get("hash") != certificate["hash"]:
            raise Tampered("this is another log than the certificate's")
        keys = trusted_keys(certificate, answer.get("keys"))
        text = open_note(note, keys)
        origin, size, root = read_checkpoint(text)
        if origin.rpartition("/")[0] != certificate["log"]:
            raise Tampered("this is a head of %s" % origin)
    except Tampered as error:
        raise Alarm("false", str(error), note if isinstance(note, str) else "") from None
    if not seen:
        return text, note
    if origin != seen["origin"]:
        raise Alarm("new_tree", "the log was begun anew as %s; %s had been seen with %d events"
                    % (origin, seen["origin"], seen["size"]), note)  # fmt: skip
    if size < seen["size"]:
        raise Alarm("rollback", "the log has %d events; it had %d" % (size, seen["size"]), note)
    if size == seen["size"]:
        if root.hex() != seen["root"]:
            raise Alarm("fork", "two heads of %d events with different roots" % size, note)
        return text, note
    try:
        _grown(Hasher(certificate["hash"]), seen, size, root, answer.get("proof"))
    except Tampered as error:
        raise Alarm("fork", "the log of %d events does not extend the one of %d: %s"
                    % (size, seen["size"], error), note) from None  # fmt: skip
    return text, note


def _grown(hasher, seen, size, root, proof):
    """The subtrees of the head that was seen, extended by some more, make the new head."""
    if not isinstance(proof, dict) or proof.get("from") != seen["size"]:
        raise Tampered("there is no proof of it")
    before, after = (hashes_of(proof.get(name), "the proof") for name in ("before", "after"))
    edge = Edge(hasher, seen["size"], before)
    if edge.root().hex() != seen["root"]:
        raise Tampered("the proof is of another head")
    edge.extend(size, after)
    if edge.root() != root:
        raise Tampered("the proof does not lead to it")


class Witness:
    """One folder: who we are (witness.json), what we saw (seen.json)."""

    def __init__(self, folder):
        self.folder = folder
        self.own = load(folder / "witness.json")
        if self.own is None:
            raise BadBundle("there is no witness in %s yet: begin with `init`" % folder)
        try:
            self.cosigner = Cosigner(self.own["name"], bytes.fromhex(self.own["seed"]))
            self.certificate = read_certificate(folder / "certificate.txt")
            self.console = Console(self.own["console"], self.own["secret"], self.own["authority"])
        except (KeyError, TypeError, ValueError):
            raise BadBundle(
                "%s is not what this program wrote" % (folder / "witness.json")
            ) from None
        self.state = load(folder / "seen.json") or {}

    def save(self):
        keep(self.folder / "seen.json", self.state)

    def turn(self):
        """Ask, judge, keep, sign, tell. Returns the line to print."""
        if self.state.get("alarm"):
            raise Alarm(self.state["alarm"]["kind"], self.state["alarm"]["text"])
        seen = self.state.get("seen")
        answer = self.console.ask("head/", {"seen": seen["note"] if seen else ""})
        try:
            text, note = judge(self.certificate, seen, answer)
        except Alarm as alarm:
            self._alarm(alarm, seen)
            raise
        origin, size, root = read_checkpoint(text)
        now = max(int(time.time()), (seen or {}).get("at", 0))
        # What was seen is on disk before anything is signed: a crash in between forgets nothing.
        self.state["seen"] = {
            "origin": origin, "size": size, "root": root.hex(), "note": note, "at": now,
        }  # fmt: skip
        self.save()
        self.console.ask("confirm/", {"head": text, "line": self.cosigner.line(text, now)})
        return "%s  %s  %d events / 个事件  confirmed / 已确认" % (moment(now), origin, size)

    def _alarm(self, alarm, seen):
        """Kept first; then the console is told with the heads that show it, if it still listens."""
        value = {
            "kind": alarm.kind,
            "text": str(alarm),
            "at": int(time.time()),
            "given": alarm.note,
        }
        self.state["alarm"] = value
        self.save()
        told = alarm.note if alarm.kind == "fork" or not seen else seen["note"]
        try:
            value = {"kind": alarm.kind, "text": str(alarm), "note": told[:600]}
            self.console.ask("alarm/", value)
        except Away as error:
            print("the console was not told: " + printable(str(error)), file=sys.stderr)


def moment(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def shout(alarm, folder):
    print("\a", end="", file=sys.stderr)
    for line in (
        "!" * 78,
        "ALARM: " + printable(str(alarm)),
        "警报：日志与此前见到的不一致。Do not trust this log before somebody has looked into it.",
        "The heads that show it are in %s. Nothing more is signed." % (folder / "seen.json"),
        "After that: python3 witness.py settle",
        "!" * 78,
    ):
        print(line, file=sys.stderr)
    return SET_BACK if alarm.kind in ("rollback", "new_tree") else FORKED


# --- commands ----------------------------------------------------------------------------------------


def init(options, folder):
    if (folder / "witness.json").exists():
        raise BadBundle("there is a witness in %s already" % folder)
    if not NAME.fullmatch(options.name) or len(options.name) > 80:
        raise BadBundle("a name has no spaces and no +, and up to 80 characters")
    certificate = read_certificate(options.certificate)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "certificate.txt").write_bytes(Path(options.certificate).read_bytes())
    Console(options.console, "", options.authority)
    seed = os.urandom(32)
    keep(folder / "witness.json", {
        "name": options.name, "seed": seed.hex(), "console": options.console, "secret": "",
        "authority": options.authority,
    })  # fmt: skip
    vkey = Cosigner(options.name, seed).vkey
    print("log / 日志             " + certificate["log"])
    print("its key / 日志密钥      " + certificate["key"].fingerprint)
    print("Register this key in the console / 请在控制台登记此公钥:\n\n    %s\n" % vkey)
    print("For the certificate file of whoever verifies archives / 写入验证者的证书文件:\n")
    print("    witness: %s\n\nThen: python3 witness.py run" % vkey)
    return FINE


def run(options, folder):
    witness = Witness(folder)
    with alone(folder):
        if not witness.own["secret"]:
            secret = os.environ.get("FUSEBOX_WITNESS_SECRET") or getpass.getpass("secret / 密钥: ")
            witness.own["secret"] = witness.console.secret = secret.strip()
            keep(folder / "witness.json", witness.own)
        while True:
            try:
                print(witness.turn(), flush=True)
            except Away as error:
                print("%s  %s" % (moment(time.time()), printable(str(error))), file=sys.stderr)
                if options.command == "once":
                    return AWAY
            except Alarm as alarm:
                return shout(alarm, folder)
            if options.command == "once":
                return FINE
            time.sleep(options.every)


def settle(options, folder):
    witness = Witness(folder)
    with alone(folder):
        alarm = witness.state.pop("alarm", None)
        if not alarm:
            print("there is no alarm / 没有警报")
            return FINE
        history = witness.state.setdefault("settled", [])
        history.append({**alarm, "settled_at": int(time.time()), "seen": witness.state.get("seen")})
        if alarm["kind"] in ("rollback", "new_tree"):
            # What was seen before will not come back: begin with what is there now.
            witness.state.pop("seen", None)
        witness.save()
    print("settled; what was seen is kept in %s" % (folder / "seen.json"))
    return FINE


def status(_options, folder):
    witness = Witness(folder)
    seen, alarm = witness.state.get("seen"), witness.state.get("alarm")
    print("witness / 见证         " + witness.cosigner.vkey)
    print("log / 日志             %s at %s" % (witness.certificate["log"], witness.console.url))
    if seen:
        print("seen / 最近见到        %s, %d events, %s"
              % (seen["origin"], seen["size"], moment(seen["at"])))  # fmt: skip
    if alarm:
        return shout(Alarm(alarm["kind"], alarm["text"]), folder)
    return FINE


def main(arguments=None):
    parser = argparse.ArgumentParser(description="A witness of a Fusebox audit log.")
    parser.add_argument("--folder", default=str(HOME), help="what it knows; default %(default)s")
    commands = parser.add_subparsers(dest="command", required=True)
    begin = commands.add_parser("init", help="make a key")
    begin.add_argument("--name", required=True, help="who this witness is, such as auditor-pc")
    begin.add_argument(
        "--certificate", required=True, help="the installation certificate of the log"
    )
    begin.add_argument("--console", required=True, help="the console's address")
    begin.add_argument("--authority", help="certificates (PEM) that its TLS is trusted by")
    serve = commands.add_parser("run", help="ask and confirm, until stopped")
    serve.add_argument("--every", type=int, default=EVERY_S, help="seconds; default %(default)s")
    commands.add_parser("once", help="ask and confirm once")
    commands.add_parser("status", help="what was seen, and whether there is an alarm")
    commands.add_parser("settle", help="go on after an alarm that a person has looked into")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    does = {"init": init, "run": run, "once": run, "status": status, "settle": settle}
    try:
        return does[options.command](options, Path(options.folder))
    except BadBundle as error:
        print(printable(str(error)), file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        return FINE


if __name__ == "__main__":
    sys.exit(main())
