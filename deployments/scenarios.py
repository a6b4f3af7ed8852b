"""Scenarios: ready recipes for a job, one TOML file each. Those of `scenario_files` come with the
product; a file of the same name in settings.SCENARIOS takes its place, others are added there.

    size = "edge"                   which class of models does it: edge, server or special
    schema = \"\"\"{…}\"\"\"              a JSON schema of the answers, where they have one
    [en] [zh]                       title, summary and prompt, in both languages
    [parameters]                    as deployments.recipes takes them
    [[samples]]                     at least three: en, zh; fields or words of a right answer
    [[models]]                      named open models: name, size, licence
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from access.errors import Refusal
from deployments import recipes

SHIPPED = Path(__file__).parent / "scenario_files"
KEY = recipes.SCENARIO
LANGUAGES = ("en", "zh")
MAX_BYTES = 256 * 1024
MAX_FILES = 500
LEAST_SAMPLES = 3


class Size(models.TextChoices):
    EDGE = "edge", _("1–3 billion parameters: small machines")
    SERVER = "server", _("7–9 billion parameters: a server")
    SPECIAL = "special", _("30 billion parameters and more: special machines")


class Malformed(Exception):
    """A file that is no scenario; the text says what to put right."""


@dataclass(frozen=True, slots=True)
class Text:
    title: str
    summary: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Sample:
    """An input in each language, and what an answer to it must have: `fields` by name, `words`."""

    en: str
    zh: str
    fields: dict[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    def input(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Suitable:
    """A named open model that does the job."""

    name: str
    size: str
    licence: str

    @property
    def size_label(self) -> str:
        return str(Size(self.size).label)


@dataclass(frozen=True, slots=True)
class Scenario:
    key: str
    size: str
    en: Text
    zh: Text
    parameters: dict[str, int | float]
    schema: dict[str, Any] | None
    samples: tuple[Sample, ...]
    models: tuple[Suitable, ...]
    own: bool = False

    def text(self, language: str) -> Text:
        return self.zh if language == "zh" else self.en

    @property
    def size_label(self) -> str:
        return str(Size(self.size).label)

    def path(self) -> Path:
        return (settings.SCENARIOS if self.own else SHIPPED) / f"{self.key}.toml"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What there is by key; `broken` are files of the house's own that cannot be read, and why."""

    scenarios: dict[str, Scenario]
    broken: dict[str, str]


def catalogue() -> Catalogue:
    """Every scenario, read anew: the files are few, and somebody may just have edited one."""
    found = {path.stem: read(path) for path in sorted(SHIPPED.glob("*.toml"))}
    broken: dict[str, str] = {}
    own = sorted(settings.SCENARIOS.glob("*.toml")) if settings.SCENARIOS.is_dir() else []
    for path in own[:MAX_FILES]:
        try:
            found[path.stem] = read(path, own=True)
        except Malformed as error:
            broken[path.name[:100]] = str(error)
    return Catalogue(found, broken)


def get(key: str) -> Scenario | None:
    return catalogue().scenarios.get(key)


def digest(scenario: Scenario, language: str) -> str:
    """Which recipe it is: of prompt, parameters and schema; what is tried is what is deployed."""
    return recipes.digest(scenario.text(language).prompt, scenario.parameters, scenario.schema)


def probe(key: str, prompt: str) -> str:
    """What a replica of this scenario is asked before it is opened; empty when there is none.

    In Chinese when the prompt has Chinese words."""
    scenario = get(key) if key else None
    if scenario is None:
        return ""
    chinese = any("\u4e00" <= letter <= "\u9fff" for letter in prompt)
    return scenario.samples[0].input("zh" if chinese else "en")


def read(path: Path, *, own: bool = False) -> Scenario:
    """One file, checked. Raises Malformed."""
    try:
        if not KEY.match(path.stem):
            raise Malformed(f"the name {path.stem[:60]!r} is not of small letters, digits, hyphens")
        if path.stat().st_size > MAX_BYTES:
            raise Malformed(f"it is larger than {MAX_BYTES} bytes")
        return _checked(path.stem, tomllib.loads(path.read_text("utf-8")), own)
    except OSError as error:
        raise Malformed(f"it cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Malformed(f"it is no TOML in UTF-8: {error}") from error
    except KeyError as error:
        raise Malformed(f"{error} is missing") from error
    except Refusal as error:
        raise Malformed(str(error)) from error
    except (TypeError, ValueError, AttributeError) as error:
        raise Malformed(f"something is of the wrong kind: {error}") from error


def _checked(key: str, given: dict[str, Any], own: bool) -> Scenario:
    recipe = recipes.valid_recipe(
        parameters=given.get("parameters", {}), schema=given.get("schema", "")
    )
    scenario = Scenario(
        key,
        str(Size(given["size"])),
        _text(given["en"]),
        _text(given["zh"]),
        recipe.parameters,
        recipe.schema,
        tuple(_sample(each, recipe.schema) for each in given["samples"]),
        tuple(
            Suitable(str(m["name"]), str(Size(m["size"])), str(m["licence"]))
            for m in given["models"]
        ),
        own,
    )
    if len(scenario.samples) < LEAST_SAMPLES:
        raise Malformed(f"it has {len(scenario.samples)} samples; {LEAST_SAMPLES} are the least")
    if not scenario.models:
        raise Malformed("it names no models")
    return scenario


def _text(given: dict[str, str]) -> Text:
    text = Text(*(str(given[name]).strip() for name in ("title", "summary", "prompt")))
    if not all((text.title, text.summary, text.prompt)):
        raise Malformed("a title, a summary or a prompt is empty")
    recipes.valid_system_prompt(text.prompt)
    return text


def _sample(given: dict[str, Any], schema: dict[str, Any] | None) -> Sample:
    fields, words = dict(given.get("fields", {})), tuple(map(str, given.get("words", ())))
    sample = Sample(str(given["en"]), str(given["zh"]), fields, words)
    if not (sample.en.strip() and sample.zh.strip()):
        raise Malformed("a sample is empty")
    check_fields(fields, schema or {})
    return sample


def check_fields(fields: dict[str, Any], schema: dict[str, Any]) -> None:
    """Raise Malformed when an answer of the schema could never have these."""
    known = schema.get("properties", {})
    for name, value in fields.items():
        if name not in known:
            raise Malformed(f"a sample expects the field {name!r}, which the schema has not")
        try:
            jsonschema.validate(value, known[name])
        except jsonschema.ValidationError as error:
            raise Malformed(
                f"a sample expects {name} to be what it cannot be: {error.message}"
            ) from error
