"""Files of others lie in static/vendor as they were published, with version and licence."""

from __future__ import annotations

import hashlib

from tests.architecture.source import ROOT

VENDOR = ROOT / "static" / "vendor"


def listed() -> dict[str, tuple[str, str, str, str]]:
    """file -> (name, version, licence, sha256)"""
    found = {}
    for line in (VENDOR / "VERSIONS").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, version, licence, file, digest = line.split()
            found[file] = (name, version, licence, digest)
    return found


def test_every_vendored_file_is_as_published() -> None:
    for file, (*_rest, digest) in listed().items():
        assert hashlib.sha256((VENDOR / file).read_bytes()).hexdigest() == digest, file


def test_every_vendored_file_is_listed() -> None:
    present = {
        str(path.relative_to(VENDOR))
        for path in VENDOR.rglob("*")
        if path.is_file() and not path.name.startswith(("VERSIONS", "LICENSE", "README"))
    }
    assert present == set(listed())


def test_no_page_loads_anything_from_elsewhere() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text()
        for attribute in ("src", "href", "action"):
            assert f'{attribute}="http' not in text, path.name
            assert f'{attribute}="//' not in text, path.name
