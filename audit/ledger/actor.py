"""Who acts and from where: plain values that outlive the rows they were made from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum


class ActorKind(StrEnum):
    USER = "user"
    SERVICE = "service"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from. `route` is the template of the path, never the raw query."""

    ip: str = ""
    user_agent: str = ""
    request_id: str = ""
    method: str = ""
    route: str = ""
    session: str = ""


NOWHERE = Origin()


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who acts. `role` is the role committed in the database when the actor was made."""

    kind: ActorKind
    id: str
    name: str
    role: str = ""
    key_id: str = ""
    origin: Origin = field(default=NOWHERE)

    @classmethod
    def system(cls, name: str) -> Actor:
        """The house itself: a worker, a command, a migration; `name` says which."""
        return cls(kind=ActorKind.SYSTEM, id=f"system:{name}", name=name, role="")

    @classmethod
    def anonymous(cls, origin: Origin = NOWHERE) -> Actor:
        return cls(kind=ActorKind.ANONYMOUS, id="", name="", origin=origin)

    def at(self, origin: Origin) -> Actor:
        return replace(self, origin=origin)

    @property
    def is_system(self) -> bool:
        return self.kind == ActorKind.SYSTEM
