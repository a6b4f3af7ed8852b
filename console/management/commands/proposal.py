"""manage.py proposal list|show: what waits for a second person. Deciding it takes a person who is
signed in, so there is no command for that."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from access.models import Proposal

SHOWN = 50


class Command(BaseCommand):
    help = "Show what one person asked for and another must approve."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        listing = what.add_parser("list", help="the newest, or those that wait")
        listing.add_argument("--waiting", action="store_true", help="only what is undecided")
        what.add_parser("show").add_argument("id", type=UUID)

    def handle(self, **options: Any) -> None:
        rows = Proposal.objects.select_related("requester", "approver")
        if options["what"] == "list":
            for row in (rows.waiting() if options["waiting"] else rows)[:SHOWN]:
                self.stdout.write(_line(row))
            return
        proposal = rows.filter(pk=options["id"]).first()
        if proposal is None:
            raise CommandError("There is no such proposal.")
        self.stdout.write(_line(proposal))
        self.stdout.write(f"reason      {proposal.reason}")
        for line in proposal.difference:
            self.stdout.write(f"{line['label']}: {line['old']} -> {line['new']}")
        if proposal.approver:
            self.stdout.write(f"decided by  {proposal.approver.username} {proposal.decided_at}")
        if proposal.answer:
            self.stdout.write(f"answer      {proposal.answer}")


def _line(proposal: Proposal) -> str:
    roles = ",".join(proposal.roles)
    target = proposal.target_label or proposal.target_id
    asked = f"{proposal.requester.username} until {proposal.expires_at:%Y-%m-%dT%H:%MZ}"
    return f"{proposal.pk}  {proposal.state}  {proposal.act}  {target}  {asked}  by {roles}"
