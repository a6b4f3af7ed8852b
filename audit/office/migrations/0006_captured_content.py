"""Captured content, who decided to keep it, who opened it, and whom somebody erased.

What was decided and opened stays on record: the web may add to it and end it, nothing else.
"""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

RIGHTS = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON office_capturepolicy, office_opening, office_erasure FROM fusebox_web;
        GRANT SELECT, INSERT ON office_capturepolicy, office_opening, office_erasure
            TO fusebox_web;
        GRANT UPDATE (ended_at, ended_by_id) ON office_capturepolicy TO fusebox_web;
        GRANT UPDATE (closed_at) ON office_opening TO fusebox_web;
        GRANT UPDATE (state, names, events, contents, kept_for, due_at, finished_at)
            ON office_erasure TO fusebox_web;
        REVOKE UPDATE ON office_content FROM fusebox_web;
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("office", "0005_outside_witnesses"),
    ]

    operations = [
        migrations.CreateModel(
            name="CapturePolicy",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("deployment_id", models.UUIDField()),
                ("deployment_name", models.CharField(max_length=63)),
                ("purpose", models.CharField(max_length=500)),
                ("necessity", models.TextField()),
                ("protection", models.TextField(blank=True)),
                ("prompt", models.BooleanField()),
                ("answer", models.BooleanField()),
                ("percent", models.PositiveSmallIntegerField()),
                ("days", models.PositiveSmallIntegerField()),
                ("proposer_id", models.UUIDField()),
                ("approver_id", models.UUIDField(null=True)),
                (
                    "began_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by_id", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "verbose_name_plural": "capture policies",
                "ordering": ("-began_at",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("deployment_id",),
                        name="capture_one_in_force",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("percent__gte", 1), ("percent__lte", 100)),
                        name="capture_percent_bounded",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("days__gte", 1), ("days__lte", 365)),
                        name="capture_days_bounded",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("prompt", True), ("answer", True), _connector="OR"),
                        name="capture_of_something",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("proposer_id", models.F("approver_id")), _negated=True),
                        name="capture_by_two_people",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("purpose", ""), _negated=True),
                        name="capture_has_purpose",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("person_id", models.UUIDField(unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("restricted", "Restricted"),
                            ("waiting", "Under way"),
                            ("done", "Erased"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("basis", models.CharField(max_length=40)),
                ("reason", models.TextField()),
                ("names", models.JSONField(default=list)),
                ("proposer_id", models.CharField(max_length=64)),
                ("approver_id", models.CharField(max_length=64)),
                ("events", models.BigIntegerField(default=0)),
                ("contents", models.BigIntegerField(default=0)),
                ("kept_for", models.TextField(blank=True)),
                (
                    "due_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ("-created_at",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("proposer_id", models.F("approver_id")), _negated=True),
                        name="erasure_by_two_people",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Opening",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("deployment_id", models.UUIDField()),
                ("deployment_name", models.CharField(max_length=63)),
                ("person_id", models.UUIDField(null=True)),
                ("start", models.DateTimeField()),
                ("end", models.DateTimeField()),
                ("reason", models.TextField()),
                ("reader_id", models.UUIDField()),
                ("approver_id", models.UUIDField(null=True)),
                ("minutes", models.PositiveSmallIntegerField()),
                (
                    "opened_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("ends_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ("-opened_at",),
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reader_id", models.F("approver_id")), _negated=True),
                        name="opening_by_two_people",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("minutes__gte", 1), ("minutes__lte", 480)),
                        name="opening_time_box",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reason", ""), _negated=True), name="opening_has_reason"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Content",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("deployment_id", models.UUIDField()),
                ("person_id", models.UUIDField()),
                ("request_id", models.TextField(blank=True)),
                ("day", models.DateField()),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expires_at", models.DateTimeField()),
                ("cipher", models.TextField()),
                ("wrapped", models.BinaryField()),
                ("body", models.BinaryField()),
                ("size", models.IntegerField()),
                (
                    "policy",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="office.capturepolicy",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "content",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["deployment_id", "-id"], name="content_by_deployment"),
                    models.Index(fields=["person_id", "day"], name="content_by_person"),
                    models.Index(fields=["expires_at"], name="content_by_expiry"),
                ],
            },
        ),
        migrations.RunSQL(RIGHTS, migrations.RunSQL.noop),
    ]
