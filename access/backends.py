"""Sign-in with a user name and password: active people only; service accounts use keys."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest

from access.models import User, UserKind


class PersonBackend(BaseBackend):
    """Checks a password in the same time whether or not the account exists."""

    def authenticate(
        self, request: HttpRequest | None, username: str = "", password: str = "", **_: object
    ) -> User | None:
        user = User.objects.filter(username__iexact=username).first()
        if user is None:
            User().set_password(password)
            return None
        if not user.check_password(password):
            return None
        return user if user.is_active and user.kind == UserKind.PERSON else None

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True, kind=UserKind.PERSON).first()
