"""Reasons become sentences that are worded when read (access.said); old texts stay as they are."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation

from access.said import SaidField

COLUMNS = (
    ("node", "problem"),
    ("operation", "problem"),
    ("deployment", "problem"),
    ("deployment", "setback"),
    ("replica", "problem"),
)


class Migration(migrations.Migration):
    dependencies: ClassVar = [("deployments", "0009_trial")]
    operations: ClassVar[list[Operation]] = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"ALTER TABLE deployments_{table} ALTER COLUMN {column} "
                    f"TYPE jsonb USING to_jsonb({column})",
                    f"ALTER TABLE deployments_{table} ALTER COLUMN {column} "
                    f"TYPE text USING coalesce({column}->>'say', {column}->>'words', {column}#>>'{{}}')",
                )
            ],
            state_operations=[migrations.AlterField(table, column, SaidField(default=str))],
        )
        for table, column in COLUMNS
    ]
