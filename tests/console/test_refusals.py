"""What was permitted and refused all the same: told beside the field, nothing changed, an event."""

from __future__ import annotations

from collections.abc import Callable

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
