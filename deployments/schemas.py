"""Values held against a JSON schema. Patterns in it are somebody's regular expressions, and what
they are tried on is a model's: each gets a moment, so that none holds up everybody else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import jsonschema
import regex
from jsonschema import ValidationError

PATIENCE_S = 0.1
TOO_LONG = "the pattern %r takes too long on this text"
Errors = Iterator[ValidationError]


def errors(value: object, schema: dict[str, Any]) -> Errors:
    """What is wrong with the value. Raises RecursionError or referencing.Unresolvable."""
    validator = _bounded(jsonschema.validators.validator_for(schema))(schema)
    found: Errors = validator.iter_errors(value)
    return found


def check(value: object, schema: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError for the first thing that is wrong, or as `errors`."""
    for error in errors(value, schema):
        raise error


@lru_cache
def _bounded(kind: Any) -> Any:
    """The validator of a dialect, with patterns that come to an end."""

    def additional(validator: Any, allowed: Any, instance: Any, schema: Any) -> Errors:
        patterns = schema.get("patternProperties")
        if not patterns or not validator.is_type(instance, "object"):
            yield from kind.VALIDATORS["additionalProperties"](validator, allowed, instance, schema)
            return
        named = schema.get("properties", {})
        extras = [k for k in instance if k not in named and not _any(patterns, k)]
        for name in extras if isinstance(allowed, dict) else ():
            yield from validator.descend(instance[name], allowed, path=name)
        if extras and allowed is False:
            yield ValidationError(f"Additional properties are not allowed: {', '.join(extras)}")

    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": additional,
    }
    known = {name: judge for name, judge in own.items() if name in kind.VALIDATORS}
    return jsonschema.validators.extend(kind, known)  # type: ignore[no-untyped-call]


def _pattern(validator: Any, pattern: str, instance: Any, _schema: Any) -> Errors:
    if validator.is_type(instance, "string"):
        try:
            if not regex.search(pattern, instance, timeout=PATIENCE_S):
                yield ValidationError(f"{instance!r} does not match {pattern!r}")
        except (TimeoutError, regex.error):
            yield ValidationError(TOO_LONG % pattern)


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _schema: Any) -> Errors:
    if validator.is_type(instance, "object"):
        for pattern, below in patterns.items():
            for name, value in instance.items():
                if _any([pattern], name):
                    yield from validator.descend(value, below, path=name, schema_path=pattern)


def _any(patterns: Any, name: str) -> bool:
    """A pattern that takes too long on a name does not match it."""
    for pattern in patterns:
        try:
            if regex.search(pattern, name, timeout=PATIENCE_S):
                return True
        except (TimeoutError, regex.error):
            continue
    return False
