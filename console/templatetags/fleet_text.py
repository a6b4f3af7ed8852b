"""What templates may ask for about nodes: closed or not, fit or not, the history drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from access.said import Said, Value, Words, from_json, parts
from audit.office.visible import visible
from console.templatetags.fusebox import badge, clock
from deployments.models import Node, NodeCheck, NodeStatus
from deployments.room import Room, Verdict
from deployments.work.steps import TITLES

register = template.Library()

WIDTH, HEIGHT = 4, 28


@register.simple_tag
def duty_badge(node: Node) -> SafeString:
    return badge(node.duty, node.get_duty_display())


@register.filter
def said(text: Value) -> SafeString:
    """A stored reason: our sentence in the reader's language, others' words quoted and marked."""
    if isinstance(text, Said):
        found = ((said(p) if isinstance(p, Said | Words) else str(p),) for p in parts(text))
        return format_html_join("", "{}", found)
    shown = visible(str(text))
    if isinstance(text, Words):
        return format_html('<q lang="en">{}</q>', shown)
    return format_html('<span lang="en">{}</span>', shown) if shown else SafeString("")


@register.filter
def log_text(line: Mapping[str, Any]) -> SafeString:
    """What a line of an operation's log says."""
    return said(from_json(line.get("text", "")))


@register.filter
def as_json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


@register.filter
def step_title(name: str) -> str:
    return str(TITLES.get(name, name))


@register.simple_tag
def closed_badge(closed: bool | None) -> SafeString:
    """Whether anything can leave through a node."""
    if closed is None:
        return badge("", _("its version does not say"))
    return badge("closed", _("closed")) if closed else badge("open", _("open to a vendor's cloud"))


@register.simple_tag
def kept_badge(keeps_none: bool | None) -> SafeString:
    """Whether a node may write what people ask into files."""
    return badge("closed", _("no")) if keeps_none else badge("", _("nobody has looked yet"))


@register.simple_tag
def fit_badge(found: Room) -> SafeString:
    """Whether a model has room on a node."""
    tones = {Verdict.FITS: "online", Verdict.TIGHT: "degraded", Verdict.NOT: "failed"}
    return badge(tones.get(found.verdict, ""), str(found.verdict.label))


@register.simple_tag
def trial_problem(problem: Mapping[str, str]) -> SafeString:
    """What is wrong with an answer to a sample, in words."""
    sentences = {
        "empty": _("The answer is empty."),
        "left_out": _("The text did not fit into the context; a part of it was not read."),
        "cut": _("The answer is longer than the scenario allows and was cut."),
        "schema": _("The answer is not of the schema's shape:"),
        "field": _("A field is not what was expected:"),
        "word": _("The answer does not contain:"),
    }
    text = sentences.get(str(problem.get("what")), "")
    detail = problem.get("detail", "")
    return format_html("{} <code>{}</code>", text, detail) if detail else format_html("{}", text)


@register.simple_tag
def check_strip(checks: Sequence[NodeCheck]) -> SafeString:
    """The last checks as bars, oldest first: full when online, lower the worse."""
    if not checks:
        return SafeString("")
    heights = {NodeStatus.ONLINE: HEIGHT, NodeStatus.DEGRADED: HEIGHT * 2 // 3}
    bars = format_html_join(
        "",
        '<rect class="check-{}" x="{}" y="{}" width="{}" height="{}"><title>{} {}</title></rect>',
        (
            (
                check.status,
                i * WIDTH,
                HEIGHT - (height := heights.get(NodeStatus(check.status), HEIGHT // 3)),
                WIDTH - 1,
                height,
                date_format(timezone.localtime(check.at), "H:i:s"),
                _told(check),
            )
            for i, check in enumerate(checks)
        ),
    )
    return format_html(
        '<svg class="checks" role="img" aria-label="{}" viewBox="0 0 {} {}"'
        ' preserveAspectRatio="xMinYMid meet">{}</svg>',
        _online(checks),
        len(checks) * WIDTH,
        HEIGHT,
        bars,
    )


@register.simple_tag
def check_history(checks: Sequence[NodeCheck]) -> SafeString:
    """The last checks drawn, in words, and from when to when."""
    if not checks:
        return format_html('<p class="muted">{}</p>', _("Nothing yet."))
    answers = [check.proof_ms for check in checks if check.proof_ms is not None]
    told = _online(checks)
    if answers:
        told += " " + _("Real answers took %(least)d to %(most)d ms.") % {
            "least": min(answers),
            "most": max(answers),
        }
    return format_html(
        '{}<p class="muted">{} – {}<br>{}</p>',
        check_strip(checks),
        clock(checks[0].at),
        clock(checks[-1].at),
        told,
    )


def _online(checks: Sequence[NodeCheck]) -> str:
    good = sum(check.status == NodeStatus.ONLINE for check in checks)
    return _("Online in %(good)d of the last %(all)d checks.") % {"good": good, "all": len(checks)}


def _told(check: NodeCheck) -> str:
    state = str(NodeStatus(check.status).label)
    return f"{state} · {check.proof_ms} ms" if check.proof_ms is not None else state
