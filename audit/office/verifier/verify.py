#!/usr/bin/env python3
"""Verify an export of a Fusebox audit log. Python 3.9 or newer, nothing else, no network.

    python3 verify.py BUNDLE.zip --certificate fusebox-certificate.txt

The certificate says whose log this is. It was handed over when the log was installed; a copy that
came with the bundle proves nothing. Exit code: 0 fine, 1 tampered, 2 incomplete or rolled back,
3 cannot verify (no certificate, or what was verified before cannot be read), 4 bad input.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

FINE, TAMPERED, INCOMPLETE, CANNOT, BAD_INPUT = range(5)
CERTIFICATE = "fusebox-certificate.txt"
MEMORY = Path(os.path.expanduser("~")) / ".fusebox-verify"
REQUIRED = {"manifest.json", "events.jsonl", "checkpoint.txt", "keys.json"}
ALLOWED = REQUIRED | {
    "proofs/range.json", "proofs/leaves.bin", "proofs/inclusion.jsonl", "proofs/consistency.json",
    "previous-checkpoint.txt", "VERIFY.md", "verify.py", "verify.html", "proofs/outside.json",
    *("outside/%d.%s" % (n, kind) for n in range(1, 10) for kind in ("txt", "tsr")),
}  # fmt: skip
LARGE = {"events.jsonl", "proofs/leaves.bin", "proofs/inclusion.jsonl"}
SMALL = 4 * 1024 * 1024
MAX_NOTE = 64 * 1024
MAX_SIGNATURES = 128
MAX_HEADS = 1000
MAX_MEMORY = 4 * 1024 * 1024
MAX_FILES = 64
MAX_LINE = 64 * 1024
MAX_PATH_LINE = 8 * 1024
MAX_TOTAL = 64 * 1024**3
MAX_RATIO = 300
MOST = 20


# What Python's own reader says of an archive that is damaged or made to harm.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError,
    LookupError, OverflowError,
)  # fmt: skip


class BadBundle(Exception):
    """This is no bundle: exit code 4."""

    what = "this is no bundle / 不是有效的导出包"


class BadCertificate(BadBundle):
    """What should be the certificate is none: exit code 4."""

    what = "this is no certificate / 不是日志证书"


class Tampered(Exception):
    """Something is not what was signed: exit code 1."""


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


def root_of_path(hasher, leaf, position, size, path):
    """RFC 9162 section 2.1.3.2."""
    value, number, last = leaf, position, size - 1
    for sibling in path:
        if last == 0:
            raise Tampered("a proof is too long")
        if number & 1 or number == last:
            value = hasher.node(sibling, value)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            value = hasher.node(value, sibling)
        number, last = number >> 1, last >> 1
    if last:
        raise Tampered("a proof is too short")
    return value


# --- Ed25519 (RFC 8032), verification only --------------------------------------------------------

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


class WitnessKey:
    """The key of a witness (c2sp.org/tlog-cosignature, type 0x04), as a certificate names it."""

    def __init__(self, vkey):
        try:
            self.name, key_id, data = vkey.strip().split("+", 2)
            raw = base64.b64decode(data, validate=True)
        except (AttributeError, ValueError, binascii.Error):
            raise BadBundle("the key of a witness is malformed") from None
        if not NAME.fullmatch(self.name) or len(raw) != 33 or raw[:1] != b"\x04":
            raise BadBundle("the key of a witness is no such key")
        self.public = raw[1:]
        self.id = hashlib.sha256(self.name.encode() + b"\n" + raw).digest()[:4]
        if self.id.hex() != key_id:
            raise BadBundle("the id of a witness's key is not its own")

    def confirmed(self, note):
        """The times at which this witness signed a note that `open_note` has opened."""
        text, _blank, tail = note.rpartition("\n\n")
        for line in tail.split("\n")[:-1]:
            name, encoded = line.split(" ")[1:]
            raw = base64.b64decode(encoded)
            if (name, raw[:4]) == (self.name, self.id):
                seconds = int.from_bytes(raw[4:12], "big")
                if seconds >= 1 << 37:  # after the year 6000
                    raise Tampered("the cosignature of %s is false" % self.name)
                message = "cosignature/v1\ntime %d\n%s\n" % (seconds, text)
                if not ed25519_verifies(self.public, message.encode(), raw[12:]):
                    raise Tampered("the cosignature of %s is false" % self.name)
                yield seconds


# --- time-stamps (RFC 3161): what a token is over; who signed it is not checked here ----------------


def der(data):
    """(tag, value, rest) of the first element."""
    if len(data) < 2:
        raise Tampered("a time-stamp is malformed")
    tag, length, begin = data[0], data[1], 2
    if length & 0x80:
        begin = 2 + (length & 0x7F)
        if not 2 < begin <= 6:
            raise Tampered("a time-stamp is malformed")
        length = int.from_bytes(data[2:begin], "big")
    if len(data) < begin + length:
        raise Tampered("a time-stamp is malformed")
    return tag, data[begin : begin + length], data[begin + length :]


def inside(data, *steps):
    """The value that a path of positions leads to."""
    for step in steps:
        for _ in range(step):
            data = der(data)[2]
        data = der(data)[1]
    return data


SHA2 = {"608648016503040201": hashlib.sha256, "608648016503040203": hashlib.sha512}
WHEN = re.compile(rb"[0-9]{14}(\.[0-9]{1,9})?Z")


def stamped_at(token, data):
    """The time in a token, which must be over `data`. Tampered when it is over something else."""
    # answer -> token -> [0] signed data -> its content -> [0] octets: TSTInfo.
    info = inside(token, 0, 1, 1, 0, 2, 1, 0)
    imprint, when = inside(info, 0, 2), inside(info, 0, 4)
    new = SHA2.get(inside(imprint, 0, 0).hex())
    if new is None or new(data).digest() != inside(imprint, 1):
        raise Tampered("a time-stamp is not over the head that it came with")
    if not WHEN.fullmatch(when):
        raise Tampered("a time-stamp is malformed")
    return when.decode("ascii")


# --- the archive ----------------------------------------------------------------------------------


class Archive:
    """A bundle's files. Refuses what no bundle of ours is: hostile names, bombs, doubles, links."""

    def __init__(self, path):
        self.path = path
        try:
            comment = self._end()
            self.zip = zipfile.ZipFile(path)
            infos = self.zip.infolist()
        except DAMAGED as error:
            raise BadBundle("it cannot be opened: %s" % error) from None
        if self.zip.comment != comment:
            raise BadBundle("it can be read in two ways")
        names = [info.filename for info in infos]
        if len(set(names)) != len(names):
            raise BadBundle("a file is in it twice")
        for info in infos:
            self._look(info)
        self._one_reading(infos)
        missing = REQUIRED - set(names)
        if missing:
            raise BadBundle("it has no %s" % ", ".join(sorted(missing)))
        if sum(info.file_size for info in infos) > MAX_TOTAL:
            raise BadBundle("it is too large")
        self.names = set(names)

    def _end(self):
        """The comment, after looking how the archive ends: ours is none, or as `seal` has it."""
        with open(self.path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            for length in (71, 0):
                where = size - 22 - length
                file.seek(max(0, where - 76))
                before, record = file.read(min(76, max(0, where))), file.read()
                if len(record) != 22 + length or record[:4] != b"PK\x05\x06":
                    continue
                count, listed, _offset, said = struct.unpack("<HIIH", record[10:22])
                if said != length:
                    continue
                if before[56:60] == b"PK\x06\x07":  # a large archive: its end is written twice
                    (place,) = struct.unpack("<Q", before[64:72])
                    if place != where - 76 or before[:4] != b"PK\x06\x06":
                        break
                    count, listed = struct.unpack("<QQ", before[32:48])
                if count > MAX_FILES or listed > MAX_NOTE:
                    raise BadBundle("it has too many files")
                return record[22:]
        raise BadBundle("it cannot be opened: it does not end as an archive of ours")

    def _one_reading(self, infos):
        """Its files follow each other without a byte between, before or after them, and say the
        same of themselves in both places: nothing is hidden, no two programs read it differently."""
        twofold = BadBundle("it can be read in two ways")
        infos = sorted(infos, key=lambda info: info.header_offset)
        places = [info.header_offset for info in infos] + [self.zip.start_dir]
        if places[0] != 0:
            raise twofold
        try:
            with open(self.path, "rb") as file:
                for info, following in zip(infos, places[1:]):
                    file.seek(info.header_offset)
                    head = struct.unpack("<4s3H4xIIIHH", file.read(30))
                    mark, version, flags, method, _crc, packed, size, name, extra = head
                    behind = flags & 8  # the sizes stand behind the data
                    left = following - info.header_offset - 30 - name - extra - info.compress_size
                    if (
                        mark != b"PK" or info.orig_filename != info.filename
                        or file.read(name) != info.filename.encode()
                        or (flags, method) != (info.flag_bits, info.compress_type)
                        or flags & ~0x80E or max(version, info.extract_version) > 45
                        or left not in ((12, 16, 20, 24) if behind else (0,))
                        or not (behind or packed in (info.compress_size, 0xFFFFFFFF))
                        or not (behind or size in (info.file_size, 0xFFFFFFFF))
                    ):  # fmt: skip
                        raise twofold
        except DAMAGED:
            raise twofold from None

    @staticmethod
    def _look(info):
        if info.filename not in ALLOWED:
            raise BadBundle("%r has no place in a bundle" % info.filename[:100])
        if (info.external_attr >> 16) & 0o170000 not in (0, 0o100000):
            raise BadBundle("%s is no plain file" % info.filename)
        if info.flag_bits & 0x1 or info.compress_type not in (0, 8):
            raise BadBundle("%s is packed in a way that no bundle is" % info.filename)
        if info.file_size > SMALL and info.file_size > MAX_RATIO * max(1, info.compress_size):
            raise BadBundle("%s unpacks to far more than it is" % info.filename)

    def read(self, name, limit=SMALL):
        """A small file, whole."""
        return b"".join(self.pieces(name, limit))

    def text(self, name):
        """A signed note. Bytes that are no UTF-8 are replaced, so that no signature fits them."""
        return self.read(name, MAX_NOTE).decode("utf-8", "replace")

    def pieces(self, name, limit=MAX_TOTAL):
        """A file, piece by piece; what it unpacks to is believed no further than its stated size."""
        info = self.zip.getinfo(name)
        if info.file_size > limit:
            raise BadBundle("%s is too large" % name)
        done = 0
        try:
            with self.zip.open(info) as file:
                while True:
                    piece = file.read(1 << 20)
                    if not piece:
                        break
                    done += len(piece)
                    if done > info.file_size:
                        raise BadBundle("%s unpacks to more than it says" % name)
                    yield piece
        except DAMAGED as error:
            raise Tampered("%s is damaged: %s" % (name, error)) from None
        if done != info.file_size:
            raise Tampered("%s is cut off" % name)

    def lines(self, name, limit=MAX_LINE):
        """The lines of a file, without their ends."""
        rest = b""
        for piece in self.pieces(name):
            parts = (rest + piece).split(b"\n")
            rest = parts.pop()
            for part in parts:
                if len(part) > limit:
                    raise Tampered("a line of %s is too long" % name)
                yield part
            if len(rest) > limit:
                raise Tampered("a line of %s is too long" % name)
        if rest:
            raise Tampered("%s does not end with a line end" % name)

    def seal(self):
        """Whether the archive's own bytes are as written: True, False, or None if re-packed.

        The comment at its end is the SHA-256 of all that is before the comment.
        """
        comment = self.zip.comment
        if not comment:
            return None
        with open(self.path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            left, digest = size - len(comment), hashlib.sha256()
            while left > 0:
                piece = file.read(min(left, 1 << 20))
                if not piece:
                    break
                left -= len(piece)
                digest.update(piece)
            return comment == b"sha256:" + digest.hexdigest().encode() == file.read() + b""


def parse(data, what):
    """JSON of ours: an object or a list, without surprises."""
    try:
        return DECODER.decode(data.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise Tampered("%s is no JSON" % what) from None


def same(number, claimed):
    """Whether an integer is what is claimed, by type too: 1 is not True."""
    return type(claimed) is int and claimed == number


def whole(value):
    """Whether it is an integer that counts something: True and 1.0 are none."""
    return type(value) is int and value >= 0


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


# --- an event -------------------------------------------------------------------------------------


def _pairs(pairs):
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _integer(text):
    value = int(text) if len(text) < 20 else 1 << 60
    if abs(value) > 2**53 - 1:
        raise ValueError("an integer is beyond 2^53")
    return value


def _refuse(text):
    raise ValueError("%s has no place in an event" % text)


DECODER = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse
)
ENCODER = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
)


def event_of(line):
    """The event that a line is. Raises ValueError unless it is in canonical form (RFC 8785)."""
    text = line.decode("utf-8")
    value = DECODER.decode(text)
    if not isinstance(value, dict) or ENCODER.encode(value) != text:
        raise ValueError("it is not in canonical form")
    if not isinstance(value.get("id"), str) or len(value["id"]) != 36:
        raise ValueError("it has no id")
    return value


# --- the verification -----------------------------------------------------------------------------


class Verification:
    """What was found. `say` lines are for people; the verdicts make the exit code."""

    def __init__(self, path, certificate, memory, older=False):
        """certificate: as read_certificate has it, or None. memory: a folder, or None to neither
        compare nor remember. older: a head before the one remembered is not held against it."""
        self.path, self.older = path, older
        self.certificate = certificate
        self.memory = None if memory is None else Memory(memory)
        self.integrity, self.completeness, self.cannot, self.notes = [], [], [], []
        self.counts = [0, 0]
        self.events = self.good = 0
        self.origin = self.kind = ""
        self.span = None
        self.broken_off = False
        self.witnesses = None
        self.trusted_from = 0
        self.ids = set()
        self.boots = {}

    def run(self):
        try:
            self._run()
        except Tampered as error:
            self.broken_off = True
            self._tampered(str(error))
        return self

    def _run(self):
        self.archive = Archive(self.path)
        data = self.archive.read("manifest.json")
        self.manifest = manifest = parse(data, "manifest.json")
        if not isinstance(manifest, dict) or manifest.get("format") != "fusebox-bundle-1":
            raise BadBundle("it is of a format that this program does not know")
        self.manifest_hash = hashlib.sha256(data).hexdigest()
        self._files()
        self.hasher = Hasher(manifest.get("hash"))
        keys = self._keys()
        self.note = self.archive.text("checkpoint.txt")
        self.origin, self.size, self.root = read_checkpoint(open_note(self.note, keys))
        if self.origin != manifest.get("origin") or not same(self.size, manifest.get("size")):
            raise Tampered("the manifest names another head than the checkpoint")
        log, _slash, number = self.origin.rpartition("/")
        if log != manifest.get("log") or not SIZE.fullmatch(number) or number == "0":
            raise Tampered("the checkpoint is of another log")
        self.tree, self.keys = int(number), keys
        self._by_the_certificates_key()
        self._remembered()
        self.kind = manifest.get("kind")
        if self.kind == "range":
            self._range()
        elif self.kind == "selection":
            self._selection()
        else:
            raise BadBundle("it is neither a range nor a selection")
        removed = manifest.get("removed")
        if whole(removed) and removed:
            self.notes.append(
                "whoever made this says that retention had removed %d events of this time before; "
                "that is not checked here: the log says it at audit.prune" % removed
            )
        if not same(self.events, manifest.get("events")):
            self._incomplete("the manifest counts %s events" % (manifest.get("events"),))
        self._continuity()
        self._outside()
        sealed = self.archive.seal()
        if sealed is False:
            self._tampered("the archive's bytes were changed after it was made")
        elif sealed is None:
            self.notes.append(
                "the archive was packed again; what is in it was checked all the same"
            )

    def _files(self):
        """Every file is the one that the manifest names, and there is no other."""
        files = self.manifest.get("files")
        if not isinstance(files, dict):
            raise BadBundle("the manifest names no files")
        for name in sorted(self.archive.names - {"manifest.json"} - set(files)):
            raise BadBundle("%s is not in the manifest" % name)
        for name in sorted(set(files) - self.archive.names):
            self._incomplete("%s is missing" % name)
        for name, wanted in sorted(files.items()):
            if name in self.archive.names and name != "events.jsonl":
                digest = hashlib.sha256()
                for piece in self.archive.pieces(name, MAX_TOTAL if name in LARGE else SMALL):
                    digest.update(piece)
                if digest.hexdigest() != wanted:
                    self._tampered("%s is not the file that the manifest names" % name)

    def _keys(self):
        """The keys to trust: the certificate's, and those linked to it by signatures of both."""
        data = parse(self.archive.read("keys.json"), "keys.json")
        if not isinstance(data, list) or not 0 < len(data) <= 1000:
            raise Tampered("keys.json is malformed")
        for item in data:
            if not isinstance(item, dict) or not isinstance(item.get("endorsement"), str):
                raise Tampered("keys.json is malformed")
        keys = [Key(item.get("vkey")) for item in data]
        words = [item["endorsement"] for item in data]
        if self.certificate is None:
            self.cannot.append(
                "there is no certificate. If it says %s, the key is right" % keys[-1].fingerprint
            )
        else:
            if self.certificate["log"] != self.manifest.get("log"):
                raise Tampered("the certificate is of another log: %s" % self.certificate["log"])
            if self.certificate["hash"] != self.manifest.get("hash"):
                raise Tampered("the certificate names another hash")
            publics = [key.public for key in keys]
            if self.certificate["key"].public not in publics:
                raise Tampered("this was not signed with the key of the certificate")
            self.trusted_from = publics.index(self.certificate["key"].public)
        if any(key.name != self.manifest.get("log") for key in keys):
            raise Tampered("a key is of another log")
        for index in range(1, len(keys)):
            old, new = keys[index - 1], keys[index]
            for key in (old, new):
                lines = open_note(words[index], [key]).split("\n")
                if lines[2:4] != [old.vkey, new.vkey]:
                    raise Tampered("the key %s was not named by the key before it" % new.id.hex())
        return keys

    def _by_the_certificates_key(self):
        """The head must be signed by the certificate's key or one after it: one that was given up
        before is no longer trusted to sign."""
        try:
            open_note(self.note, self.keys[self.trusted_from :])
        except Tampered:
            self.cannot.append(
                "the head was signed with a key from before the certificate's: the certificate of "
                "that time tells"
            )

    def _range(self):
        """All leaves from `first` to `end`: with what is before and after they make the root."""
        first, end = self.manifest.get("first"), self.manifest.get("end")
        if not (whole(first) and whole(end) and first <= end <= self.size):
            raise Tampered("the manifest's range is malformed")
        self.span = (first, end)
        if not {"proofs/range.json", "proofs/leaves.bin"} <= self.archive.names:
            raise BadBundle("it has no proof of its range")
        proof = parse(self.archive.read("proofs/range.json"), "proofs/range.json")
        if not isinstance(proof, dict):
            raise Tampered("proofs/range.json is malformed")
        before, after = (hashes_of(proof.get(k), "proofs/range.json") for k in ("before", "after"))
        listed, made = (Edge(self.hasher, first, before) for _ in range(2))
        self.roots = {first: listed.root()}
        leaves = self._leaf_hashes()
        digest = hashlib.sha256()
        for line in self.archive.lines("events.jsonl"):
            digest.update(line + b"\n")
            position, known = made.size, next(leaves, None)
            if position >= end:
                self._incomplete("there are more events than the range has")
                break
            value = self.hasher.leaf(line)
            self._event(line, position, known is None or known == value)
            made.append(value)
            if known is not None:
                listed.append(known)
            if made.size in self.known:
                self.roots[made.size] = made.root()
        if made.size < end:
            self._incomplete("the events from position %d on are missing" % made.size)
        elif self.manifest["files"].get("events.jsonl") != digest.hexdigest():
            self._tampered("events.jsonl is not the file that the manifest names")
        if listed.size == end and next(leaves, None) is None:
            listed.extend(self.size, after)
            if listed.root() != self.root:
                self._tampered("the list of leaf hashes is not what was signed")
        else:
            self._incomplete("the list of leaf hashes has another length than the range")
        if made.size == end:
            made.extend(self.size, after)
            if made.root() != self.root:
                self._tampered("the events are not those that were signed")
        # The first tree has all that ever happened; in a later one processes go on counting.
        self._gaps(from_zero=first == 0 and self.tree == 1)

    def _leaf_hashes(self):
        rest = b""
        for piece in self.archive.pieces("proofs/leaves.bin"):
            data = rest + piece
            whole = len(data) - len(data) % 32
            for start in range(0, whole, 32):
                yield data[start : start + 32]
            rest = data[whole:]
        if rest:
            raise Tampered("proofs/leaves.bin is cut off")

    def _selection(self):
        """Some leaves: each with a path of its own to the root."""
        if "proofs/inclusion.jsonl" not in self.archive.names:
            raise BadBundle("it has no proofs of its events")
        paths = self.archive.lines("proofs/inclusion.jsonl", MAX_PATH_LINE)
        digest, last = hashlib.sha256(), -1
        self.roots = {}
        for line in self.archive.lines("events.jsonl"):
            digest.update(line + b"\n")
            proof = next(paths, None)
            if proof is None:
                self._incomplete("an event has no proof")
                break
            proof = parse(proof, "proofs/inclusion.jsonl")
            position = proof.get("position") if isinstance(proof, dict) else None
            if not whole(position) or not last < position < self.size:
                raise Tampered("the proofs are not in the order of their positions")
            last = position
            path = hashes_of(proof.get("path"), "a proof")
            root = root_of_path(self.hasher, self.hasher.leaf(line), position, self.size, path)
            self._event(line, position, root == self.root)
        if next(paths, None) is not None:
            self._incomplete("there are proofs of events that are not there")
        if self.manifest["files"].get("events.jsonl") != digest.hexdigest():
            self._tampered("events.jsonl is not the file that the manifest names")
        self.notes.append("this is a selection: that it is complete is not claimed")

    def _event(self, line, position, sealed):
        self.events += 1
        name = "position %d" % position
        try:
            event = event_of(line)
        except (ValueError, RecursionError) as error:
            self._tampered("%s: %s" % (name, error))
            return
        name += ", event " + event["id"]
        if not sealed:
            self._tampered("%s: it is not what was sealed" % name)
            return
        number = event["id"].replace("-", "")
        if number in self.ids:
            self._tampered("%s: this event is there twice" % name)
            return
        self.ids.add(number)
        self.good += 1
        boot, wseq = event.get("boot"), event.get("wseq")
        if isinstance(boot, str) and whole(wseq):
            self.boots.setdefault(boot, []).append(wseq)

    def _gaps(self, from_zero):
        """Processes number their events: in a range, no number between two may be missing, nor one
        from zero on where it is the beginning of the log."""
        for boot, numbers in self.boots.items():
            numbers.sort()
            expected = 0 if from_zero else numbers[0]
            for number in numbers:
                if number != expected:
                    word = "is missing" if number > expected else "is there twice"
                    which = min(number, expected)
                    self._incomplete("event %d of the process %s %s" % (which, boot, word))
                    break
                expected += 1

    # --- what this program remembers ---

    def _remembered(self):
        """The heads of this log that were verified here: of this tree by size, of others by tree."""
        self.known, self.others = {}, {}
        self.shown = True
        if self.memory is None or self.certificate is None:
            self.memory = None
            return
        try:
            heads, strange = self.memory.read(self.manifest["log"], self.keys)
        except (OSError, ValueError, RecursionError) as error:
            self.cannot.append(
                "what was verified here before cannot be read (%s: %s). Mend it, or move it away "
                "and lose the comparison" % (self.memory.path(self.manifest["log"]), error)
            )
            self.memory = None
            return
        for origin, size, root in heads:
            tree = int(origin.rpartition("/")[2])
            if tree == self.tree:
                self.known[size] = root
            else:
                self.others[tree] = max(size, self.others.get(tree, 0))
        if strange:
            self.notes.append(
                "a log of the same name, with other keys, was verified here before: is it another?"
            )

    def _continuity(self):
        """Whether this head extends those before it: of the last bundle, and those remembered."""
        roots = dict(self.roots)
        if "proofs/consistency.json" in self.archive.names:
            proof = parse(self.archive.read("proofs/consistency.json"), "proofs/consistency.json")
            roots.update([self._previous(proof)])
        if self.memory is None:
            return
        roots[self.size] = self.root
        for size in sorted(set(roots) & set(self.known)):
            if roots[size] != self.known[size]:
                self._tampered(
                    "another history of this log was verified here before: with the first %d "
                    "events it is not this one" % size
                )
                return
        if self.others:
            self._another_tree()
        if not self.known:
            if not self.others:
                self.notes.append("first verification of this log here: nothing to compare it with")
            return
        last = max(self.known)
        if last > self.size:
            self._set_back("the log has %d leaves; it had %d when it was verified here last"
                           % (self.size, last), self.size in self.known)  # fmt: skip
        elif last == self.size:
            self.notes.append("this head was verified here before")
        elif last in roots:
            self.notes.append("it extends the head verified here before: yes")
        else:
            self.shown = False
            self.notes.append(
                "whether it extends the head of %d leaves verified here before: not shown, so that "
                "this head is not remembered; a bundle of everything shows it" % last
            )

    def _another_tree(self):
        """Heads of other trees were verified here: after a restore that people acknowledged, a log
        goes on with a tree of its own."""
        said = ", ".join("tree %d with %d events" % found for found in sorted(self.others.items()))
        if max(self.others) > self.tree:
            self._set_back("this is tree %d of the log; verified here before: %s"
                           % (self.tree, said), self.size in self.known)  # fmt: skip
        else:
            self.notes.append(
                "this is tree %d of the log; verified here before: %s. That a new one was begun is "
                "for the log's owner to explain: it is not shown here" % (self.tree, said)
            )

    def _set_back(self, text, known):
        """A head that is older than one remembered: fine if it is one that was verified here."""
        if known:
            self.notes.append(text + ". This head was verified here before, too")
        elif self.older:
            self.shown = False
            self.notes.append(text + ". Not compared with it, as you asked (--older)")
        else:
            self._incomplete(text + ". If this is an older archive, say --older")

    def _previous(self, proof):
        if not isinstance(proof, dict) or "previous-checkpoint.txt" not in self.archive.names:
            raise Tampered("proofs/consistency.json is malformed")
        note = self.archive.text("previous-checkpoint.txt")
        origin, size, root = read_checkpoint(open_note(note, self.keys))
        if origin != self.origin or not same(size, proof.get("from")) or size > self.size:
            raise Tampered("the previous checkpoint is not that of the proof")
        before, after = (hashes_of(proof.get(k), "a proof") for k in ("before", "after"))
        edge = Edge(self.hasher, size, before)
        found = edge.root()
        if found != root:
            self._tampered("the previous checkpoint is not that of the proof")
        edge.extend(self.size, after)
        if edge.root() != self.root:
            self._tampered("the log does not extend the head of the previous bundle")
        else:
            self.notes.append("it extends the previous bundle's head of %d leaves: yes" % size)
        return size, found

    def _outside(self):
        """Heads that witnesses signed or authorities stamped: this log must extend each of them."""
        trusted = self.certificate["witnesses"] if self.certificate else []
        found = {}
        self._witnessed(self.note, self.size, trusted, found)
        if "proofs/outside.json" in self.archive.names:
            proofs = parse(self.archive.read("proofs/outside.json"), "proofs/outside.json")
            if not isinstance(proofs, list) or len(proofs) > 9:
                raise Tampered("proofs/outside.json is malformed")
            for number, proof in enumerate(proofs, 1):
                self._outside_head("outside/%d" % number, proof, trusted, found)
        for name, (seconds, size) in sorted(found.items()):
            self.notes.append("witness %s confirmed the first %d events at %s" % (
                name, size, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))))  # fmt: skip
        self.witnesses = len(found)
        if trusted and len(found) < len(trusted):
            self.notes.append("of %d witnesses in the certificate, %d confirmed what is here"
                              % (len(trusted), len(found)))  # fmt: skip

    def _outside_head(self, name, proof, trusted, found):
        if name + ".txt" not in self.archive.names or not isinstance(proof, dict):
            self._incomplete("%s.txt is missing" % name)
            return
        note = self.archive.text(name + ".txt")
        data = self.archive.read(name + ".txt")
        origin, size, root = read_checkpoint(open_note(note, self.keys))
        if origin != self.origin or not same(size, proof.get("from")) or size > self.size:
            raise Tampered("%s.txt is not the head of its proof" % name)
        before, after = (hashes_of(proof.get(k), "a proof") for k in ("before", "after"))
        edge = Edge(self.hasher, size, before)
        kept = edge.root()
        edge.extend(self.size, after)
        if kept != root or edge.root() != self.root:
            self._tampered("the log does not extend the head of %d events kept outside" % size)
            return
        self._witnessed(note, size, trusted, found)
        if name + ".tsr" in self.archive.names:
            try:
                at = stamped_at(self.archive.read(name + ".tsr"), data)
            except Tampered as error:
                self._tampered("%s.tsr: %s" % (name, error))
                return
            self.notes.append(
                "the first %d events carry a time-stamp that says %s; it is over them; who signed "
                "it is not checked here (VERIFY.md says how)" % (size, at)
            )

    def _witnessed(self, note, size, trusted, found):
        """Whose cosignatures are on a note: for each the newest."""
        for key in trusted:
            for seconds in key.confirmed(note):
                found[key.name] = max(found.get(key.name, (0, 0)), (seconds, size))

    def remember(self):
        """Keep the head that was verified, for the next time; not one that may be a fork's."""
        if self.exit_code != FINE or self.memory is None or not self.shown:
            return
        try:
            self.memory.add(self.manifest["log"], self.keys, (self.origin, self.size, self.root))
        except (OSError, ValueError) as error:
            self.notes.append("this verification could not be remembered: %s" % error)

    # --- verdicts ---

    def _tampered(self, text):
        self.counts[0] += 1
        if len(self.integrity) < MOST:
            self.integrity.append(text)

    def _incomplete(self, text):
        self.counts[1] += 1
        if len(self.completeness) < MOST:
            self.completeness.append(text)

    @property
    def exit_code(self):
        if self.integrity:
            return TAMPERED
        if self.completeness:
            return INCOMPLETE
        return CANNOT if self.cannot else FINE

    def lines(self):
        """What was found, for people. Nothing in it acts on a terminal."""
        return map(printable, self._lines())

    def _lines(self):
        yield "log / 日志            %s" % (self.origin or "?")
        if self.certificate:
            yield "trusted key / 信任密钥  %s" % self.certificate["key"].fingerprint
            yield "certificate / 证书     %s" % self.certificate["path"]
            if self.certificate.get("beside"):
                yield (
                    "note / 说明           the certificate was found beside the bundle: if it came "
                    "along with it, it proves nothing"
                )
        if self.witnesses is not None:
            yield "witnesses / 外部见证   %d" % self.witnesses
        yield "events / 事件         %d of %d match / 相符" % (self.good, self.events)
        if self.span is not None:
            first, end = self.span
            place = "%d–%d" % (first, end - 1) if end > first else "none / 无"
            yield "positions / 位置      %s (of / 共 %d)" % (place, self.size)
            if self.span != (0, self.size):
                asked = json.dumps(self.manifest.get("filter"), ensure_ascii=False)[:200]
                yield (
                    "note / 说明           this is a part of the log: what is before and after it "
                    "is not in it. Whoever made it says it was asked for by %s" % asked
                )
        if getattr(self, "manifest_hash", ""):
            yield "manifest / 清单        sha256 %s" % self.manifest_hash
        for text in self.notes:
            yield "note / 说明           %s" % text
        good = "not confirmed / 未确认" if self.cannot else "ok / 通过"
        complete = good
        if self.broken_off:
            complete = "not checked / 未检查"
        elif self.kind == "selection":
            complete = "not claimed / 不作声明"
        elif self.span != (0, self.size) and not self.cannot:
            complete = "ok within this part / 此部分内通过"
        verdicts = (
            ("integrity / 完整性    ", self.integrity, "TAMPERED / 被篡改", good, self.counts[0]),
            ("completeness / 齐全性 ", self.completeness, "INCOMPLETE / 不齐全", complete, self.counts[1]),
        )  # fmt: skip
        for title, texts, bad, fine, count in verdicts:
            yield title + (bad if texts else fine)
            for text in texts:
                yield "    " + text
            if count > len(texts):
                yield "    … %d more" % (count - len(texts))
        for text in self.cannot:
            yield "cannot verify / 无法验证  " + text
        yield EXIT % self.exit_code


