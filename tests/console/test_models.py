"""Pages of models as people see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from deployments.models import Approval, Model, Node, StoredModel

ClientOf = Callable[[str], Client]


@pytest.fixture
def stored(db: None) -> StoredModel:
    node = Node.objects.create(name="n", url="http://127.0.0.1:9", status="online")
    model = Model.objects.create(digest="a" * 64, name="m:1", licence="<b>Be kind.</b>")
    return StoredModel.objects.create(node=node, model=model, tag="m:1")


def test_the_security_administrator_approves_with_the_licence(
    client_of: ClientOf, stored: StoredModel
) -> None:
    url = f"/models/{stored.model.pk}/"
    client = client_of("security")
    page = client.get(url).content.decode()
    assert "&lt;b&gt;Be kind." in page
    assert "Approve</button>" in page
    client.post(f"{url}approve/")
    assert not Approval.objects.exists()
    client.post(f"{url}approve/", {"accept_licence": "on"})
    assert Approval.objects.get().approver == "security"
    assert "its licence was accepted" in client.get(url).content.decode()


def test_the_system_administrator_sees_who_must_approve_and_no_button(
    client_of: ClientOf, stored: StoredModel
) -> None:
    page = client_of("system").get(f"/models/{stored.model.pk}/").content.decode()
    assert "has approved it" in page
    assert "Approve</button>" not in page
    assert "New deployment" not in page


def test_the_list_shows_what_is_approved(client_of: ClientOf, stored: StoredModel) -> None:
    assert "not approved" in client_of("system").get("/models/").content.decode()
