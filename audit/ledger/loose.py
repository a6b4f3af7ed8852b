"""What a verification finds beside the trees: events that wait for the sealer, that should and do
not, and those that the sealer missed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from uuid import UUID

from audit.ledger.report import Report
from audit.ledger.snapshot import Connection

# An event that has waited longer than this is late; the sealer takes a second.
LATE_S = 120
BATCH = 10_000
# A row may claim any time: the one of a UUIDv7 counts, too, and none may be to come.
WAITING = """
SELECT count(*), count(*) FILTER (WHERE created_at IS NULL
        OR created_at < now() - %(late)s * interval '1 s'
        OR created_at > now() + %(late)s * interval '1 s'
        OR substr(id, 15, 1) = '7' AND to_timestamp(
            ('x' || substr(id, 1, 8) || substr(id, 10, 4))::bit(48)::bigint / 1000.0
        ) < now() - %(late)s * interval '1 s'),
    count(*) FILTER (WHERE gone)
FROM (
    SELECT CASE WHEN e.id IS NULL THEN now() ELSE e.created_at END AS created_at,
        e.id::text AS id, e.id IS NULL AS gone
    FROM ledger_pending p LEFT JOIN ledger_event e ON e.id = p.event_id
    UNION ALL SELECT created_at, event_id::text, false FROM ledger_intake
) AS waiting
"""
AT_HOME = """
SELECT event_id FROM ledger_pending WHERE event_id = ANY(%(ids)s)
UNION SELECT event_id FROM ledger_leaf WHERE %(sealed)s AND event_id = ANY(%(ids)s)
"""
GAPS = """
SELECT count(*), (SELECT l.position FROM ledger_event f JOIN ledger_leaf l ON l.event_id = f.id
                  WHERE f.act = 'audit.gap' AND {kind} ORDER BY f.id LIMIT 1)
FROM ledger_event f WHERE f.act = 'audit.gap' AND {kind}
"""


def unsealed(connection: Connection, left: Iterator[bytes], report: Report, *, since: int) -> None:
    """What no leaf took waits for the sealer, or has a leaf before `since`."""
    while ids := [UUID(bytes=event_id) for event_id in islice(left, BATCH)]:
        asked = {"ids": ids, "sealed": since > 0}
        home = {event_id for (event_id,) in connection.execute(AT_HOME, asked)}
        for event_id in ids:
            if event_id not in home:
                report.incomplete(f"event {event_id} is not sealed and does not wait for it")


def waiting(connection: Connection, report: Report) -> None:
    row = connection.execute(WAITING, {"late": LATE_S}).fetchone()
    count, late, gone = row or (0, 0, 0)
    if count:
        report.notes.append(f"{count} events wait to be sealed")
    if late:
        report.incomplete(
            f"{late} events have waited for the sealer for more than {LATE_S} seconds"
        )
    if gone:
        report.incomplete(f"{gone} events that wait to be sealed are not there")


def gaps(connection: Connection, report: Report) -> None:
    """What the sealer itself has missed, and said so in the log."""
    for kind, what in (
        ("f.object_type = 'event'", "an event was gone before it was sealed"),
        ("f.object_type <> 'event'", "nobody sealed for a while"),
    ):
        row = connection.execute(GAPS.format(kind=kind)).fetchone()
        if row and row[0]:
            where = "" if row[1] is None else f", first said in leaf {row[1]}"
            report.notes.append(f"{what}, {row[0]} times{where}")
