"""What was permitted and refused all the same: told beside the field, nothing changed, an event."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from access.models import Team, User
from audit.ledger.models import Event
from deployments.models import Node

ClientOf = Callable[[str], Client]


def failures() -> list[tuple[str, bytes]]:
    rows = Event.objects.filter(outcome="failure").order_by("id")
    return [(e.act, bytes(e.leaf)) for e in rows]


def test_a_node_that_does_not_answer_is_told_and_recorded(client_of: ClientOf) -> None:
    fields = {"name": "n", "url": "http://127.0.0.1:9"}
    page = client_of("system").post("/nodes/register/", fields)
    assert page.status_code == 422
    assert b"No connection to http://127.0.0.1:9" in page.content
    assert b'value="http://127.0.0.1:9"' in page.content
    assert not Node.objects.exists()
    [(act, leaf)] = failures()
    assert act == "node.register"
    assert b'"reason":"invalid url"' in leaf


def test_the_same_by_the_api_in_its_own_shape(client_of: ClientOf) -> None:
    answer = client_of("system").post(
        "/api/v1/nodes/",
        {"name": "n", "url": "http://169.254.169.254"},
        content_type="application/json",
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == "url"
    assert [act for act, _leaf in failures()] == ["node.register"]


def test_a_taken_name_is_told_and_recorded(client_of: ClientOf) -> None:
    Team.objects.create(name="Claims")
    page = client_of("security").post("/teams/create/", {"name": "claims"})
    assert page.status_code == 422
    assert Team.objects.count() == 1
    assert [act for act, _leaf in failures()] == ["team.create"]


def test_a_verb_in_the_wrong_state_is_told_and_recorded(
    client_of: ClientOf, people: dict[str, User]
) -> None:
    path = f"/people/{people['audit'].pk}/disable/"
    page = client_of("security").post(path, follow=True)
    assert b"This is the last Audit administrator" in page.content
    people["audit"].refresh_from_db()
    assert people["audit"].is_active
    assert [act for act, _leaf in failures()] == ["user.disable"]


@pytest.mark.parametrize("cursor", ["cD0x", "cD0lMDA=", "x"])
@pytest.mark.parametrize("rows", ["cases", "alarms", "holds", "proposals", "openings"])
def test_a_cursor_that_somebody_made_up_leads_nowhere(
    client_of: ClientOf, rows: str, cursor: str
) -> None:
    answer = client_of("audit").get(f"/api/v1/{rows}/?cursor={cursor}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_what_the_api_cannot_take_is_told_in_words_and_always_as_422(client_of: ClientOf) -> None:
    auditor = client_of("audit")
    filtered = auditor.get("/api/v1/cases/?state=nope")
    case = auditor.post("/api/v1/cases/", {"title": "x"}, content_type="application/json").json()
    added = auditor.post(
        f"/api/v1/cases/{case['id']}/add/", {"events": ["nope"]}, content_type="application/json"
    )
    assert (filtered.status_code, added.status_code) == (422, 422)
    errors = [answer.json()["error"] for answer in (filtered, added)]
    assert [error["param"] for error in errors] == ["state", "events"]
    assert not [error for error in errors if "ErrorDetail" in error["message"]]
    assert "Must be a valid UUID" in errors[1]["message"]
