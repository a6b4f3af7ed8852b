"""The management API of models: uploads, approvals, paging and idempotency keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from deployments.models import Model, Node, Operation, StoredModel, Upload
from tests import model_files

ClientOf = Callable[[str], Client]


@pytest.fixture(autouse=True)
def own_folder(settings: Settings, tmp_path: Path) -> None:
    settings.UPLOADS = tmp_path / "uploads"


@pytest.fixture
def away(db: None) -> Node:
    return Node.objects.create(name="n", url="http://127.0.0.1:9", status="online")


def post(client: Client, url: str, body: object = None, **headers: str) -> Any:
    return client.post(
        f"/api/v1/{url}", json.dumps(body or {}), content_type="application/json", headers=headers
    )


def test_the_same_key_pulls_once_and_answers_the_same(client_of: ClientOf, away: Node) -> None:
    client = client_of("system")
    body = {"node": str(away.pk), "name": "x:1"}
    first = post(client, "models/pull/", body, **{"Idempotency-Key": "k"})
    Operation.objects.update(state="failed")
    second = post(client, "models/pull/", body, **{"Idempotency-Key": "k"})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert Operation.objects.count() == 1


def test_a_key_used_for_something_else_is_refused(client_of: ClientOf, away: Node) -> None:
    client = client_of("system")
    for name, expected in (("x:1", 202), ("y:1", 409)):
        body = {"node": str(away.pk), "name": name}
        answer = post(client, "models/pull/", body, **{"Idempotency-Key": "k"})
        assert answer.status_code == expected


def test_what_was_refused_may_be_tried_again_under_its_key(client_of: ClientOf, away: Node) -> None:
    client = client_of("system")
    for _try in range(2):
        answer = post(
            client,
            "models/pull/",
            {"node": str(away.pk), "name": "../x"},
            **{"Idempotency-Key": "k"},
        )
        assert answer.status_code == 422


def test_an_upload_by_chunks(client_of: ClientOf, away: Node) -> None:
    client = client_of("system")
    made = post(
        client,
        "uploads/",
        {"node": str(away.pk), "name": "u", "files": [{"name": "u.gguf", "size": 6}]},
    )
    assert made.status_code == 201, made.content
    upload = made.json()
    url = f"/api/v1/uploads/{upload['id']}/files/{upload['files'][0]['id']}/"

    def put(offset: object, chunk: bytes) -> Any:
        return client.put(f"{url}?offset={offset}", chunk, content_type="application/octet-stream")

    assert put(0, b"GGU").json()["received"] == 3
    assert put(0, b"GGU").status_code == 409
    assert put("-1", b"GGU").status_code == 422
    assert put(3, b"F" * 4).status_code == 422
    assert put(3, b"F00").json()["received"] == 6
    refused = post(client, f"uploads/{upload['id']}/finish/")
    assert refused.status_code == 422
    assert "damaged or no model" in refused.json()["error"]["message"]
    assert client.delete(f"/api/v1/uploads/{upload['id']}/").status_code == 204
    assert Upload.objects.get().state == "discarded"


def test_a_chunk_that_is_too_large_is_refused(client_of: ClientOf, away: Node) -> None:
    client = client_of("system")
    upload = post(
        client,
        "uploads/",
        {"node": str(away.pk), "name": "u", "files": [{"name": "u.gguf", "size": 10**8}]},
    ).json()
    answer = client.put(
        f"/api/v1/uploads/{upload['id']}/files/{upload['files'][0]['id']}/?offset=0",
        b"x" * (4 * 1024 * 1024 + 1),
        content_type="application/octet-stream",
    )
    assert answer.status_code == 422


def test_copies_are_paged_by_key_and_filtered(client_of: ClientOf, away: Node) -> None:
    for number in range(3):
        model = Model.objects.create(digest=f"{number:064x}", name=f"m:{number}")
        StoredModel.objects.create(node=away, model=model, tag=model.name)
    client = client_of("security")
    first = client.get("/api/v1/copies/?page_size=2").json()
    rest = client.get(first["next"]).json()
    assert [len(first["results"]), len(rest["results"]), rest["next"]] == [2, 1, None]
    assert client.get("/api/v1/copies/?tag=m:1").json()["results"][0]["tag"] == "m:1"


def test_approving_by_the_api(client_of: ClientOf, away: Node) -> None:
    model = Model.objects.create(digest="a" * 64, name="m", licence="Be kind.")
    client = client_of("security")
    assert post(client, f"models/{model.pk}/approve/").status_code == 422
    answer = post(client, f"models/{model.pk}/approve/", {"accept_licence": True})
    assert answer.json()["approved"] is True
    assert post(client, f"models/{model.pk}/revoke-approval/").json()["approved"] is False


def test_without_scripts_a_form_uploads_it_whole(client_of: ClientOf, away: Node) -> None:
    client = client_of("system")
    with model_files.smollm2().open("rb") as file:
        sent = SimpleUploadedFile("smollm2.gguf", file.read())
    answer = client.post(
        "/models/upload/", {"node": str(away.pk), "name": "u", "model_files": [sent]}
    )
    assert answer.status_code == 302, answer.content.decode()
    operation = Operation.objects.get()
    assert answer["Location"] == f"/operations/{operation.pk}/"
    assert (operation.kind, operation.subject) == ("import", "u:latest")
