"""The second verifier, verify.html, opened from disk in Chromium: it agrees with verify.py."""

from __future__ import annotations

import base64
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from audit.office.verifier import verify
from tests.architecture.source import ROOT
from tests.audit.forging import BOTH, FIRST, LOG, REFUSED, SECOND, Forged, events, numbered
from tests.audit.sealed.conftest import (  # noqa: F401  a fixture
    EVENTS,
    Sealed,
    copied,
    sealed_template,
)
from tests.audit.sealed.test_bundle import (  # noqa: F401  fixtures among them
    FINE,
    Exported,
    add,
    cut,
    double,
    drop,
    export,
    exported,
    fit,
    flip,
    mutate,
    rewrite,
    swap,
)

pytestmark = pytest.mark.browser
PAGE = ROOT / "audit/office/verifier/verify.html"
VECTORS = json.loads((ROOT / "tests/audit/vectors/tree.json").read_text())
MUTATIONS = 300
SELECT = """
from audit.ledger.actor import Actor
from audit.office import actions
from audit.office.filters import Filter
with open({!r}, "w+b") as file:
    actions.export_bundle(actor=Actor.system("audit_export"),
                          wanted=Filter(act="node.register"), target=file)
"""
CHECK = """([bundle, certificate, earlier]) => window.verifyBundle(
    Uint8Array.from(atob(bundle), (c) => c.charCodeAt(0)).buffer, certificate, earlier)"""
