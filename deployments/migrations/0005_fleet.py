"""Wishes, revisions that cannot change, nodes with labels, duty and history, gateways' reports."""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

# A recipe is what was attested and logged: whoever wants another one makes a new revision.
IMMUTABLE = """
CREATE FUNCTION deployments_revision_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revision is immutable' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER deployments_revision_immutable BEFORE UPDATE OR DELETE ON deployments_revision
FOR EACH ROW EXECUTE FUNCTION deployments_revision_is_immutable();
"""
MUTABLE = """
DROP TRIGGER deployments_revision_immutable ON deployments_revision;
DROP FUNCTION deployments_revision_is_immutable();
"""
# What ran before had one replica on one node and was as it should be.
WISHES = """
UPDATE deployments_deployment SET target_id = current_id, wanted = CASE
    WHEN state IN ('deleting', 'deleted') THEN 'gone'
    WHEN state IN ('stopping', 'stopped') THEN 'off' ELSE 'on' END;
UPDATE deployments_replica SET attested_at = now() WHERE digest <> '';
INSERT INTO deployments_deployment_nodes (deployment_id, node_id)
    SELECT DISTINCT r.deployment_id, p.node_id
    FROM deployments_replica p JOIN deployments_revision r ON r.id = p.revision_id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("deployments", "0004_models"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="GatewayReport",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "seen_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "loaded_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("in_flight", models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name="NodeCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("status", models.CharField(max_length=16)),
                ("proof_ms", models.PositiveIntegerField(null=True)),
                ("memory", models.BigIntegerField(default=0)),
            ],
            options={
                "ordering": ("-at",),
            },
        ),
        migrations.AddField(
            model_name="deployment",
            name="keep",
            field=models.CharField(
                choices=[
                    ("always", "Always loaded"),
                    ("on-demand", "Loaded with the first request"),
                    ("timetable", "Loaded by timetable"),
                ],
                default="always",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="deployment",
            name="labels",
            field=models.JSONField(default=list, verbose_name="labels"),
        ),
        migrations.AddField(
            model_name="deployment",
            name="nodes",
            field=models.ManyToManyField(related_name="placed", to="deployments.node"),
        ),
        migrations.AddField(
            model_name="deployment",
            name="previous",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="deployments.revision",
            ),
        ),
        migrations.AddField(
            model_name="deployment",
            name="replicas_wanted",
            field=models.PositiveSmallIntegerField(default=1, null=True, verbose_name="replicas"),
        ),
        migrations.AddField(
            model_name="deployment",
            name="setback",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="deployment",
            name="settled_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="deployment",
            name="strategy",
            field=models.CharField(
                choices=[("together", "All nodes at once"), ("one-by-one", "Node by node")],
                default="together",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="deployment",
            name="target",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="deployments.revision",
            ),
        ),
        migrations.AddField(
            model_name="deployment",
            name="timetable",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="deployment",
            name="version",
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name="deployment",
            name="wanted",
            field=models.CharField(
                choices=[("on", "On"), ("off", "Off"), ("gone", "Gone")], default="on", max_length=8
            ),
        ),
        migrations.AddField(
            model_name="model",
            name="content",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="node",
            name="alarms",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="node",
            name="ca",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="node",
            name="client_certificate",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="node",
            name="duty",
            field=models.CharField(
                choices=[
                    ("open", "Takes new replicas"),
                    ("cordoned", "Cordoned: takes no new replicas"),
                    ("draining", "Drained: its replicas move elsewhere"),
                ],
                default="open",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="node",
            name="exporter_url",
            field=models.CharField(blank=True, max_length=300, verbose_name="metrics"),
        ),
        migrations.AddField(
            model_name="node",
            name="house",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="node",
            name="labels",
            field=models.JSONField(default=list, verbose_name="labels"),
        ),
        migrations.AddField(
            model_name="node",
            name="machine",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="node",
            name="memory_declared",
            field=models.BigIntegerField(null=True, verbose_name="memory for models"),
        ),
        migrations.AddField(
            model_name="node",
            name="proof_ms",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="node",
            name="proved_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="node",
            name="sealed",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="node",
            name="tags",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="replica",
            name="attested_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="replica",
            name="closed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="replica",
            name="retry_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="replica",
            name="tries",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="revision",
            name="note",
            field=models.CharField(blank=True, max_length=300, verbose_name="note"),
        ),
        migrations.AddField(
            model_name="revision",
            name="schema",
            field=models.JSONField(null=True, verbose_name="JSON schema"),
        ),
        migrations.AddField(
            model_name="revision",
            name="template",
            field=models.TextField(blank=True, verbose_name="template"),
        ),
        migrations.AlterField(
            model_name="node",
            name="status",
            field=models.CharField(
                choices=[
                    ("unknown", "Not yet asked"),
                    ("online", "Online"),
                    ("degraded", "Degraded"),
                    ("unreachable", "Unreachable"),
                ],
                default="unknown",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="operation",
            name="kind",
            field=models.CharField(
                choices=[
                    ("deploy", "Switch on"),
                    ("rollout", "Roll out"),
                    ("repair", "Bring to the wanted state"),
                    ("stop", "Stop"),
                    ("delete", "Delete"),
                    ("import", "Import model"),
                    ("pull", "Pull model"),
                    ("copy", "Copy model"),
                    ("export", "Write bundle"),
                    ("unpack", "Read bundle"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="replica",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("standby", "Made, not yet open"),
                    ("ready", "Ready"),
                    ("draining", "Draining"),
                    ("stopped", "Stopped"),
                    ("failed", "Failed"),
                    ("foreign", "Changed on the node"),
                ],
                default="pending",
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="deployment",
            constraint=models.CheckConstraint(
                condition=models.Q(("wanted__in", ["on", "off", "gone"])),
                name="deployment_wanted_known",
            ),
        ),
        migrations.AddField(
            model_name="nodecheck",
            name="node",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="checks",
                to="deployments.node",
            ),
        ),
        migrations.AddIndex(
            model_name="nodecheck",
            index=models.Index(fields=["node", "-at"], name="check_by_node"),
        ),
        migrations.RunSQL(WISHES, migrations.RunSQL.noop),
        migrations.RunSQL(IMMUTABLE, MUTABLE),
    ]
