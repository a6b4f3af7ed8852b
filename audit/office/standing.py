"""How the log stands: sealed up to where, signed when, verified with what result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from audit.ledger import proofs, waiting
from audit.ledger.certificate import Certificate, NotTrusted, read_certificate
from audit.ledger.models import Acknowledgement, Checkpoint, Event, Sealer, SealerState
from audit.ledger.proofs import Signed
from audit.office.models import SILENT, UNDER_WAY, OutsideCopy, RunState, Verification
from audit.office.outside_models import Witness

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Standing:
    """What the page about the log shows first.

    state: whole, unverified, tampered, incomplete, unconfirmed, rollback, broken, silent, unsealed.
    """

    state: str
    sealer: Sealer | None
    signed: Signed | None
    signed_at: datetime | None
    waiting: int
    certificate: Certificate | None
    last: Verification | None
    under_way: Verification | None
    acknowledged: int
    exported_at: datetime | None
    copies: list[OutsideCopy]
    witnesses: list[Witness]


VERDICTS = {0: "whole", 1: "tampered", 2: "incomplete", 3: "unconfirmed"}


def now() -> Standing:
    """Read at the moment of the call; nothing is verified here."""
    sealer = Sealer.objects.first()
    signed = proofs.newest()
    newest = Checkpoint.objects.filter(tree=signed.tree).order_by("-pk").first() if signed else None
    last = Verification.objects.filter(state=RunState.DONE).first()
    return Standing(
        state=_state(sealer, signed, last),
        sealer=sealer,
        signed=signed,
        signed_at=newest.signed_at if newest else None,
        waiting=waiting.count(),
        certificate=_certificate(),
        last=last,
        under_way=Verification.objects.filter(state__in=UNDER_WAY).first(),
        acknowledged=acknowledged(sealer),
        exported_at=_last_bundle(),
        copies=list(OutsideCopy.objects.all()),
        witnesses=list(Witness.objects.filter(revoked_at=None)),
    )


def _state(sealer: Sealer | None, signed: Signed | None, last: Verification | None) -> str:
    if sealer is None or signed is None:
        return "unsealed"
    if sealer.state == SealerState.ROLLBACK:
        return "rollback"
    if sealer.state == SealerState.BROKEN:
        return "broken"
    if last is not None and last.exit_code in (1, 2):
        return VERDICTS[last.exit_code]
    if timezone.now() - sealer.beat_at > SILENT:
        return "silent"
    return VERDICTS.get(last.exit_code or 0, "unverified") if last else "unverified"


def rollback() -> Sealer | None:
    """The rollback that waits for people, if there is one: every administrator is told."""
    return Sealer.objects.filter(state=SealerState.ROLLBACK).first()


def acknowledged(sealer: Sealer | None) -> int:
    """How many administrators have acknowledged the rollback that waits."""
    if sealer is None or sealer.incident is None:
        return 0
    return Acknowledgement.objects.filter(incident=sealer.incident).count()


def _certificate() -> Certificate | None:
    try:
        return read_certificate(settings.LOG_CERTIFICATE)
    except NotTrusted:
        return None


def _last_bundle() -> datetime | None:
    found = Event.objects.filter(act="audit.export", object_label="bundle").order_by("-id").first()
    return found.at if found else None


IN_WORDS = {
    "whole": "完整 / whole",
    "unverified": "尚未验证 / not verified yet",
    "tampered": "被篡改 / tampered",
    "incomplete": "不齐全 / incomplete",
    "unconfirmed": "未确认 / not confirmed",
    "rollback": "日志被回退 / the log was set back",
    "broken": "封存器已停止 / the sealer has stopped",
    "silent": "封存器没有消息 / the sealer is silent",
    "unsealed": "尚未封存 / nothing is sealed yet",
}


def lines() -> dict[str, str]:
    """How the log stands, for the foot of a summary: in Chinese and English, name and value."""
    found = now()
    shown = {"状态 / State": IN_WORDS[found.state], "最近一次验证 / Last verification": "–"}
    if found.last is not None and found.last.finished_at is not None:
        fine = "通过 / ok" if found.state == "whole" else "当时通过 / ok at that time"
        code = found.last.exit_code or 0
        word = IN_WORDS[VERDICTS.get(code, "unconfirmed")] if code else fine
        told = f"{word} ({found.last.finished_at:%Y-%m-%d %H:%M} UTC)"
        shown["最近一次验证 / Last verification"] = told
    if found.signed is not None:
        head = f"{found.signed.origin}, {found.signed.size}, {found.signed.root.hex()}"
        shown["签名日志头 / Signed head"] = head
    if found.certificate is not None:
        shown["密钥指纹 / Fingerprint of the key"] = found.certificate.key.fingerprint
    return shown
