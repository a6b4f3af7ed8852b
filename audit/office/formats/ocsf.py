"""Events as the Open Cybersecurity Schema Framework has them, version 1.8.0, one JSON a line.

The leaf as stored is in raw_data; what the classes have no place for is in unmapped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

from audit.office.formats import ocsf_classes as classes
from audit.office.formats import opened
from audit.office.formats.base import About, Draw, Format, Record, ascii_json, lines
from audit.office.formats.ocsf_classes import Kind, kind_of
from audit.office.formats.opened import Opened

VERSION = "1.8.0"
STATUS = {"success": 1, "failure": 2, "denied": 2, "error": 2, "aborted": 2}
USER_TYPES = {"user": 1, "service": 4, "system": 3}
ADMINISTRATORS = ("system", "security", "audit")
SHA256 = {"algorithm": "SHA-256", "algorithm_id": 3}
# Classes that have no place for who acted, or for where a request came from.
WITHOUT_ACTOR = (classes.LIFECYCLE, classes.WEB_RESOURCES)
WITHOUT_ORIGIN = (classes.LIFECYCLE,)
PEOPLE = ("user", "service_account")
MAX_IP = 40


def event(one: Opened) -> dict[str, Any]:
    """The event as an object of its OCSF class."""
    kind = kind_of(one.act, one.text("authz", "permission"))
    made = {
        "class_uid": kind.class_uid,
        "category_uid": kind.class_uid // 1000,
        "activity_id": kind.activity_id,
        "type_uid": kind.class_uid * 100 + kind.activity_id,
        "time": one.milliseconds,
        "severity_id": one.severity,
        "status_id": STATUS.get(one.outcome, 99),
        "status": one.outcome,
        "metadata": _metadata(one, kind),
        "raw_data": one.raw.decode("utf-8", "backslashreplace"),
        "raw_data_size": len(one.raw),
        "raw_data_hash": {**SHA256, "value": hashlib.sha256(one.raw).hexdigest()},
        "unmapped": _unmapped(one, kind),
        **OF_CLASS[kind.class_uid](one),
    }
    if kind.activity_id == classes.OTHER:
        made["activity_name"] = one.act
    if reason := one.text("reason"):
        made["status_detail"] = reason
    if kind.class_uid not in WITHOUT_ACTOR:
        made["actor"] = _actor(one)
    if kind.class_uid not in WITHOUT_ORIGIN:
        made |= _origin(one)
    return made


def _metadata(one: Opened, kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": VERSION,
        "product": {"name": "Fusebox", "vendor_name": "Fusebox"},
        "uid": one.id,
        "event_code": one.act,
        "original_time": one.time,
        "log_format": "RFC 8785 JSON",
        "profiles": ["ai_operation"] if _has_model(one, kind) else [],
    }
    texts = {
        "log_name": one.text("log"),
        "log_version": str(one.number("v") or ""),
        "correlation_uid": one.text("req", "id"),
    }
    found |= {name: text for name, text in texts.items() if text}
    if writer := one.text("writer"):
        found["loggers"] = [{"name": writer, "uid": one.text("boot") or writer}]
    return found


def _actor(one: Opened) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if user := _user(one):
        found["user"] = user
    if session := one.text("actor", "session"):
        found["session"] = {"uid": session}
    return found or {"app_name": one.text("actor", "type") or "unknown"}


def _user(one: Opened) -> dict[str, Any]:
    texts = {
        "uid": one.text("actor", "id"),
        "name": one.who,
        "credential_uid": one.text("actor", "key"),
    }
    found: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if not found.keys() & {"uid", "name"}:
        return {}
    kind, role = one.text("actor", "type"), one.text("actor", "role")
    found["type_id"] = 2 if role in ADMINISTRATORS else USER_TYPES.get(kind, 0)
    if role:
        found["groups"] = [{"name": role, "type": "role"}]
    return found


def _origin(one: Opened) -> dict[str, Any]:
    address = str(one.address or "")
    endpoint = {"ip": address} if 0 < len(address) <= MAX_IP else {"name": "unknown"}
    request = {
        "uid": one.text("req", "id"),
        "http_method": one.text("req", "method"),
        "user_agent": one.opened("src.ua"),
    }
    found: dict[str, Any] = {name: text for name, text in request.items() if text}
    if route := one.text("req", "route"):
        found["url"] = {"path": route}
    return {"src_endpoint": endpoint} | ({"http_request": found} if found else {})


def _unmapped(one: Opened, kind: Kind) -> dict[str, Any]:
    """What has no other place, and the hash by which the log's tree knows the event."""
    found: dict[str, Any] = {
        "leaf_hash": one.hash.hex(),
        "authz": one.part("authz"),
        "objects": one.objects,
    }
    found["chg"] = one.changes
    for name in ("details", "red", "ai", "use"):
        found[name] = one.part(name)
    if kind.class_uid in WITHOUT_ACTOR:
        found["actor"] = _actor(one)
    if kind.class_uid in WITHOUT_ORIGIN:
        found["origin"] = _origin(one)
    if (number := one.number("wseq")) is not None:
        found["wseq"] = number
    return {name: value for name, value in found.items() if value not in ({}, [])}


