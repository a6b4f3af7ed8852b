"""Formats for other systems and people: whatever is in an event, it stays one record, escaped."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from itertools import product
from typing import Any

import jsonschema
import openpyxl
import pypdf
import pytest
from django.test import Client
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from audit.ledger.acts import Act
from audit.ledger.event import OUTCOMES
from audit.ledger.log import Change, Obj
from audit.office.export import Stream
from audit.office.filters import Filter
from audit.office.formats import ALL, cef, syslog, xlsx
from tests.audit.conftest import Happen

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = [
    "a\nb", "a\rb", "a\x1b[31mb", "\u202eevil", "=HYPERLINK(1)", "\uff1d1+1", "+1", "-1", "@x",
    'q"]\\', "a|b=c", "\u200b", "\U000e0041", "<b>&amp;</b>", "\ud800",
    '<r></r></is></c><c r="Z2"><f>1+41</f></c><c><is><r></r>', "<r><bad</r>",
    "<r><t>shown</t></r>", "a\ufffeb", "a\uffffb",
]  # fmt: skip
UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f\u200b\u202e\ufffe\uffff\U000e0041]")


def export(format: str, **values: str) -> bytes:
    return b"".join(Stream(Filter.parse(values), format))


@pytest.fixture
def hostile(happen: Happen) -> list[str]:
    """One event a hostile text, in every place that can hold one."""
    for text in HOSTILE:
        happen(
            Act.NODE_REGISTER,
            Obj("node", text, text),
            name=text,
            ip="10.0.0.7",
            reason=text,
            changes=[Change("url", text, text)],
        )
    return HOSTILE


# --- OCSF ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def schemas() -> Callable[[dict[str, Any]], Any]:
    """The published schema of an event's class and profiles."""
    source = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))
    names = {
        3001: "account_change", 3002: "authentication", 3004: "entity_management",
        3005: "user_access", 3006: "group_management", 6001: "web_resources_activity",
        6002: "application_lifecycle", 6003: "api_activity", 6005: "datastore_activity",
    }  # fmt: skip
    known: dict[Any, Any] = {}

    def of(event: dict[str, Any]) -> Any:
        key = (event["class_uid"], tuple(event["metadata"]["profiles"]))
        if key not in known:
            schema = source.get_class_schema(names[key[0]], list(key[1]))
            known[key] = jsonschema.Draft202012Validator(schema)
        return known[key]

    return of


def test_every_act_is_a_valid_event_of_ocsf(
    happen: Happen, schemas: Callable[[dict[str, Any]], Any]
) -> None:
    ai = {"model": "smollm2:135m", "digest": "d", "deployment": "claims"}
    for act, outcome in product((a for a in Act if a.recorded), OUTCOMES):
        happen(
            act,
            Obj("deployment", "d1", "claims"),
            Obj("user", "u1", "Li Wei", personal=True),
            outcome=outcome,
            ip="10.0.0.7",
            request="r-1",
            ai=ai if act.category == "inference" else {},
            use={"in_tok": 1, "out_tok": 2} if act.category == "inference" else {},
        )
    lines = export("ocsf").splitlines()
    problems = set()
    for line in lines:
        event = json.loads(line)
        for error in schemas(event).iter_errors(event):
            problems.add((event["metadata"]["event_code"], error.message[:200]))
    assert len(lines) == len([a for a in Act if a.recorded]) * len(OUTCOMES)
    assert problems == set()


def test_ocsf_holds_the_stored_bytes(happen: Happen) -> None:
    made = happen(Act.NODE_REGISTER, Obj("node", "1", "one"))
    [line] = export("ocsf").splitlines()
    assert json.loads(line)["raw_data"].encode() == made.leaf


# --- CEF and syslog ---------------------------------------------------------------------------


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """An independent reader: seven header fields, then key=value with escapes."""
    fields = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    assert len(fields) == 8, line
    found = {}
    for match in re.finditer(r"(\w+)=((?:[^\\=]|\\.)*?)(?= \w+=|$)", fields[7]):
        text = match[2].replace("\\n", "\n").replace("\\r", "\r")
        found[match[1]] = re.sub(r"\\(.)", r"\1", text)
    return fields[:7], found


