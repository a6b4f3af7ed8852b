"""What the page of a task must know of a deployment: its columns, and how much text fits. Pure."""

from __future__ import annotations

import re
from typing import Any

from deployments.models import Revision
from deployments.recipes import DEFAULT_NUM_CTX, DEFAULT_NUM_PREDICT

KINDS = {"string", "number", "integer", "boolean"}
WIDE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
# What the chat template and the schema's own words take.
OVERHEAD = 48
LEAST_ROOM = 64


def is_task(revision: Revision | None) -> bool:
    """Whether it was made for a job, and not for whatever somebody may ask."""
    if revision is None:
        return False
    return bool(revision.scenario or revision.schema or revision.system_prompt)


def columns(schema: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The fields of an answer; none for an answer that is one text. First those that are required,
    in their order: the database keeps the order of a list, but not that of an object."""
    properties, required = (schema or {}).get("properties"), (schema or {}).get("required", [])
    if not isinstance(properties, dict):
        return []
    order = {name: place for place, name in enumerate(required)}
    names = sorted(properties, key=lambda name: order.get(name, len(order)))
    return [_column(name, properties[name]) for name in names]


def _column(name: str, part: Any) -> dict[str, Any]:
    rule = part if isinstance(part, dict) else {}
    options = rule.get("enum")
    if isinstance(options, list) and options and all(isinstance(o, str) for o in options):
        return {"name": name, "title": _title(name, rule), "kind": "enum", "options": options}
    kind = rule.get("type")
    known = kind if isinstance(kind, str) and kind in KINDS else "json"
    return {"name": name, "title": _title(name, rule), "kind": known, "options": []}


def _title(name: str, rule: dict[str, Any]) -> str:
    title = rule.get("title")
    return title if isinstance(title, str) and title.strip() else name


def tokens(text: str) -> int:
    """About how many tokens a text has: one a Chinese character, one for three letters else. The
    page counts in the same way; what is right, only the node knows."""
    wide = len(WIDE.findall(text))
    return wide + -(-(len(text) - wide) // 3)


def room(revision: Revision) -> int:
    """About how many tokens of a text fit beside the prompt and the answer."""
    asked = int(revision.parameters.get("num_ctx", DEFAULT_NUM_CTX))
    context = min(asked, revision.model.context_length or asked)
    answer = int(revision.parameters.get("num_predict", DEFAULT_NUM_PREDICT))
    left = context - min(answer, context // 3) - tokens(revision.system_prompt) - OVERHEAD
    return max(left, LEAST_ROOM)
