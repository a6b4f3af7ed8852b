"""What was erased stays: without it nobody could say what an erasure left of an older event."""

from django.db import migrations

FLOOR = """
CREATE OR REPLACE FUNCTION office_floor(act text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN act IN ('audit.prune', 'audit.set_retention', 'audit.hold', 'audit.release_hold',
                     'audit.new_tree', 'audit.new_key', 'audit.acknowledge', 'audit.gap',
                     'audit.clock_step'{}) THEN NULL
        WHEN act IN ('audit.export', 'audit.fetch_export', 'model.export') THEN 1096
        ELSE 183 END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("office", "0014_key_change_guard")]

    operations = [migrations.RunSQL(FLOOR.format(", 'user.erased'"), FLOOR.format(""))]
