"""What a deployment may be called and what its recipe may carry. Pure checks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jsonschema
import orjson
from django.utils.translation import gettext_lazy as _

from access.errors import Invalid

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

NAME = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")
SCENARIO = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
MAX_SYSTEM_PROMPT = 32_000
MAX_SCHEMA_BYTES = 32_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of Ollama: its range, and what it does in words."""

    name: str
    kind: type[int] | type[float]
    least: float
    most: float
    title: StrOrPromise
    help: StrOrPromise


PARAMETERS = (
    Parameter("temperature", float, 0, 2, _("Temperature"), _("0 answers the same each time; higher varies more.")),
    Parameter("num_ctx", int, 256, 131_072, _("Context (tokens)"), _("How much text it can hold at once. More needs more memory.")),
    Parameter("num_predict", int, 1, 32_768, _("Longest answer (tokens)"), _("Answers are cut off after this many tokens.")),
    Parameter("top_p", float, 0, 1, _("Top p"), _("Choose among the most likely words that make up this share.")),
    Parameter("top_k", int, 1, 1000, _("Top k"), _("Choose among this many most likely words.")),
    Parameter("repeat_penalty", float, 0.1, 3, _("Repeat penalty"), _("Above 1 repeats itself less.")),
    Parameter("seed", int, 0, 2**31 - 1, _("Seed"), _("The same seed gives the same answer again.")),
)  # fmt: skip
BY_NAME = {p.name: p for p in PARAMETERS}
DEFAULT_NUM_CTX = 4096
# Without an end of its own a small model may talk for ever.
DEFAULT_NUM_PREDICT = 1024


def valid_name(name: str) -> str:
    name = name.strip()
    if not NAME.match(name):
        raise Invalid(
            _(
                "A deployment name has 1 to 63 small letters, digits, dots and hyphens, and "
                "begins and ends with a letter or digit."
            ),
            field="name",
        )
    return name


def valid_system_prompt(text: str, *, field: str = "system_prompt") -> str:
    """A system prompt or a template."""
    text = text.replace("\r\n", "\n").strip()
    if "\x00" in text:
        raise Invalid(_("This text contains a NUL character."), field=field)
    if len(text) > MAX_SYSTEM_PROMPT:
        raise Invalid(
            _("This text may have %(most)d characters; it has %(have)d.")
            % {"most": MAX_SYSTEM_PROMPT, "have": len(text)},
            field=field,
        )
    return text


def valid_parameters(values: Mapping[str, object]) -> dict[str, int | float]:
    """The parameters as numbers in range. `num_ctx` and `num_predict` are always set: a node's own
    defaults differ with its memory, and have no end."""
    found: dict[str, int | float] = {}
    for name, value in values.items():
        if value in (None, ""):
            continue
        parameter = BY_NAME.get(name)
        if parameter is None:
            raise Invalid(_("There is no parameter %(name)s.") % {"name": name}, field=name)
        try:
            number = parameter.kind(str(value))
        except ValueError as error:
            raise Invalid(
                _("%(title)s must be a number.") % {"title": parameter.title}, field=name
            ) from error
        if not parameter.least <= number <= parameter.most:
            raise Invalid(
                _("%(title)s may be from %(least)s to %(most)s.")
                % {
                    "title": parameter.title,
                    "least": f"{parameter.least:g}",
                    "most": f"{parameter.most:g}",
                },
                field=name,
            )
        found[name] = number
    found.setdefault("num_ctx", DEFAULT_NUM_CTX)
    found.setdefault("num_predict", DEFAULT_NUM_PREDICT)
    return found


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a revision is made of, beside its model; checked."""

    system_prompt: str = ""
    parameters: dict[str, int | float] = field(default_factory=dict)
    template: str = ""
    schema: dict[str, Any] | None = None
    scenario: str = ""


def valid_recipe(
    system_prompt: str = "",
    parameters: Mapping[str, object] | None = None,
    template: str = "",
    schema: object = None,
    scenario: str = "",
) -> Recipe:
    """The recipe, if all of it is possible. Raises Invalid that names the field.

    `scenario`: the key of that which it began with; its samples are what a replica is asked.
    """
    return Recipe(
        valid_system_prompt(system_prompt),
        valid_parameters(parameters or {}),
        valid_system_prompt(template, field="template"),
        valid_schema(schema),
        valid_scenario(scenario),
    )


def valid_scenario(key: str) -> str:
    """A key as files bear it; the file itself may be gone by now."""
    if key and not SCENARIO.match(key):
        raise Invalid(_("There is no such scenario."), field="scenario")
    return key


def valid_schema(schema: object) -> dict[str, Any] | None:
    """A JSON schema of an object, given as text or as JSON; None when nothing is given."""
    if schema in (None, "", {}):
        return None
    try:
        text = schema if isinstance(schema, str) else orjson.dumps(schema)
        if len(text) > MAX_SCHEMA_BYTES:
            raise Invalid(
                _("The schema may have %(most)d bytes.") % {"most": MAX_SCHEMA_BYTES},
                field="schema",
            )
        found = orjson.loads(text)
        if not isinstance(found, dict):
            raise TypeError("not an object")
        jsonschema.validators.validator_for(found).check_schema(found)
    except (orjson.JSONDecodeError, TypeError, RecursionError) as error:
        raise Invalid(
            _("The schema is no JSON object: %(reason)s") % {"reason": error}, field="schema"
        ) from error
    except jsonschema.SchemaError as error:
        raise Invalid(
            _("This is no JSON schema: %(reason)s") % {"reason": str(error.message)[:200]},
            field="schema",
        ) from error
    if any(not reference.startswith("#") for reference in _references(found)):
        raise Invalid(_("A schema may refer to its own parts only (#/…)."), field="schema")
    return found


def digest(
    system_prompt: str, parameters: Mapping[str, int | float], schema: dict[str, Any] | None
) -> str:
    """The same for the same prompt, parameters and schema, whichever page they came by."""
    numbers = {name: float(value) for name, value in parameters.items()}
    parts = [system_prompt, numbers, schema]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _references(part: object) -> list[str]:
    """Every $ref of a schema, however deep."""
    found, waiting = [], [part]
    while waiting:
        match waiting.pop():
            case dict() as mapping:
                found += [str(v) for k, v in mapping.items() if k in ("$ref", "$dynamicRef")]
                waiting += mapping.values()
            case list() as items:
                waiting += items
    return found


def lines(model: str, digest: str, recipe: Recipe, *, adapter: str = "") -> list[str]:
    """A recipe as lines of text, so that two can be compared line by line."""
    found = [f"model: {model}", f"digest: {digest}"]
    found += [f"adapter: {adapter}"] if adapter else []
    found += [f"scenario: {recipe.scenario}"] if recipe.scenario else []
    found += [f"parameter {name}: {value:g}" for name, value in sorted(recipe.parameters.items())]
    for title, text in (("system prompt", recipe.system_prompt), ("template", recipe.template)):
        if text:
            found += [f"{title}:", *(f"  {line}" for line in text.splitlines())]
    if recipe.schema is not None:
        shown = orjson.dumps(recipe.schema, option=orjson.OPT_INDENT_2).decode()
        found += ["schema:", *(f"  {line}" for line in shown.splitlines())]
    return found
