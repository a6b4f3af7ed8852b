"""Notes stay as they were written: the web's role may add them, not change or remove them."""

from django.db import migrations

RIGHTS = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON office_eventnote, office_casenote FROM fusebox_web;
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("office", "0009_cases")]

    operations = [migrations.RunSQL(RIGHTS, migrations.RunSQL.noop)]
