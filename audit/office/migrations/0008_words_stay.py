"""What somebody said of an alarm stays as it was said: the web's role may add words, not change."""

from django.db import migrations

RIGHTS = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON office_alarmword FROM fusebox_web;
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("office", "0007_alarms")]

    operations = [migrations.RunSQL(RIGHTS, migrations.RunSQL.noop)]
