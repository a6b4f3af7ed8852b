"""Reading the headers of GGUF and safetensors files that strangers bring: every count is a claim.

Pure: a file in, what it says out, or Lying. Nothing is allocated by a claimed size.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_TENSORS = 65_536
MAX_KEYS = 4_096
MAX_KEY_BYTES = 65_535
MAX_STRING_BYTES = 16 * 1024 * 1024
MAX_ITEMS = 4_000_000
MAX_DIMENSIONS = 4
MAX_SAFETENSORS_HEADER = 32 * 1024 * 1024

UINT32, STRING, ARRAY, UINT64 = 4, 8, 9, 10
SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# ggml type -> (elements a block, bytes a block)
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
DTYPES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip


class Lying(Exception):
    """The file is not what it says it is; the text says where."""


@dataclass(frozen=True, slots=True)
class Header:
    tensors: int
    architecture: str = ""


def read_gguf(path: Path) -> Header:
    """The header of a GGUF file whose tensors all lie inside it. Raises Lying."""
    with path.open("rb") as file:
        return _Gguf(file, path.stat().st_size).header()


class _Gguf:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.architecture, self.alignment = "", 32

    def header(self) -> Header:
        if self.take(4) != b"GGUF":
            raise Lying("it does not begin with GGUF.")
        version = self.number("<I", 4)
        if version not in (2, 3):
            raise Lying(f"its version is {version}; 2 and 3 are known.")
        tensors, keys = self.number("<Q", 8), self.number("<Q", 8)
        if not 0 < tensors <= MAX_TENSORS:
            raise Lying(f"it claims {tensors} tensors.")
        if keys > MAX_KEYS:
            raise Lying(f"it claims {keys} metadata keys.")
        for _key in range(keys):
            self.pair()
        if not 0 < self.alignment <= 65_536 or self.alignment & (self.alignment - 1):
            raise Lying(f"its alignment is {self.alignment}.")
        ends = [self.tensor() for _tensor in range(tensors)]
        start = -(-self.file.tell() // self.alignment) * self.alignment
        if start + max(ends) > self.size:
            raise Lying(
                f"its tensors end at byte {start + max(ends)}, the file at {self.size}: it was cut."
            )
        return Header(tensors, self.architecture)

    def pair(self) -> None:
        key = self.text(MAX_KEY_BYTES)
        kind = self.number("<I", 4)
        if key == "general.architecture" and kind == STRING:
            self.architecture = self.text(MAX_KEY_BYTES)[:64]
        elif key == "general.alignment" and kind == UINT32:
            self.alignment = self.number("<I", 4)
        else:
            self.skip_value(kind)

    def skip_value(self, kind: int) -> None:
        if kind == STRING:
            self.skip(self.limited(MAX_STRING_BYTES, "a text"))
        elif kind == ARRAY:
            item = self.number("<I", 4)
            count = self.limited(MAX_ITEMS, "a list")
            if item in SCALARS:
                self.skip(count * SCALARS[item])
            elif item == STRING:
                for _item in range(count):
                    self.skip(self.limited(MAX_STRING_BYTES, "a text"))
            else:
                raise Lying(f"a list holds values of the unknown kind {item}.")
        elif kind in SCALARS:
            self.skip(SCALARS[kind])
        else:
            raise Lying(f"a value is of the unknown kind {kind}.")

    def tensor(self) -> int:
        """Where the tensor ends, counted from the start of the data."""
        name = self.text(256)
        dimensions = self.number("<I", 4)
        if not 0 < dimensions <= MAX_DIMENSIONS:
            raise Lying(f"the tensor {name[:40]!r} has {dimensions} dimensions.")
        elements = 1
        for _dimension in range(dimensions):
            elements *= self.number("<Q", 8)
        kind, offset = self.number("<I", 4), self.number("<Q", 8)
        if kind not in BLOCKS or not elements:
            raise Lying(f"the tensor {name[:40]!r} is of the unknown type {kind} or empty.")
        if offset % self.alignment:
            raise Lying(f"the tensor {name[:40]!r} is not aligned.")
        block, size = BLOCKS[kind]
        return offset + -(-elements // block) * size

    def text(self, most: int) -> str:
        return self.take(self.limited(most, "a text")).decode("utf-8", "replace")

    def limited(self, most: int, what: str) -> int:
        length = self.number("<Q", 8)
        if length > most:
            raise Lying(f"{what} claims a length of {length}.")
        return length

    def number(self, form: str, size: int) -> int:
        return int(struct.unpack(form, self.take(size))[0])

    def take(self, size: int) -> bytes:
        found = self.file.read(size)
        if len(found) != size:
            raise Lying("it ends in the middle of its header.")
        return found

    def skip(self, size: int) -> None:
        self.file.seek(size, 1)
        if self.file.tell() > self.size:
            raise Lying("it ends in the middle of its header.")


def read_safetensors(path: Path) -> Header:
    """The header of a safetensors file whose tensors fill it without gap. Raises Lying."""
    size = path.stat().st_size
    with path.open("rb") as file:
        lead = file.read(8)
        length = int.from_bytes(lead, "little")
        if len(lead) < 8 or not 2 <= length <= min(MAX_SAFETENSORS_HEADER, size - 8):
            raise Lying(f"its header claims {length} bytes.")
        try:
            entries = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise Lying("its header is no JSON.") from error
    if not isinstance(entries, dict):
        raise Lying("its header is no object.")
    entries.pop("__metadata__", None)
    if not 0 < len(entries) <= MAX_TENSORS:
        raise Lying(f"it claims {len(entries)} tensors.")
    spans = sorted(_span(str(name), entry) for name, entry in entries.items())
    at = 0
    for begin, end in spans:
        if begin != at:
            raise Lying("its tensors overlap or leave gaps.")
        at = end
    if 8 + length + at != size:
        raise Lying(f"its tensors end at byte {8 + length + at}, the file at {size}.")
    return Header(len(entries))


def _span(name: str, entry: object) -> tuple[int, int]:
    try:
        width, shape = DTYPES[entry["dtype"]], entry["shape"]  # type: ignore[index]
        begin, end = entry["data_offsets"]  # type: ignore[index]
        elements = 1
        for dimension in shape:
            if type(dimension) is not int or dimension < 0:
                raise ValueError(name)
            elements *= dimension
        if type(begin) is not int or type(end) is not int or end - begin != elements * width:
            raise ValueError(name)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Lying(f"the tensor {name[:40]!r} is described wrongly.") from error
    return begin, end