def _named(obj: dict[str, str]) -> dict[str, str]:
    found = {"uid": obj["id"], "name": obj["label"]}
    return {name: text for name, text in found.items() if text} or {"name": "unknown"}


def _first(one: Opened, *types: str) -> dict[str, str]:
    """The first object of one of the types, or of any."""
    wanted = (obj for obj in one.objects if not types or obj["type"] in types)
    return next(wanted, {"type": types[0] if types else "", "id": "", "label": ""})


def _account_change(one: Opened) -> dict[str, Any]:
    return {"user": _named(_first(one, *PEOPLE))}


def _authentication(one: Opened) -> dict[str, Any]:
    return {"user": _user(one) or {"name": "unknown"}, "service": {"name": "Fusebox"}}


def _entity(one: Opened) -> dict[str, Any]:
    first = _first(one)
    return {"entity": {**_named(first), "type": first["type"] or one.act.partition(".")[0]}}


def _user_access(one: Opened) -> dict[str, Any]:
    given = [c["new"] for c in one.changes if c.get("field") == "role" and c.get("new")]
    return {**_account_change(one), "privileges": [str(role) for role in given]}


def _group(one: Opened) -> dict[str, Any]:
    found: dict[str, Any] = {"group": _named(_first(one, "team"))}
    if any(obj["type"] in PEOPLE for obj in one.objects):
        found["user"] = _named(_first(one, *PEOPLE))
    return found


def _web_resources(one: Opened) -> dict[str, Any]:
    first = _first(one)
    return {"web_resources": [{**_named(first), "type": first["type"] or "export"}]}


def _lifecycle(one: Opened) -> dict[str, Any]:
    return {"app": _named(_first(one, "deployment"))}


def _api(one: Opened) -> dict[str, Any]:
    found: dict[str, Any] = {"api": {"operation": one.text("authz", "permission") or one.act}}
    if request := one.text("req", "id"):
        found["api"]["request"] = {"uid": request}
    if one.objects:
        found["resources"] = [{**_named(o), "type": o["type"] or "unknown"} for o in one.objects]
    if not one.text("ai", "model"):
        return found
    model = {"name": one.text("ai", "model"), "ai_provider": "Internal"}
    if digest := one.text("ai", "digest"):
        model["version"] = digest
    return found | {"ai_model": model, "message_context": _tokens(one)}


def _tokens(one: Opened) -> dict[str, Any]:
    found: dict[str, Any] = {"service": _named(_first(one, "deployment"))}
    counted = [one.number("use", name) for name in ("in_tok", "out_tok")]
    names = ("prompt_tokens", "completion_tokens")
    found |= {n: c for n, c in zip(names, counted, strict=True) if c is not None}
    if None not in counted:
        found["total_tokens"] = sum(c or 0 for c in counted)
    return found


def _datastore(one: Opened) -> dict[str, Any]:
    name = one.text("log") or "audit log"
    return {"database": {"name": name, "type_id": classes.OTHER, "type": "Audit log"}}


def _has_model(one: Opened, kind: Kind) -> bool:
    return kind.class_uid == classes.API and bool(one.text("ai", "model"))


OF_CLASS: dict[int, Callable[[Opened], dict[str, Any]]] = {
    classes.ACCOUNT_CHANGE: _account_change,
    classes.AUTHENTICATION: _authentication,
    classes.ENTITY: _entity,
    classes.USER_ACCESS: _user_access,
    classes.GROUP: _group,
    classes.WEB_RESOURCES: _web_resources,
    classes.LIFECYCLE: _lifecycle,
    classes.API: _api,
    classes.DATASTORE: _datastore,
}


def _begin(about: About) -> Draw:
    def draw(records: Iterator[Record]) -> Iterator[bytes]:
        return lines(ascii_json(event(Opened.of(record))).encode() for record in records)

    return draw


OCSF = Format(
    name="ocsf",
    suffix="ocsf.jsonl",
    title="OCSF 1.8",
    purpose=_("For cloud SIEM and data lakes: one JSON object a line"),
    content_type="application/x-ndjson",
    columns=opened.columns,
    types=opened.TYPES,
    begin=_begin,
)