def test_a_line_of_cef_is_one_event_whatever_is_in_it(hostile: list[str]) -> None:
    lines = export("cef").decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(hostile)
    for line in lines:
        assert UNSEEN.search(line) is None
        head, fields = read_cef(line)
        assert head[:3] == ["CEF:0", "Fusebox", "Fusebox"]
        assert fields["act"] == "node.register"
        assert fields["src"] == "10.0.0.7"


@given(st.text(max_size=200))
def test_what_is_escaped_for_cef_is_read_back(text: str) -> None:
    escaped = cef.value(text, 1000)
    assert "\n" not in escaped
    assert re.search(r"(?<!\\)(?:\\\\)*=", escaped) is None


@given(st.text(max_size=200))
def test_a_parameter_of_syslog_ends_where_it_should(text: str) -> None:
    escaped = syslog.parameter(text)
    assert re.fullmatch(r'(?:[^"\\\]]|\\["\\\]])*', escaped)


def test_a_message_of_syslog_is_one_line_and_short_enough(hostile: list[str]) -> None:
    lines = export("syslog").decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(hostile)
    for line in lines:
        assert UNSEEN.search(line) is None
        assert len(line.encode()) <= syslog.MAX_BYTES
        assert re.match(r"<10[4-9]>1 \d{4}-\d\d-\d\dT[\d:.]+Z ", line)
        assert "[fusebox@32473 " in line


def test_octets_are_counted(happen: Happen) -> None:
    assert syslog.framed("é".encode()) == "2 é".encode()


# --- for people ------------------------------------------------------------------------------


def test_a_workbook_has_texts_only(hostile: list[str]) -> None:
    book = openpyxl.load_workbook(io.BytesIO(export("xlsx")))
    assert len(book.sheetnames) == 2
    rows = list(book.worksheets[1].iter_rows())
    assert len(rows) == len(hostile) + 1
    for cell in (cell for row in rows for cell in row if cell.value is not None):
        assert cell.data_type == "s"
        assert UNSEEN.search(str(cell.value)) is None
    people = {str(row[6].value) for row in rows[1:]}
    assert {"'<r><bad</r>", "'<r><t>shown</t></r>", "a<U+FFFE>b"} <= people
    assert [cell.coordinate for cell in rows[1]][-1] == "V2"


def test_what_does_not_fit_a_sheet_goes_on_in_another(
    hostile: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xlsx, "SHEET_ROWS", 6)
    book = openpyxl.load_workbook(io.BytesIO(export("xlsx")))
    assert [sheet.max_row for sheet in book.worksheets[1:]] == [6, 6, 6, 6]


def test_a_cell_is_no_longer_than_excel_counts() -> None:
    assert len(xlsx.text("\U0001f600" * 40_000).encode("utf-16-le")) // 2 <= xlsx.MAX_CELL


def test_the_summary_is_one_page_in_both_languages(hostile: list[str]) -> None:
    reader = pypdf.PdfReader(io.BytesIO(export("pdf")))
    assert len(reader.pages) == 1
    text = reader.pages[0].extract_text()
    assert "Audit log summary" in text and "审计日志摘要" in text
    assert str(len(hostile)) in text


def test_a_filter_is_in_words_in_files_too(happen: Happen) -> None:
    happen()
    with translation.override("zh-hans"):
        book = openpyxl.load_workbook(
            io.BytesIO(export("xlsx", act="node", outcome="success", start="2026-11-01"))
        )
    told = [cell.value for cell in next(book.worksheets[0].iter_rows(2, 2, 1, 2))]
    assert told == ["筛选", "操作: 节点; 结果: 成功; 开始: 2026-11-01 00:00:00 +0000"]
    [page] = pypdf.PdfReader(io.BytesIO(export("pdf", act="node", outcome="success"))).pages
    text = page.extract_text().replace("\n", "")
    assert "操作 / Action: 节点 / Node; 结果 / Outcome: 成功 / " in text


def test_nothing_is_a_file_too() -> None:
    for format in ALL:
        assert isinstance(export(format, act="team.create"), bytes)


def test_every_format_can_be_chosen_on_the_page(
    client_of: Callable[[str], Client], hostile: list[str]
) -> None:
    auditor = client_of("audit")
    page = auditor.get("/audit/events/").content.decode()
    for format in ALL:
        assert f'value="{format}"' in page
        answer = auditor.post("/audit/export/", {"format": format})
        assert answer.status_code == 200
        assert b"".join(answer.streaming_content)  # type: ignore[attr-defined]
