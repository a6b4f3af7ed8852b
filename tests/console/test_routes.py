"""The role × endpoint matrix: every URL has a row, and the row says who gets what.

A URL without a row fails, and so does a row without a URL. Letters of a row, in this order:
anonymous, system, security, audit, member. What they mean is in ANSWERS.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from access import actions
from access.models import Key, Proposal, Team, User
from audit.ledger.actor import Actor
from audit.ledger.models import Event
from audit.office.models import (
    Alarm,
    CapturePolicy,
    Case,
    Channel,
    Erasure,
    Export,
    Hold,
    Opening,
    SavedSearch,
    Verification,
)
from audit.office.outside_models import Witness
from deployments.models import (
    Deployment,
    Model,
    Node,
    Operation,
    Revision,
    StoredModel,
    Upload,
    UploadedFile,
)
from tests.console.office_rows import OFFICE_ROWS

WHO = ("anonymous", "system", "security", "audit", "member")
VKEY = "w+680f52bc+BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # of a witness
ANSWERS = {
    "o": {200},  # the page
    "s": {302},  # sent on: to the sign-in page, or to where the verb leads
    "n": {403},  # not permitted, with an event
    "m": {405},  # only POST
    "v": {200, 202, 302, 409, 422},  # past the door: the verb itself decides
    "u": {401, 403},  # the API without a sign-in
    "x": {404},
}
# route name: (GET, POST)
ROWS: dict[str, tuple[str, str]] = {
    **OFFICE_ROWS,
    "home": ("sooos", "sooos"),
    "sign-in": ("ossss", "vssss"),
    "sign-out": ("smmmm", "sssss"),
    "account": ("soooo", "svvvv"),
    "set_language": ("sssss", "sssss"),
    "fleet": ("soonn", "soonn"),
    "node-cordon": ("smmmm", "svnnn"),
    "node-uncordon": ("smmmm", "svnnn"),
    "node-drain": ("sonnn", "svnnn"),
    "deployment-change": ("sonnn", "svnnn"),
    "deployment-place": ("sonnn", "svnnn"),
    "deployment-rollback": ("smmmm", "svnnn"),
    "deployment-restore": ("smmmm", "svnnn"),
    "deployment-compare": ("soonn", "soonn"),
    "node-list": ("soonn", "soonn"),
    "node-register": ("sonnn", "svnnn"),
    "node-detail": ("soonn", "soonn"),
    "node-update": ("sonnn", "svnnn"),
    "node-refresh": ("smmmm", "svnnn"),
    "node-remove": ("sonnn", "svnnn"),
    "scenario-list": ("soonn", "soonn"),
    "scenario-detail": ("soonn", "soonn"),
    "trial-forget": ("smmmm", "svnnn"),
    "scenario-try": ("smmmm", "svnnn"),
    "scenario-file": ("soonn", "soonn"),
    "model-fit": ("soonn", "soonn"),
    "model-list": ("soonn", "soonn"),
    "model-pull": ("sonnn", "svnnn"),
    "model-detail": ("soonn", "soonn"),
    "model-upload": ("sonnn", "svnnn"),
    "upload-discard": ("smmmm", "svnnn"),
    "model-copy": ("sonnn", "svnnn"),
    "api-copy-copy": ("ummmm", "uvnnn"),
    "model-approve": ("smmmm", "snvnn"),
    "model-revoke-approval": ("snonn", "snvnn"),
    "model-delete": ("sonnn", "svnnn"),
    "deployment-list": ("soonn", "soonn"),
    "deployment-create": ("sonnn", "svnnn"),
    "deployment-detail": ("soonn", "soonn"),
    "deployment-start": ("smmmm", "svnnn"),
    "deployment-stop": ("sonnn", "svnnn"),
    "deployment-delete": ("sonnn", "svnnn"),
    "deployment-try": ("sonnn", "sonnn"),
    "deployment-use": ("snnno", "snnno"),
    "deployment-chat": ("smmmm", "sxnnx"),
    "grant-create": ("smmmm", "snvnn"),
    "grant-revoke": ("smmmm", "snvnn"),
    "chat-list": ("soooo", "soooo"),
    "task-list": ("soooo", "soooo"),
    "task-sheet": ("smmmm", "svvvv"),
    "deployment-task": ("snnno", "snnno"),
    "deployment-task-run": ("smmmm", "snnno"),
    "operation-list": ("sonnn", "sonnn"),
    "operation-detail": ("sonnn", "sonnn"),
    "operation-cancel": ("smmmm", "svnnn"),
    "operation-retry": ("smmmm", "svnnn"),
    "user-list": ("soonn", "soonn"),
    "user-create": ("soonn", "svvnn"),
    "user-detail": ("soonn", "soonn"),
    "user-set-role": ("smmmm", "snvnn"),
    "user-disable": ("soonn", "svvnn"),
    "user-enable": ("smmmm", "snvnn"),
    "user-reset-password": ("snonn", "snvnn"),
    "team-list": ("snonn", "snonn"),
    "team-create": ("snonn", "snvnn"),
    "team-detail": ("snonn", "snonn"),
    "team-delete": ("snonn", "snvnn"),
    "team-add-member": ("smmmm", "snvnn"),
    "team-remove-member": ("smmmm", "snvnn"),
    "key-list": ("snonn", "snonn"),
    "key-issue": ("snonn", "snvnn"),
    "key-revoke": ("snonn", "snvnn"),
    "service-account-create": ("snonn", "snvnn"),
    "proposal-list": ("sooon", "sooon"),
    "proposal-detail": ("sooon", "sooon"),
    "proposal-approve": ("smmmm", "svvnn"),
    "proposal-reject": ("smmmm", "svvnn"),
    "proposal-withdraw": ("smmmm", "svvvn"),
    "api-proposal-list": ("uooon", "ummmm"),
    "api-proposal-detail": ("uooon", "ummmm"),
    "api-proposal-approve": ("ummmm", "uvvnn"),
    "api-proposal-reject": ("ummmm", "uvvnn"),
    "api-proposal-withdraw": ("ummmm", "uvvvn"),
    "event-list": ("snnon", "snnon"),
    "event-detail": ("snnon", "snnon"),
    "event-export": ("smmmm", "snnvn"),
    "export-list": ("snnon", "snnon"),
    "export-fetch": ("smmmm", "snnvn"),
    "export-cancel": ("smmmm", "snnvn"),
    "event-counts": ("snnon", "snnon"),
    "search-save": ("smmmm", "snnvn"),
    "search-delete": ("snnon", "snnvn"),
    "log-checkpoint": ("snnxn", "snnxn"),
    "evidence-list": ("snnon", "snnon"),
    "evidence-detail": ("snnon", "snnon"),
    "evidence-paper": ("snnon", "snnon"),
    "witness-list": ("snnon", "snnon"),
    "witness-program": ("snnon", "snnon"),
    "witness-register": ("snnon", "snnvn"),
    "witness-revoke": ("snnon", "snnvn"),
    "witness-settle": ("snnon", "snnvn"),
    "api-witness-head": ("uuuuu", "uuuuu"),
    "api-witness-confirm": ("uuuuu", "uuuuu"),
    "api-witness-alarm": ("uuuuu", "uuuuu"),
    "rollback-acknowledge": ("sooon", "svvvn"),
    "user-erase": ("snonn", "snvnn"),
    "capture-set": ("snonn", "snvnn"),
    "capture-list": ("snoon", "snoon"),
    "capture-end": ("snoon", "snvvn"),
    "opening-list": ("snoon", "snoon"),
    "opening-request": ("snnon", "snnon"),
    "opening-detail": ("snnon", "snnon"),
    "opening-close": ("smmmm", "snvvn"),
    "content-view": ("snnxn", "snnxn"),
    "api-capture-list": ("unoon", "unvnn"),
    "api-capture-detail": ("unoon", "ummmm"),
    "api-capture-end": ("ummmm", "unvvn"),
    "api-opening-list": ("unoon", "unnvn"),
    "api-opening-detail": ("unoon", "ummmm"),
    "api-opening-contents": ("unnon", "ummmm"),
    "api-opening-words": ("unnxn", "ummmm"),
    "api-opening-close": ("ummmm", "unvvn"),
    "api-erasure-list": ("unonn", "unvnn"),
    "api-erasure-detail": ("unonn", "ummmm"),
    "api-schema": ("ooooo", "mmmmm"),
    "api-docs": ("ooooo", "mmmmm"),
    "api-node-list": ("uoonn", "uvnnn"),
    "api-node-cordon": ("ummmm", "uvnnn"),
    "api-node-refresh": ("ummmm", "uvnnn"),
    "api-node-uncordon": ("ummmm", "uvnnn"),
    "api-node-drain": ("ummmm", "uvnnn"),
    "api-deployment-change": ("ummmm", "uvnnn"),
    "api-deployment-place": ("ummmm", "uvnnn"),
    "api-deployment-rollback": ("ummmm", "uvnnn"),
    "api-deployment-restore": ("ummmm", "uvnnn"),
    "api-deployment-revisions": ("uoonn", "ummmm"),
    "api-deployment-compare": ("uvvnn", "ummmm"),
    "api-node-detail": ("uoonn", "ummmm"),
    "api-model-list": ("uoonn", "ummmm"),
    "api-model-detail": ("uoonn", "ummmm"),
    "api-scenario-list": ("uoonn", "ummmm"),
    "api-scenario-detail": ("uoonn", "ummmm"),
    "api-scenario-try-samples": ("ummmm", "uvnnn"),
    "api-model-fit": ("uoonn", "ummmm"),
    "api-model-approve": ("ummmm", "unvnn"),
    "api-model-revoke-approval": ("ummmm", "unvnn"),
    "api-copy-list": ("uoonn", "ummmm"),
    "api-copy-detail": ("uoonn", "ummmm"),
    "api-upload-list": ("uonnn", "uvnnn"),
    "api-upload-detail": ("uonnn", "ummmm"),
    "api-upload-chunk": ("ummmm", "ummmm"),
    "api-upload-finish": ("ummmm", "uvnnn"),
    "api-model-pull": ("ummmm", "uvnnn"),
    "api-deployment-list": ("uoonn", "uvnnn"),
    "api-deployment-detail": ("uoonn", "ummmm"),
    "api-deployment-start": ("ummmm", "uvnnn"),
    "api-deployment-stop": ("ummmm", "uvnnn"),
    "api-document-list": ("ummmm", "uvvvv"),
    "api-operation-list": ("uonnn", "ummmm"),
    "api-operation-detail": ("uonnn", "ummmm"),
    "api-operation-cancel": ("ummmm", "uvnnn"),
    "api-operation-retry": ("ummmm", "uvnnn"),
}


def routes(
    patterns: list[URLPattern | URLResolver], prefix: str = "/"
) -> Iterator[tuple[str, str]]:
    """(name, path template) of every URL of the configuration."""
    for entry in patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry.url_patterns, path)
        else:
            assert entry.name, f"{path} has no name"
            yield entry.name, path


ROUTES = dict(routes(get_resolver().url_patterns))


def test_every_url_has_a_row_and_every_row_a_url() -> None:
    assert set(ROUTES) == set(ROWS)


def captured(
    people: dict[str, User], deployment: Deployment
) -> tuple[CapturePolicy, Opening, Erasure]:
    """A policy in force, a reading that is open, and somebody who was erased."""
    two = {"approver_id": people["security"].pk, "deployment_id": deployment.pk}
    now, later = timezone.now(), timezone.now() + timedelta(hours=1)
    policy = CapturePolicy.objects.create(
        deployment_name="d", purpose="p", necessity="n", prompt=True, answer=True, percent=1,
        days=1, proposer_id=people["audit"].pk, **two,
    )  # fmt: skip
    opening = Opening.objects.create(
        deployment_name="d", start=now, end=later, reason="r", minutes=60, ends_at=later,
        reader_id=people["audit"].pk, **two,
    )  # fmt: skip
    erasure = Erasure.objects.create(
        person_id=uuid.uuid4(), basis="request", reason="r", proposer_id="1", approver_id="2"
    )
    return policy, opening, erasure


@pytest.fixture
def paths(people: dict[str, User], actor_of: Callable[[str], Actor]) -> dict[str, str]:
    """A real path for each route: one row of everything."""
    security = actor_of("security")
    node = Node.objects.create(name="n", url="http://127.0.0.1:9", status="online")
    model = Model.objects.create(digest="a" * 64, name="m")
    stored = StoredModel.objects.create(node=node, model=model, tag="m")
    deployment = Deployment.objects.create(name="d", state="live")
    revision = Revision.objects.create(deployment=deployment, number=1, model=model)
    Deployment.objects.update(current=revision, target=revision)
    operation = Operation.objects.create(kind="pull", subject="m", node=node)
    upload = Upload.objects.create(name="u", node=node)
    UploadedFile.objects.create(upload=upload, name="u.gguf", size=1)
    team = Team.objects.create(name="t")
    grant = actions.grant(
        actor=security, deployment_id=deployment.pk, deployment_name="d", user=people["member"]
    )
    key, _secret = actions.issue_key(actor=security, owner=people["mallory"], name="k")
    assert Key.objects.get() == key
    proposal = Proposal.objects.create(
        act="team.create",
        reason="t",
        roles=["system", "security"],
        requester=people["mallory"],
        expires_at=timezone.now() + timedelta(days=1),
    )
    capture, opening, erasure = captured(people, deployment)
    event = Event.objects.order_by("-id")[0]
    hold = Hold.objects.create(
        kind="event", value=str(event.pk), reason="t", set_by=people["audit"].pk
    )
    things: dict[str, object] = {
        "node": node.pk,
        "model": model.pk,
        "deployment": deployment.pk,
        "operation": operation.pk,
        "trial": Operation.objects.create(
            kind="try",
            subject="ticket-sorting",
            arguments={"scenario": "ticket-sorting", "language": "en"},
        ).pk,
        "upload": upload.pk,
        "user": people["mallory"].pk,
        "team": team.pk,
        "grant": grant.pk,
        "key": key.pk,
        "event": event.pk,
        "proposal": proposal.pk,
        "capture": capture.pk,
        "opening": opening.pk,
        "content": opening.pk,
        "erasure": erasure.pk,
        "hold": hold.pk,
        "search": SavedSearch.objects.create(owner_id=people["audit"].pk, name="s").pk,
        "export": Export.objects.create(requester="t", format="csv").pk,
        "witness": Witness.objects.create(name="w", vkey=VKEY, sha256=b"w", alarm="fork: x").pk,
        "log": Verification.objects.create(requester="t").pk,
        "case": Case.objects.create(title="c").pk,
        "alarm": Alarm.objects.create(rule="cloud_on", subject_type="node", subject_id="n").pk,
        "channel": Channel.objects.create(
            name="c", kind="webhook", address="http://127.0.0.1:9"
        ).pk,
    }
    found = {}
    for name, template in ROUTES.items():
        noun = name.removeprefix("api-").split("-")[0]
        pk = things.get(noun, uuid.uuid4())
        if name in ("model-delete", "model-copy", "api-copy-detail", "api-copy-copy"):
            pk = stored.pk
        if name in ("grant-create", "capture-set"):
            pk = deployment.pk
        path = template.replace("<uuid:user_pk>", str(people["mallory"].pk))
        path = path.replace("<uuid:content_pk>", str(uuid.uuid4()))
        if name in ("alarm-rule-set", "api-rule-set-values"):
            path = template.replace("<slug:key>", "denials").replace("<slug:pk>", "denials")
        for slug in ("<slug:key>", "<slug:pk>"):
            path = path.replace(slug, "soc2" if noun == "evidence" else "ticket-sorting")
        path = path.replace("<uuid:file_pk>", str(upload.files.get().pk))
        found[name] = path.replace("<uuid:pk>", str(pk)).replace("<int:pk>", str(pk))
    return found


@pytest.mark.parametrize("who", WHO)
def test_matrix(who: str, paths: dict[str, str], client_of: Callable[[str], Client]) -> None:
    """Everybody finds everything as it was: what the request before did is rolled back."""
    problems = []
    for name in sorted(ROWS):
        with transaction.atomic():
            client = Client() if who == "anonymous" else client_of(who)
            for method, row in zip(("get", "post"), ROWS[name], strict=True):
                expected = row[WHO.index(who)]
                if problem := _visited(client, method, paths[name], expected, name):
                    problems.append(f"{method} {paths[name]} as {who}: {problem}")
            transaction.set_rollback(True)
    assert problems == []


def _visited(client: Client, method: str, path: str, expected: str, name: str) -> str:
    """What is not as the row says, empty when all is."""
    before = Event.objects.filter(act="authz.denied").count()
    extra = {"content_type": "application/json"} if name.startswith("api-") else {}
    status = getattr(client, method)(path, **extra).status_code
    denied = Event.objects.filter(act="authz.denied").count() - before
    # Past the door of the chat; what is wrong is that no notice was shown.
    allowed = {409} if name == "deployment-chat" and expected == "x" else ANSWERS[expected]
    if status not in allowed:
        return f"{status}, not one of {allowed}"
    return "" if denied == (1 if expected == "n" else 0) else f"{denied} denials recorded"


def test_a_refused_page_says_who_can_help(client_of: Callable[[str], Client]) -> None:
    page = client_of("member").get("/nodes/").content.decode()
    assert "Not permitted" in page
    assert "System (System administrator)" in page


def test_a_grantless_colleague_is_refused_and_it_is_recorded(
    paths: dict[str, str], client_of: Callable[[str], Client], people: dict[str, User]
) -> None:
    answer = client_of("mallory").get(paths["deployment-use"])
    assert answer.status_code == 403
    assert b"Security (Security administrator)" in answer.content
    denied = Event.objects.filter(act="authz.denied").order_by("-id")[0]
    assert denied.actor_id == str(people["mallory"].pk)
    assert b"deployment.use" in bytes(denied.leaf)


def test_a_disabled_grant_is_gone_from_the_chat_list(
    client_of: Callable[[str], Client], paths: dict[str, str]
) -> None:
    assert paths["deployment-use"].encode() in client_of("member").get("/chat/").content
    assert paths["deployment-use"].encode() not in client_of("mallory").get("/chat/").content
