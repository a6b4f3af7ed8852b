"""Everything about an object is found, also where it is not the first; names have an index.

The index by time goes: ids are UUIDv7, so the key itself finds a span of time.
"""

import django.db.models.deletion
from django.db import migrations, models

FILL = """
INSERT INTO ledger_mention (object_id, event_id)
SELECT DISTINCT left(obj.value ->> 'id', 200), event.id
FROM ledger_event AS event
CROSS JOIN LATERAL jsonb_array_elements(convert_from(event.leaf, 'UTF8')::jsonb -> 'obj')
    WITH ORDINALITY AS obj (value, number)
WHERE obj.number > 1 AND obj.value ->> 'id' <> '';
"""

GUARDS = """
CREATE TRIGGER ledger_mention_append_only BEFORE UPDATE OR DELETE ON ledger_mention
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_mention_no_truncate BEFORE TRUNCATE ON ledger_mention
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_mention ENABLE ALWAYS TRIGGER ledger_mention_append_only;
ALTER TABLE ledger_mention ENABLE ALWAYS TRIGGER ledger_mention_no_truncate;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON ledger_mention FROM fusebox_web;
        GRANT SELECT, INSERT ON ledger_mention TO fusebox_web;
    END IF;
END $$;
"""

UNGUARD = """
DROP TRIGGER ledger_mention_append_only ON ledger_mention;
DROP TRIGGER ledger_mention_no_truncate ON ledger_mention;
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_append_only")]

    operations = [
        migrations.RemoveIndex(model_name="event", name="event_by_time"),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                fields=["object_label", "-id"],
                name="event_by_label",
                condition=models.Q(("object_label", ""), _negated=True),
            ),
        ),
        migrations.CreateModel(
            name="Mention",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "object_id",
                        "event_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("object_id", models.TextField()),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="mentions",
                        to="ledger.event",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(GUARDS, UNGUARD),
    ]
