"""The evidence pack: a framework's clauses with what this installation answers; also on paper."""

from __future__ import annotations

from django.http import HttpResponse
from django.utils import timezone

from access import policy
from audit.ledger.acts import Act
from audit.office import actions
from audit.office.evidence import pack, paper
from console import downloads
from console.htmx import render_page
from console.requests import PageRequest


def evidence_list(request: PageRequest) -> HttpResponse:
    policy.require(request.actor, Act.AUDIT_MAKE_EVIDENCE)
    return render_page(request, "evidence/list.html", {"frameworks": list(pack.titles())})


def evidence_detail(request: PageRequest, key: str) -> HttpResponse:
    """Made while you wait, and recorded: it is what was true at that moment."""
    made = actions.make_evidence(actor=request.actor, framework=key)
    return render_page(request, "evidence/detail.html", {"pack": made})


def evidence_paper(request: PageRequest, key: str) -> HttpResponse:
    made = actions.make_evidence(actor=request.actor, framework=key)
    name = f"fusebox-evidence-{key}-{timezone.localtime(made.made_at):%Y%m%d-%H%M%S}.pdf"
    return HttpResponse(
        paper.print_pack(made), content_type="application/pdf", headers=downloads.headers(name)
    )
