"""Who calls the API: a person's session, or a key. Both become the same Actor."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest
from rest_framework import authentication, exceptions
from rest_framework.request import Request

from access.actions.keys import hash_secret
from access.models import Key, User
from access.policy import actor_for
from audit.ledger import log
from audit.ledger.actor import Actor
from audit.ledger.acts import Act
from console.api import schema  # noqa: F401  registers itself with drf-spectacular
from console.requests import PageRequest


class SessionAuthentication(authentication.SessionAuthentication):
    """A signed-in person; forms of other sites are refused as on the pages."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class KeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer fbx_…`."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        header = authentication.get_authorization_header(request)
        scheme, _, secret = header.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        page = cast(PageRequest, request._request)
        digest = hash_secret(secret.strip().decode("latin-1"))
        key = Key.objects.valid().select_related("owner").filter(sha256=digest).first()
        if key is None:
            self._refused(page)
            raise exceptions.AuthenticationFailed("This key is not valid.")
        page.actor = actor_for(key.owner, key_id=str(key.pk), origin=page.origin)
        return key.owner, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"

    def _refused(self, request: HttpRequest) -> None:
        origin = cast(PageRequest, request).origin
        log.record_alone(
            Actor.anonymous(origin), Act.AUTH_LOGIN, outcome="failure", reason="invalid_api_key"
        )