EXIT = "exit code / 退出码      %d"


class Memory:
    """Heads that were verified on this machine: a file for each name of a log.

    Logs of the same name are told apart by their keys: a history belongs to every key that was
    trusted together with one of its own. The files are the user's own and are believed.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def path(self, log):
        return self.folder / (hashlib.sha256(log.encode()).hexdigest()[:32] + ".json")

    def _histories(self, log):
        """[(keys, heads)]. ValueError when the file is not as it was written."""
        try:
            with open(self.path(log), "rb") as file:
                data = file.read(MAX_MEMORY)
        except FileNotFoundError:
            return []
        try:
            found = []
            for history in DECODER.decode(data.decode("utf-8"))["histories"]:
                heads = []
                for origin, size, root in history["heads"]:
                    raw = bytes.fromhex(root)
                    if not whole(size) or len(raw) != 32 or origin.rpartition("/")[0] != log:
                        raise ValueError
                    int(origin.rpartition("/")[2])
                    heads.append((origin, size, raw))
                found.append(([str(key) for key in history["keys"]], heads))
            return found
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError("it is not as it was written") from None

    def read(self, log, keys):
        """(heads of the log with one of these keys, whether others have its name)."""
        mine, others = self._mine(log, keys)
        return [head for _keys, heads in mine for head in heads], bool(others) and not mine

    def _mine(self, log, keys):
        wanted = {key.public.hex() for key in keys}
        mine, others = [], []
        for history in self._histories(log):
            (mine if wanted & set(history[0]) else others).append(history)
        return mine, others

    def add(self, log, keys, head):
        """Remember one more. The file is whole at any time: another takes its place at once."""
        mine, others = self._mine(log, keys)
        known = sorted(
            {key for own, _heads in mine for key in own} | {k.public.hex() for k in keys}
        )
        heads = [old for _keys, heads in mine for old in heads]
        if head in heads and len(mine) == 1 and known == sorted(mine[0][0]):
            return
        heads = ([old for old in heads if old != head] + [head])[-MAX_HEADS:]
        values = [
            {"keys": own, "heads": [(origin, size, root.hex()) for origin, size, root in kept]}
            for own, kept in [*others, (known, heads)]
        ]
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=str(self.folder), suffix=".part")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump({"log": log, "histories": values}, file, ensure_ascii=True)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path(log))
        except BaseException:
            os.unlink(name)
            raise


def printable(text):
    """Nothing that a terminal would act on."""
    return "".join(c if c.isprintable() else "<U+%04X>" % ord(c) for c in text)


def read_certificate(path):
    """{"log", "hash", "key", "witnesses", "path"} of an installation certificate."""
    try:
        with open(path, "rb") as file:
            text = file.read(16384).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise BadCertificate("%s cannot be read: %s" % (path, error)) from None
    lines = [line.strip() for line in re.split("\r\n|\r|\n", text)]
    values = dict(line.split(": ", 1) for line in lines if re.match("(log|hash|key): ", line))
    if not {"log", "hash", "key"} <= set(values):
        raise BadCertificate("%s has no log, hash and key" % path)
    witnesses = [line[9:] for line in lines if line.startswith("witness: ")][:64]
    try:
        values.update(key=Key(values["key"]), witnesses=[WitnessKey(vkey) for vkey in witnesses])
    except BadBundle as error:
        raise BadCertificate("%s: %s" % (path, error)) from None
    return {**values, "path": str(path)}


def find_certificates(bundle):
    """Those that may have been put somewhere, in the order in which they are believed; never from
    inside the bundle. Beside the bundle comes last: it may have come along with it."""
    if os.environ.get("FUSEBOX_CERTIFICATE"):
        return [read_certificate(os.environ["FUSEBOX_CERTIFICATE"])]
    beside = Path(os.path.abspath(bundle)).parent
    folders = [MEMORY, Path(os.path.abspath(__file__)).parent, Path.cwd(), beside]
    if os.environ.get("FUSEBOX_DATA"):
        folders.insert(0, Path(os.environ["FUSEBOX_DATA"]) / "sealer")
    found = []
    for folder in folders:
        try:
            there = (folder / CERTIFICATE).is_file()
        except OSError:
            continue
        if there:
            found.append({**read_certificate(folder / CERTIFICATE), "beside": folder == beside})
    return found


def certificate_for(bundle):
    """Of the certificates that were found the first that is of the bundle's log, else the first."""
    found = find_certificates(bundle)
    if len(found) > 1:
        try:
            log = parse(Archive(bundle).read("manifest.json"), "manifest.json")["log"]
        except (BadBundle, Tampered, KeyError, TypeError):
            return found[0]
        found.sort(key=lambda certificate: certificate["log"] != log)
    return found[0] if found else None


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        """argparse's own exit code would say that the log was rolled back."""
        self.exit(BAD_INPUT, "%s%s: %s\n" % (self.format_usage(), self.prog, message))


def main(arguments=None):
    parser = Arguments(description="Verify an export of a Fusebox audit log.")
    parser.add_argument("bundle")
    parser.add_argument("--certificate", help="the installation certificate of the log")
    parser.add_argument("--forget", action="store_true", help="neither compare nor remember heads")
    parser.add_argument(
        "--older", action="store_true",
        help="the bundle is known to be older than one verified here: do not hold that against it",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    try:
        if options.certificate:
            certificate = read_certificate(options.certificate)
        else:
            certificate = certificate_for(options.bundle)
        memory = None if options.forget else MEMORY
        found = Verification(options.bundle, certificate, memory, options.older).run()
        found.remember()
        lines = list(found.lines())
    except BadBundle as error:
        print(printable("%s: %s" % (error.what, error)))
        print(EXIT % BAD_INPUT)
        return BAD_INPUT
    except Exception as error:  # made to break this program: no verdict, and no trace on the screen
        print(printable("%s: %s %s" % (BadBundle.what, type(error).__name__, error)))
        print(EXIT % BAD_INPUT)
        return BAD_INPUT
    for line in lines:
        print(line)
    return found.exit_code


if __name__ == "__main__":
    sys.exit(main())
