"""What may be wished of a deployment and of a node: on or off, where, how and when loaded.

Pure checks; the rows are in deployments.models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid
from deployments import fit

LABEL = re.compile(r"^[a-z0-9]([a-z0-9._/=-]{0,61}[a-z0-9])?$")
MAX_LABELS = 20
MAX_REPLICAS = 100
MAX_WINDOWS = 21
MAX_AT_ONCE = 64


class Wanted(models.TextChoices):
    ON = "on", _("On")
    OFF = "off", _("Off")
    GONE = "gone", _("Gone")


class Strategy(models.TextChoices):
    TOGETHER = "together", _("All nodes at once")
    ONE_BY_ONE = "one-by-one", _("Node by node")


class Keep(models.TextChoices):
    ALWAYS = "always", _("Always loaded")
    ON_DEMAND = "on-demand", _("Loaded with the first request")
    TIMETABLE = "timetable", _("Loaded by timetable")


class Duty(models.TextChoices):
    OPEN = "open", _("Takes new replicas")
    CORDONED = "cordoned", _("Cordoned: takes no new replicas")
    DRAINING = "draining", _("Drained: its replicas move elsewhere")


def valid_labels(labels: Iterable[object], *, field: str = "labels") -> list[str]:
    """Labels such as `site=lyon` or `gpu`, each once, in order."""
    found = sorted({str(label).strip().lower() for label in labels} - {""})
    if len(found) > MAX_LABELS or not all(LABEL.match(label) for label in found):
        raise Invalid(
            _(
                "Labels have up to 63 small letters, digits and . _ / = -, for example "
                "site=lyon or gpu; at most %(most)d of them."
            )
            % {"most": MAX_LABELS},
            field=field,
        )
    return found


def valid_replicas(number: object) -> int | None:
    """How many replicas; None means one on each node that matches."""
    if number in (None, ""):
        return None
    try:
        replicas = int(str(number))
    except ValueError:
        replicas = 0
    if not 1 <= replicas <= MAX_REPLICAS:
        raise Invalid(
            _("Replicas may be from 1 to %(most)d, or empty for one on each node that matches.")
            % {"most": MAX_REPLICAS},
            field="replicas",
        )
    return replicas


def valid_timetable(windows: object, keep: str) -> list[dict[str, Any]]:
    """Windows in which a model is kept loaded: [{"days": [0-6], "from": "08:00", "to": "18:00"}].

    0 is Monday. A window whose end is not after its start goes on into the next day.
    """
    if keep != Keep.TIMETABLE:
        return []
    if not isinstance(windows, Sequence) or isinstance(windows, str) or not windows:
        raise Invalid(_("Say at least once when it is to be loaded."), field="timetable")
    if len(windows) > MAX_WINDOWS:
        raise Invalid(
            _("A timetable may have %(most)d lines.") % {"most": MAX_WINDOWS}, field="timetable"
        )
    return [_window(window) for window in windows]


def _window(window: object) -> dict[str, Any]:
    try:
        if not isinstance(window, Mapping):
            raise TypeError
        days = sorted({int(day) for day in window["days"]})
        begin = time.fromisoformat(str(window["from"]))
        end = time.fromisoformat(str(window["to"]))
        if not days or days[0] < 0 or days[-1] > 6 or begin.tzinfo or end.tzinfo:
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid(
            _("Write days and hours such as Mon-Fri 08:00-18:00."), field="timetable"
        ) from error
    return {"days": days, "from": begin.strftime("%H:%M"), "to": end.strftime("%H:%M")}


def valid_server(given: object) -> dict[str, Any]:
    """How a node's Ollama was set, which it does not tell: {"parallel": OLLAMA_NUM_PARALLEL,
    "cache_type": OLLAMA_KV_CACHE_TYPE, "at_once": OLLAMA_MAX_LOADED_MODELS}; each may be absent."""
    if not isinstance(given, Mapping):
        raise Invalid(_("Give the settings of its Ollama as fields."), field="server")
    found: dict[str, Any] = {}
    for name in ("parallel", "at_once"):
        value = given.get(name)
        if value in (None, ""):
            continue
        number = int(str(value)) if str(value).isdecimal() else 0
        if not 1 <= number <= MAX_AT_ONCE:
            raise Invalid(_("This may be from 1 to %(most)d.") % {"most": MAX_AT_ONCE}, field=name)
        found[name] = number
    if cache_type := given.get("cache_type"):
        if cache_type not in fit.CACHE_TYPES:
            raise Invalid(
                _("The cache is one of %(types)s.") % {"types": ", ".join(fit.CACHE_TYPES)},
                field="cache_type",
            )
        found["cache_type"] = cache_type
    return found


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LINE = re.compile(r"^([a-z]{3})(?:-([a-z]{3}))?\s+(\d{1,2}:\d{2})\s*-\s*(\d{1,2}:\d{2})$")


def read_timetable(text: str) -> list[dict[str, Any]]:
    """The lines that people type: `Mon-Fri 08:00-18:00`."""
    windows = []
    for line in text.lower().splitlines():
        if not line.strip():
            continue
        found = LINE.match(line.strip())
        if not found or found[1] not in DAYS or (found[2] or found[1]) not in DAYS:
            raise Invalid(_("Write days and hours such as Mon-Fri 08:00-18:00."), field="timetable")
        first, last = DAYS.index(found[1]), DAYS.index(found[2] or found[1])
        days = [(first + i) % 7 for i in range((last - first) % 7 + 1)]
        windows.append({"days": days, "from": found[3].zfill(5), "to": found[4].zfill(5)})
    return windows


def show_timetable(windows: Iterable[Mapping[str, Any]]) -> str:
    """The same lines again; days that do not follow each other get a line each."""
    lines = []
    for window in windows:
        days = list(window["days"])
        first, last = days[0], days[-1]
        hours = f"{window['from']}-{window['to']}"
        if days == list(range(first, last + 1)):
            span = DAYS[first].title() + (f"-{DAYS[last].title()}" if last > first else "")
            lines.append(f"{span} {hours}")
        else:
            lines += [f"{DAYS[day].title()} {hours}" for day in days]
    return "\n".join(lines)


def kept_at(keep: str, windows: Iterable[Mapping[str, Any]], local: datetime) -> bool:
    """Whether the model is to be kept loaded at this local time."""
    if keep != Keep.TIMETABLE:
        return keep == Keep.ALWAYS
    now, today = local.strftime("%H:%M"), local.weekday()
    for window in windows:
        begin, end, days = window["from"], window["to"], window["days"]
        if begin < end:
            if today in days and begin <= now < end:
                return True
        elif (today in days and now >= begin) or ((today - 1) % 7 in days and now < end):
            return True
    return False