TREE = """({hash, size, path, position}) => {
    const { TreeHash, Range, rootOfPath, hex } = window.parts;
    const tree = new TreeHash(hash), text = new TextEncoder();
    const leaf = (n) => tree.leaf(text.encode("leaf " + n));
    const range = new Range(tree);
    for (let n = 0; n < size; n++) range.push(leaf(n));
    const bytes = (path || []).map((h) => Uint8Array.from(h.match(/../g), (p) => parseInt(p, 16)));
    return {
        root: hex(range.root()), range: range.roots.map(hex),
        led: path ? hex(rootOfPath(tree, leaf(position), position, size, bytes)) : "",
    };
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(offline=True, locale="en-US")
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda asked: problems.append(asked.url) if "http" in asked.url else None)
    page.goto(PAGE.as_uri())
    yield page
    context.close()
    assert problems == []


@pytest.fixture
def second(page: Page, exported: Exported) -> Callable[..., dict[str, Any]]:  # noqa: F811
    """What the page finds of a bundle, with the certificate of `exported` unless told."""

    def check(bundle: Path, certificate: str | None = None, earlier: str = "") -> dict[str, Any]:
        trusted = exported.certificate.read_text() if certificate is None else certificate
        data = base64.b64encode(bundle.read_bytes()).decode()
        found: dict[str, Any] = page.evaluate(CHECK, [data, trusted, earlier])
        return found

    return check


def first(bundle: Path, certificate: Path) -> int:
    """The exit code of verify.py."""
    try:
        trusted = verify.read_certificate(certificate)  # type: ignore[no-untyped-call]
        found = verify.Verification(bundle, trusted, None)  # type: ignore[no-untyped-call]
        code: int = found.run().exit_code  # type: ignore[no-untyped-call]
    except verify.BadBundle:
        code = verify.BAD_INPUT
    return code


def test_a_bundle_is_fine(second: Callable[..., Any], exported: Exported) -> None:  # noqa: F811
    found = second(exported.bundle)
    assert (found["code"], found["matched"], found["total"]) == (FINE, EVENTS, EVENTS)


def test_without_a_certificate_it_cannot_tell(
    second: Callable[..., Any],
    exported: Exported,  # noqa: F811
) -> None:
    found = second(exported.bundle, "")
    assert found["code"] == verify.CANNOT
    assert found["fingerprint"] in exported.certificate.read_text()


@pytest.mark.parametrize("change", [flip, swap, fit, drop, double, cut])
def test_changed_content_is_named_alike(
    second: Callable[..., Any],
    exported: Exported,  # noqa: F811
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], None],
) -> None:
    changed = rewrite(exported.bundle, tmp_path / "x.zip", change)
    trusted = verify.read_certificate(exported.certificate)  # type: ignore[no-untyped-call]
    one = verify.Verification(changed, trusted, None).run()  # type: ignore[no-untyped-call]
    two = second(changed)
    assert two["code"] == one.exit_code
    assert [f["en"] for f in two["integrity"]] == one.integrity
    assert [f["en"] for f in two["completeness"]] == one.completeness


def test_every_mutation_is_found_by_both(
    second: Callable[..., Any],
    exported: Exported,  # noqa: F811
    tmp_path: Path,
) -> None:
    data, dice, target = exported.bundle.read_bytes(), random.Random(2), tmp_path / "x.zip"
    apart = []
    for number in range(MUTATIONS):
        target.write_bytes(changed := mutate(data, dice))
        fine = second(target)["code"] == FINE
        if fine != (first(target, exported.certificate) == FINE) or fine != (changed == data):
            apart.append(number)
    assert apart == []


@pytest.mark.parametrize("name", ["../evil", "extra.txt", "C:evil"])
def test_a_file_that_has_no_place_is_refused(
    second: Callable[..., Any],
    exported: Exported,  # noqa: F811
    tmp_path: Path,
    name: str,
) -> None:
    (tmp_path / "x.zip").write_bytes(exported.bundle.read_bytes())
    add(tmp_path / "x.zip", name, b"x")
    assert second(tmp_path / "x.zip")["code"] == verify.BAD_INPUT


def test_a_bomb_is_refused(
    second: Callable[..., Any],
    exported: Exported,  # noqa: F811
    tmp_path: Path,
) -> None:
    def bomb(files: dict[str, bytes]) -> None:
        files["events.jsonl"] = b"0" * 50_000_000

    assert second(rewrite(exported.bundle, tmp_path / "x.zip", bomb))["code"] == verify.BAD_INPUT


def test_a_selection_has_a_path_for_each(
    sealed_template: Sealed,  # noqa: F811
    second: Callable[..., Any],
    exported: Exported,  # noqa: F811
    tmp_path: Path,
) -> None:
    bundle = tmp_path / "some.zip"
    done = sealed_template.manage("shell", "--no-imports", "-c", SELECT.format(str(bundle)))
    assert done.returncode == 0, done.stderr
    found = second(bundle)
    assert (found["code"], found["total"]) == (FINE, EVENTS // 2)
    assert first(bundle, exported.certificate) == FINE
    moved = rewrite(bundle, tmp_path / "x.zip", flip)
    assert second(moved)["code"] == first(moved, exported.certificate) == verify.TAMPERED


def test_what_follows_a_head_that_was_kept(
    sealed_template: Sealed,  # noqa: F811
    second: Callable[..., Any],
    exported: Exported,  # noqa: F811
    tmp_path: Path,
) -> None:
    kept = read(exported.bundle, "checkpoint.txt")
    with copied(sealed_template, tmp_path / "sealer") as log:
        log.happen(3)
        longer = export(log, tmp_path, "longer.zip")
    found = second(longer.bundle, earlier=kept.decode())
    assert found["code"] == FINE
    assert any("extends the earlier head" in note["en"] for note in found["notes"])
    found = second(exported.bundle, earlier=read(longer.bundle, "checkpoint.txt").decode())
    assert found["code"] == verify.INCOMPLETE


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_made_to_deceive_is_refused_by_both_alike(
    page: Page, tmp_path: Path, name: str
) -> None:
    certificate = FIRST.certificate(tmp_path / "certificate.txt")
    bundle = REFUSED[name](tmp_path / "x.zip")
    data = base64.b64encode(bundle.read_bytes()).decode()
    found = page.evaluate(CHECK, [data, certificate.read_text(), ""])
    assert found["code"] == first(bundle, certificate) != FINE


def test_what_is_made_by_hand_is_judged_alike(page: Page, tmp_path: Path) -> None:
    """A part, an empty part, a later tree, a key that was given up, an earlier head."""
    forged = {
        "whole": Forged(events(20)),
        "part": Forged(events(20), first=3, end=9),
        "nothing": Forged(events(20), end=0),
        "tree": Forged(numbered(3, 4), origin=f"{LOG}/2"),
        "keys": Forged(events(20), signer=SECOND, keys=BOTH),
        "given up": Forged(events(20), signer=FIRST, keys=BOTH),
    }
    for name, bundle in forged.items():
        packed = bundle.pack(tmp_path / "x.zip")
        data = base64.b64encode(packed.read_bytes()).decode()
        for signer in (FIRST, SECOND):
            trusted = signer.certificate(tmp_path / "certificate.txt")
            found = page.evaluate(CHECK, [data, trusted.read_text(), ""])
            assert found["code"] == first(packed, trusted), name
    trusted = FIRST.certificate(tmp_path / "certificate.txt")
    earlier = {
        Forged(events(9)).note(9).replace("\n", "\r\n"): FINE,
        Forged(events(9, fork=3)).note(9): verify.TAMPERED,
        Forged(events(30)).note(30): verify.INCOMPLETE,
        Forged(events(9), origin=f"{LOG}/2").note(9): verify.CANNOT,
        trusted.read_text(): verify.BAD_INPUT,
    }
    data = base64.b64encode(forged["whole"].pack(tmp_path / "x.zip").read_bytes()).decode()
    for note, code in earlier.items():
        assert page.evaluate(CHECK, [data, trusted.read_text(), note])["code"] == code, note
    part = base64.b64encode(forged["part"].pack(tmp_path / "x.zip").read_bytes()).decode()
    note = Forged(events(1)).note(1)
    assert page.evaluate(CHECK, [part, trusted.read_text(), note])["code"] == verify.CANNOT


@pytest.mark.parametrize(
    ("bundle", "certified", "words"),
    [
        (Forged(events(20), first=3, end=9), True, ("in this part", "Positions", "3–8 of 20")),
        (Forged(events(20), end=0), True, ("no event in it", "none of 20")),
        (Forged(events(20)), False, ("Not confirmed", "Key named by the archive itself")),
        (Forged(events(20)), True, ("none is missing", "Trusted key", "0–19 of 20")),
        (Forged(events(20), origin="x/1"), True, ("TAMPERED", "not checked")),
    ],
)
def test_the_page_says_no_more_than_was_shown(
    browser: Browser, tmp_path: Path, bundle: Forged, certified: bool, words: tuple[str, ...]
) -> None:
    context = browser.new_context(offline=True, locale="en-US")
    page = context.new_page()
    page.goto(PAGE.as_uri())
    page.set_input_files("#bundle", bundle.pack(tmp_path / "x.zip"))
    if certified:
        page.set_input_files("#certificate", FIRST.certificate(tmp_path / "certificate.txt"))
    page.click("#go")
    page.wait_for_selector("#result:not([hidden])")
    said = page.inner_text("#result")
    assert [word for word in words if word not in said] == []
    context.close()


def test_another_log_is_not_ours(second: Callable[..., Any], exported: Exported) -> None:  # noqa: F811
    other = exported.certificate.read_text().replace("log: fusebox.test", "log: other.test")
    assert second(exported.bundle, other)["code"] == verify.TAMPERED


@pytest.mark.parametrize("tree", VECTORS["trees"], ids=lambda t: f"{t['hash']}-{t['size']}")
def test_the_trees_are_the_shared_ones(page: Page, tree: dict[str, Any]) -> None:
    for proof in tree["paths"] or [{"path": None, "position": 0}]:
        got = page.evaluate(TREE, {"hash": tree["hash"], "size": tree["size"], **proof})
        assert (got["root"], got["range"]) == (tree["root"], tree["range"])
        assert got["led"] in ("", tree["root"])


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_person_checks_a_bundle_by_hand(
    browser: Browser,
    exported: Exported,  # noqa: F811
    locale: str,
    tmp_path: Path,
) -> None:
    size: Any = {"width": 390, "height": 800}
    context = browser.new_context(offline=True, locale=locale, viewport=size)
    page = context.new_page()
    page.goto(PAGE.as_uri())
    hostile = '<img src=x onerror="document.title=1">\u202e'
    bad = rewrite(exported.bundle, tmp_path / "x.zip", lambda files: files.update({hostile: b"x"}))
    words = {"en-US": ("none is missing", "no evidence"), "zh-CN": ("没有缺失", "不是证据包")}
    for bundle, word in zip((exported.bundle, bad), words[locale], strict=True):
        page.set_input_files("#bundle", bundle)
        page.set_input_files("#certificate", exported.certificate)
        page.click("#go")
        page.wait_for_selector("#result:not([hidden])")
        assert word in page.inner_text("#verdict")
    assert "<img" in page.inner_text("#findings")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def read(bundle: Path, name: str) -> bytes:
    with zipfile.ZipFile(bundle) as archive:
        return archive.read(name)
