"""The first accounts, the first node and the first deployment, by the verbs that people use.

Runs beside the console on every start; it does what is still to be done and nothing twice.
first-run.json is written last, so that it exists only when everything in it works.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
django.setup()

from django.conf import settings

from access import actions as access
from access.models import Key, Team, User
from access.roles import Role
from audit.ledger.actor import Actor
from console.embedded import wheels
from deployments import actions as deploy
from deployments.models import (
    Deployment,
    DeploymentState,
    Node,
    Operation,
    OperationState,
    StoredModel,
)

ACTOR = Actor.system("make up")
DEPLOYMENT, NODE, TEAM, SERVICE = "assistant", "this-machine", "Everyone", "first-application"
MODEL = "smollm2:135m"
QUESTION = "What is the capital of France?"
PEOPLE = {
    Role.SYSTEM: "System administrator",
    Role.SECURITY: "Security administrator",
    Role.AUDIT: "Audit administrator",
    Role.MEMBER: "Member of staff",
}
# A model this small follows no instructions well; without any it answers best.
SYSTEM_PROMPT = ""
PATIENCE_S = 240


class Unfinished(RuntimeError):
    """Something did not become ready; the text says what and what to do."""


def main() -> int:
    path = settings.DATA_DIR / "first-run.json"
    if path.exists():
        _follow()
        print(f"\nReady: {settings.FUSEBOX_PUBLIC_URL}   accounts: {path}\n", flush=True)
        return 0
    if wheels.model_file() is None and not StoredModel.objects.filter(tag=MODEL).exists():
        _without_model()
        return 0
    try:
        passwords = _people()
        node = _node()
        deployment = _deployment(node)
        key = _grants(deployment)
    except Unfinished as error:
        print(f"\n{error}", flush=True)
        return 1
    _write(path, passwords, key)
    _tell(passwords, key)
    return 0


def _follow() -> None:
    """When our own Ollama had to take another port, its node follows."""
    url = os.environ["FUSEBOX_OLLAMA_URL"]
    node = (
        Node.objects.filter(name=NODE, url__startswith="http://127.0.0.1:").exclude(url=url).first()
    )
    if node is not None:
        deploy.update_node(actor=ACTOR, node=node, name=NODE, url=url)


def _without_model() -> None:
    """Accounts and node only: whoever signs in brings the model. Nothing is reset at a restart."""
    passwords = _people(renew=False)
    if not Node.objects.exists():
        _node()
    print(f"\nReady: {settings.FUSEBOX_PUBLIC_URL}\n", flush=True)
    for role, password in passwords.items():
        print(f"  {role:<10} {password}", flush=True)
    print(
        "\nNo model came with this installation. Sign in as the system administrator, pull one on "
        "the page Models and make a deployment of it.\n",
        flush=True,
    )


def _people(*, renew: bool = True) -> dict[str, str]:
    """The four accounts; with `renew`, those of an interrupted run get a new one-time password."""
    passwords = {}
    for role, name in PEOPLE.items():
        user = User.objects.filter(username=role.value).first()
        if user is None:
            user, passwords[role.value] = access.create_user(
                actor=ACTOR, username=role.value, display_name=name, role=role
            )
        elif renew:
            passwords[role.value] = access.reset_password(actor=ACTOR, user=user)
    return passwords


def _node() -> Node:
    node = Node.objects.filter(name=NODE).first()
    url = os.environ["FUSEBOX_OLLAMA_URL"]
    if node is None:
        # What is free beside the console itself and whatever else runs on this machine.
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
        return deploy.register_node(actor=ACTOR, name=NODE, url=url, memory_declared=memory)
    return deploy.update_node(actor=ACTOR, node=node, name=NODE, url=url)


def _deployment(node: Node) -> Deployment:
    stored = StoredModel.objects.filter(node=node, tag=MODEL).first() or _import(node)
    deploy.approve_model(actor=ACTOR, model=stored.model, accept_licence=True)
    deployment = Deployment.objects.present().filter(name=DEPLOYMENT).first()
    if deployment is None:
        deployment = deploy.create_deployment(
            actor=ACTOR,
            name=DEPLOYMENT,
            model=stored.model,
            node=node,
            system_prompt=SYSTEM_PROMPT,
            parameters={"temperature": 0, "num_ctx": 2048, "num_predict": 512},
            description="A small general assistant.",
        )
    elif deployment.can_start:
        deploy.start(actor=ACTOR, deployment=deployment)
    _say("switching on the deployment “assistant” and asking it something")
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        deployment.refresh_from_db()
        if deployment.state == DeploymentState.LIVE:
            return deployment
        if deployment.state == DeploymentState.FAILED:
            raise Unfinished(f"The deployment failed: {deployment.problem}")
        time.sleep(0.2)
    raise Unfinished("The deployment did not become live in time; see logs/operations.log.")


def _import(node: Node) -> StoredModel:
    """Bring SmolLM2-135M to the node, from the file that came as a package."""
    path = wheels.model_file()
    if path is None:
        raise Unfinished("The model is no longer stored on the node, and none came as a package.")
    _say("bringing the model SmolLM2-135M to the node")
    operation = deploy.import_model(actor=ACTOR, node=node, name=MODEL, path=path)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        operation = Operation.objects.get(pk=operation.pk)
        if operation.state == OperationState.SUCCEEDED:
            return StoredModel.objects.get(node=node, tag=MODEL)
        if operation.is_final:
            raise Unfinished(f"The model could not be imported: {operation.problem}")
        time.sleep(0.2)
    raise Unfinished("The model was not imported in time; see logs/operations.log.")


def _grants(deployment: Deployment) -> str:
    """A team with the member, a service account with a key, both granted the deployment."""
    team = Team.objects.filter(name=TEAM).first() or access.create_team(
        actor=ACTOR, name=TEAM, description="Made at the first start."
    )
    access.add_member(actor=ACTOR, team=team, user=User.objects.get(username=Role.MEMBER.value))
    account = User.objects.filter(username=SERVICE).first() or access.create_service_account(
        actor=ACTOR, username=SERVICE, display_name="First application"
    )
    for holder in ({"team": team}, {"user": account}):
        access.grant(
            actor=ACTOR, deployment_id=deployment.pk, deployment_name=deployment.name, **holder
        )
    for old in Key.objects.valid().filter(owner=account):
        access.revoke_key(actor=ACTOR, key=old)
    _key, secret = access.issue_key(actor=ACTOR, owner=account, name="first key")
    return secret


def _write(path: Path, passwords: dict[str, str], key: str) -> None:
    content = {
        "url": settings.FUSEBOX_PUBLIC_URL,
        "accounts": {
            role: {"username": role, "password": password} for role, password in passwords.items()
        },
        "api_key": key,
        "deployment": DEPLOYMENT,
    }
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    part.rename(path)


def _tell(passwords: dict[str, str], key: str) -> None:
    url = settings.FUSEBOX_PUBLIC_URL
    lines = [f"  {role:<10} {password}" for role, password in passwords.items()]
    accounts = "\n".join(lines)
    print(
        f"""
Ready: {url}

Accounts and their one-time passwords (also in {settings.DATA_DIR / "first-run.json"}):
{accounts}

A key for the deployment "{DEPLOYMENT}", and a first question:

  curl {url}/v1/chat/completions \\
    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
    -d '{{"model": "{DEPLOYMENT}", "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'

Ctrl-C stops everything; `make up` takes it up again.
""",
        flush=True,
    )


def _say(text: str) -> None:
    print(f"  {text} …", flush=True)


if __name__ == "__main__":
    sys.exit(main())
