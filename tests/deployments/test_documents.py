"""Documents: what is read of good ones, and that bad ones are refused with their reason.

Real files, made by real libraries, read by a real child with its limits.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from access.errors import Denied
from audit.ledger.actor import Actor
from audit.ledger.models import Event, Personal
from deployments import actions
from deployments.documents import reading, words
from deployments.documents.reading import Reading
from tests import document_files as files
from tests.document_files import CHINESE, ENGLISH


def read(name: str, data: bytes | Callable[[], bytes]) -> Reading:
    return reading.read(name, io.BytesIO(data() if callable(data) else data))


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.txt", ENGLISH.encode(), ENGLISH),
        ("a.md", b"\xef\xbb\xbf" + CHINESE.encode(), CHINESE),
        ("a.TXT", CHINESE.encode("gb18030"), CHINESE),
        ("a.txt", CHINESE.encode("utf-16"), CHINESE),
        ("a.txt", ENGLISH.encode("utf-16-le"), ENGLISH),
        ("a.txt", "Café Müller, 31,50 € – zwölf Stück".encode("cp1252"), "Müller"),
        ("a.pdf", lambda: files.pdf(CHINESE), "价税合计：人民币 1748.00 元"),
        ("a.pdf", lambda: files.with_password(files.pdf(ENGLISH), ""), "R-2026-0417"),
        ("a.docx", lambda: files.word(CHINESE, ENGLISH), f"{CHINESE}\n{ENGLISH}\nToner\t129.80"),
    ],
)
def test_the_text_is_there(name: str, data: bytes | Callable[[], bytes], text: str) -> None:
    found = read(name, data)
    assert found.problem == ""
    assert text in found.text


def test_what_word_shows_is_read_and_what_it_hides_is_not() -> None:
    body = (
        "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>Total</w:t></w:r>"
        "<w:ins><w:r><w:tab/><w:t>174.80</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>99.00</w:delText></w:r></w:del></w:p>"
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        "<mc:AlternateContent><mc:Choice><w:p><w:r><w:t>once</w:t></w:r></w:p></mc:Choice>"
        "<mc:Fallback><w:p><w:r><w:t>once</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>"
    )
    assert read("a.docx", files.word_of(body)).text == "Total\t174.80\nin a control\nonce"


def test_a_table_is_a_list_of_texts() -> None:
    table = 'Kunde;Text\nMüller;"Der Toner\nist leer"\n\nWang;缺货\n'.encode()
    assert read("a.csv", table).texts == [
        "Kunde: Müller\nText: Der Toner\nist leer",
        "Kunde: Wang\nText: 缺货",
    ]
    assert read("a.csv", "一\n二\n".encode("gb18030")).problem in ("", "encoding")
    assert read("a.csv", b"first line\nsecond line\n").texts == ["first line", "second line"]


def test_radicals_that_browsers_print_become_characters_again() -> None:
    from deployments.documents.radicals import plain

    assert plain("⽤品 ⼈⺠币 ﬁle 用") == "用品 人民币 file 用"


def test_pages_without_text_are_named() -> None:
    found = read("a.pdf", files.scanned(2, text=ENGLISH))
    assert (found.problem, found.without_text, found.pages) == ("", [1, 2], 5)
    assert "1, 2" in words.left_out(found)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.txt", b"", "empty"),
        ("a.pdf", b"", "empty"),
        ("a.txt", b" \n\t ", "no_text"),
        ("a.exe", b"MZ", "kind"),
        ("noname", b"text", "kind"),
        ("a.pdf", lambda: files.word(ENGLISH), "not_what_it_says"),
        ("a.docx", lambda: files.pdf(ENGLISH), "not_what_it_says"),
        ("a.docx", b"plain text", "not_what_it_says"),
        ("a.txt", lambda: files.pdf(ENGLISH), "not_what_it_says"),
        ("a.txt", lambda: files.word(ENGLISH), "not_what_it_says"),
        ("a.csv", os.urandom(20_000) + b"\x00", "not_what_it_says"),
        ("a.txt", ENGLISH.encode() + b"\x07\x01", "not_what_it_says"),
        ("a.txt", CHINESE.encode()[:-1], "encoding"),
        ("a.txt", CHINESE.encode() + CHINESE.encode("gb18030"), "encoding"),
        ("a.txt", "價稅合計".encode("big5") * 9, "encoding"),
        ("a.txt", b"\xff\xfe" + "odd".encode("utf-16-le") + b"\x00", "encoding"),
        ("a.pdf", lambda: files.with_password(files.pdf(ENGLISH), "secret"), "password"),
        ("a.docx", files.locked_word, "password"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old_word"),
        ("a.pdf", files.scanned, "scanned"),
        ("a.docx", files.pictures_only, "scanned"),
        ("a.pdf", b"%PDF-1.7\n" + os.urandom(5_000), "unreadable"),
        ("a.pdf", lambda: files.pdf(ENGLISH)[:400], "unreadable"),
        ("a.docx", lambda: files.word(ENGLISH)[:900], "unreadable"),
        ("a.docx", lambda: files.word_of("<w:p><w:r>"), "unreadable"),
        ("a.docx", files.bomb, "bomb"),
        ("a.docx", files.lying_bomb, "unreadable"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused_with_its_reason(
    name: str, data: bytes | Callable[[], bytes], problem: str
) -> None:
    found = read(name, data)
    assert (found.problem, found.text) == (problem, "")
    assert len(words.problem(found)) > 10


def test_entities_that_grow_without_end_are_not_expanded() -> None:
    laughs = b'<!DOCTYPE w [<!ENTITY a "ha">]><w:document xmlns:w="x">&a;</w:document>'
    data = files.word_of("", more={"word/footnotes.xml": laughs})
    assert read("a.docx", data).problem == "bomb"


def test_five_thousand_pages_are_too_many() -> None:
    found = read("a.pdf", files.pdf(*["x"] * 5_000))
    assert found.problem == "pages"
    assert "5000" in words.problem(found)


def test_a_hundred_megabytes_are_not_even_taken_in() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            assert self.given < 30_000_000, "it was read beyond the limit"
            return b"x" * size

    assert reading.read("a.txt", Endless()).problem == "too_large"  # type: ignore[arg-type]


def test_a_child_that_takes_too_much_memory_is_stopped(settings: Settings) -> None:
    settings.DOCUMENT_MEMORY_BYTES = 60_000_000
    assert read("a.txt", "word ä ".encode() * 2_000_000).problem == "memory"


def test_a_child_that_takes_too_long_is_stopped(settings: Settings) -> None:
    settings.DOCUMENT_SECONDS = 1
    page = "\n".join(ENGLISH for _line in range(45))
    assert read("a.pdf", files.pdf(*[page] * 290)).problem == "time"


def test_reading_is_an_event_with_a_commitment_to_the_name(
    actor_of: Callable[[str], Actor],
) -> None:
    actions.extract_document(
        actor=actor_of("member"), name="Kündigung Müller.txt", content=io.BytesIO(b"some text")
    )
    event = Event.objects.filter(act="document.extract").latest("at")
    leaf = json.loads(bytes(event.leaf))
    assert leaf["details"] == {"kind": "txt", "bytes": 9, "pages": 0, "characters": 9}
    assert "Müller" not in json.dumps(leaf, ensure_ascii=False)
    assert "some text" not in json.dumps(leaf)
    assert "Kündigung Müller.txt" in Personal.objects.get(event_id=event.pk).values.values()


def test_a_bad_document_is_an_event_too_and_nobody_reads_without_an_account(
    actor_of: Callable[[str], Actor],
) -> None:
    found = actions.extract_document(
        actor=actor_of("member"), name="a.docx", content=io.BytesIO(files.bomb())
    )
    event = Event.objects.filter(act="document.extract").latest("at")
    assert (found.problem, event.outcome) == ("bomb", "failure")
    assert json.loads(bytes(event.leaf))["reason"] == "bomb"
    with pytest.raises(Denied):
        actions.extract_document(
            actor=Actor.anonymous(actor_of("member").origin), name="a.txt", content=io.BytesIO(b"x")
        )


def send(client: Client, name: str, data: bytes, language: str = "en") -> tuple[int, Any]:
    answer = client.post(
        "/api/v1/documents/", data, content_type="application/octet-stream",
        headers={"X-Document-Name": name, "Accept-Language": language},
    )  # fmt: skip
    return answer.status_code, answer.json()


def test_the_api_gives_the_text_or_says_why_not_in_the_readers_language(
    client_of: Callable[[str], Client],
) -> None:
    member = client_of("member")
    assert send(member, "%E5%8F%91%E7%A5%A8.txt", CHINESE.encode("gb18030"))[1]["text"] == CHINESE
    status, told = send(member, "a.pdf", files.scanned())
    assert (status, told["error"]["code"]) == (422, "document_scanned")
    _status, chinese = send(member, "a.pdf", files.scanned(), "zh-hans")
    assert "扫描" in chinese["error"]["message"]
    assert send(member, "", b"x")[0] == 422
    assert send(member, "a.txt", b"x" * 20_000_001)[0] == 413
