"""Text files: which encoding, and a table's records as texts. Pure.

An encoding is taken only where it is sure: a wrong guess would be read as the writer's words.
"""

from __future__ import annotations

import codecs
import csv
import io
import re

from deployments.documents.found import Found, Problem

# UTF-32 first: its mark begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NAMES = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32", "utf-8": "UTF-8",
         "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "gb18030": "GB18030",
         "cp1252": "Windows-1252"}  # fmt: skip
# Two bytes as common Chinese has them: signs and the 3,755 characters of GB 2312's first level.
COMMON = re.compile(rb"[\xa1-\xa9\xb0-\xd7][\xa1-\xfe]")
FOUR = re.compile(rb"[\x81-\xfe][\x30-\x39][\x81-\xfe][\x30-\x39]")
PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
MULTIBYTE = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f]")
WESTERN = set(
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿ–—‘’‚“”„…€£§©®°±²³·«»¿¡ªº\xa0"
)
DELIMITERS = ",;\t|"


def read(kind: str, data: bytes, limits: dict[str, int]) -> Found:
    encoding = encoding_of(data)
    text = data.decode(encoding)
    if CONTROL.search(text):
        raise Problem("not_what_it_says", said=f".{kind}")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    texts = records(text, limits["records"]) if kind == "csv" else []
    return Found(kind, text, texts, encoding=NAMES[encoding])


def encoding_of(data: bytes) -> str:
    """The one encoding in which the bytes are surely text. Raises Problem."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return _strict(data, encoding)
    half = _without_mark(data)
    if half:
        return _strict(data, half)
    if b"\x00" in data:
        raise Problem("not_what_it_says", said="text")
    for encoding, plausible in (("utf-8", _always), ("gb18030", _chinese), ("cp1252", _western)):
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if plausible(data):
            return encoding
    raise Problem("encoding")


def _strict(data: bytes, encoding: str) -> str:
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Problem("encoding") from error
    return encoding


def _without_mark(data: bytes) -> str:
    """UTF-16 of Western text without a mark: every second byte is nothing."""
    if len(data) < 4 or len(data) % 2:
        return ""
    even, odd = data[0::2].count(0), data[1::2].count(0)
    most = len(data) // 2 * 0.4
    if odd > most and not even:
        return "utf-16-le"
    return "utf-16-be" if even > most and not odd else ""


def _always(data: bytes) -> bool:
    return True


def _chinese(data: bytes) -> bool:
    """Nearly all of what is not ASCII is what common Chinese is made of."""
    rest = FOUR.sub(b"", data)
    pairs = len(PAIR.findall(rest))
    common = len([pair for pair in PAIR.findall(rest) if COMMON.fullmatch(pair)])
    return pairs > 0 and common >= pairs * 0.8


def _western(data: bytes) -> bool:
    """A few accented letters among many plain ones, and nothing that looks like broken UTF-8."""
    high = [letter for letter in data.decode("cp1252") if letter > "\x7f"]
    if len(high) > len(data) * 0.2 or MULTIBYTE.search(data):
        return False
    return all(letter in WESTERN for letter in high)


def records(text: str, most: int) -> list[str]:
    """A table's records as texts of "name: value"; of one column only, the values."""
    csv.field_size_limit(len(text) + 1)
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text[:20_000], DELIMITERS)
    except csv.Error:
        dialect = "excel"
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if any(map(str.strip, row))]
    except csv.Error as error:
        raise Problem("unreadable") from error
    if len(rows) > most:
        raise Problem("records", have=len(rows))
    if not rows or max(map(len, rows)) == 1:
        return [row[0].strip() for row in rows]
    header, *rest = rows
    return [_record(header, row) for row in rest]


def _record(header: list[str], row: list[str]) -> str:
    names = [*header, *[""] * (len(row) - len(header))]
    lines = [(n.strip(), v.strip()) for n, v in zip(names, row, strict=False)]
    return "\n".join(f"{name}: {value}" if name else value for name, value in lines if value)
