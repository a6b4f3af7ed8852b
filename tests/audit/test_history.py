"""The history of one thing on its page: what was done with it, not what it was used for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from audit.ledger.acts import Act
from audit.ledger.log import Obj
from audit.office import history
from deployments.models import Node
from tests.audit.conftest import Happen

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_is_the_newest_first_and_about_this_one_only(happen: Happen) -> None:
    happen(Act.NODE_REGISTER, Obj("node", "a", "a"))
    happen(Act.NODE_REGISTER, Obj("node", "b", "b"))
    happen(Act.NODE_CORDON, Obj("node", "a", "a"))
    happen(Act.DEPLOYMENT_CREATE, Obj("deployment", "a", "a"))
    acts = [row.event.act for row in history.of("node", "a")]
    assert acts == ["node.cordon", "node.register"]


def test_it_has_an_end(happen: Happen) -> None:
    for _ in range(history.SHOWN + 5):
        happen(Act.NODE_STATUS, Obj("node", "a", "a"))
    assert len(history.of("node", "a")) == history.SHOWN


def test_use_is_no_history(happen: Happen) -> None:
    happen(Act.INFERENCE_ADMITTED, Obj("deployment", "d", "d"))
    assert history.of("deployment", "d") == []


def test_whoever_sees_the_thing_sees_its_history(
    happen: Happen, client_of: Callable[[str], Client]
) -> None:
    node = Node.objects.create(name="n", url="http://127.0.0.1:9")
    happen(Act.NODE_CORDON, node.as_obj(), name="<i>li</i>", reason="<b>x</b>")
    page = client_of("system").get(f"/nodes/{node.pk}/").content.decode()
    assert "Node cordoned" in page or "cordon" in page.lower()
    assert "&lt;i&gt;li&lt;/i&gt;" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
