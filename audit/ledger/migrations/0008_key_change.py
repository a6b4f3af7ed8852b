"""The sealer changes its key when two people have decided it; the database says who."""

import uuid

import django.db.models.functions.datetime
from django.db import migrations, models

RIGHTS = """
CREATE TRIGGER ledger_keychange_append_only BEFORE UPDATE OR DELETE ON ledger_keychange
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_keychange_no_truncate BEFORE TRUNCATE ON ledger_keychange
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
ALTER TABLE ledger_keychange ENABLE ALWAYS TRIGGER ledger_keychange_append_only;
ALTER TABLE ledger_keychange ENABLE ALWAYS TRIGGER ledger_keychange_no_truncate;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE ALL ON ledger_keychange FROM fusebox_web;
        GRANT SELECT, INSERT ON ledger_keychange TO fusebox_web;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_sealer') THEN
        GRANT SELECT ON ledger_keychange TO fusebox_sealer;
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("ledger", "0007_removed"),
    ]

    operations = [
        migrations.CreateModel(
            name="KeyChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("proposal_id", models.UUIDField(unique=True)),
                (
                    "at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.AddField(
            model_name="signingkey",
            name="change_id",
            field=models.UUIDField(null=True, unique=True),
        ),
        migrations.RunSQL(RIGHTS, migrations.RunSQL.noop),
    ]
