"""The registry of acts: complete, in words, and in step with roles and pages."""

from __future__ import annotations

import re

import pytest
from django.utils import translation

from access.roles import ROLE_ACTS, WITNESS_ACTS
from audit.ledger.acts import REGISTRY, Act
from audit.office.reading import CATEGORY_NAMES, OUTCOME_NAMES, sentence
from console.management.commands.audit_events import document


@pytest.mark.parametrize("act", Act)
def test_every_act_is_in_the_registry(act: Act) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", act.value)
    assert 1 <= REGISTRY[act].severity <= 6
    with translation.override("en"):
        assert str(act.sentence)
    with translation.override("zh-hans"):
        assert re.search(r"[\u4e00-\u9fff]", sentence(act.value))


def test_the_registry_has_nothing_else() -> None:
    assert set(REGISTRY) == set(Act)


def test_every_category_has_a_name() -> None:
    assert set(CATEGORY_NAMES) == {act.category for act in Act}


def test_every_outcome_has_a_name() -> None:
    from audit.ledger.event import OUTCOMES

    assert set(OUTCOME_NAMES) == set(OUTCOMES)


def test_sentences_tell_acts_apart() -> None:
    with translation.override("en"):
        words = [str(act.sentence) for act in Act]
    assert len(set(words)) == len(words)


def test_what_is_only_asked_for_is_asked_of_somebody() -> None:
    permissions = {act for acts in ROLE_ACTS.values() for act in acts}
    assert {act for act in Act if not act.recorded} <= permissions | WITNESS_ACTS


def test_an_act_of_another_version_is_shown_by_its_name() -> None:
    assert sentence("node.teleport") == "node.teleport"


def test_the_document_lists_every_act() -> None:
    text = document()
    assert all(f"| `{act.value}` |" in text for act in Act)
