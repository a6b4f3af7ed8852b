"""The formats of export, one module each. What is in ALL can be chosen everywhere."""

from __future__ import annotations

from audit.office.formats.base import About, Draw, Format
from audit.office.formats.cef import CEF
from audit.office.formats.ocsf import OCSF
from audit.office.formats.pdf import PDF
from audit.office.formats.plain import CSV, JSONL
from audit.office.formats.syslog import SYSLOG
from audit.office.formats.xlsx import XLSX

__all__ = ["ALL", "About", "Draw", "Format"]

ALL: dict[str, Format] = {f.name: f for f in (CSV, XLSX, JSONL, OCSF, CEF, SYSLOG, PDF)}
