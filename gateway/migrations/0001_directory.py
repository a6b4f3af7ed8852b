"""Triggers that tell the gateways when keys, grants or routes changed.

The counter is a sequence: it needs no row lock, so it cannot make transactions wait for each other.
"""

from django.db import migrations

# Sign-ins touch access_user at every visit: only what the directory reads counts.
TABLES = {
    "access_user": "UPDATE OF username, kind, role, is_active OR DELETE",
    "access_key": "INSERT OR UPDATE OR DELETE",
    "access_grant": "INSERT OR UPDATE OR DELETE",
    "access_membership": "INSERT OR UPDATE OR DELETE",
    "deployments_deployment": "INSERT OR UPDATE OR DELETE",
    "deployments_replica": "INSERT OR UPDATE OR DELETE",
    "deployments_node": "UPDATE OF name, url OR DELETE",
}

CREATE = """
CREATE SEQUENCE gateway_directory_version;
CREATE FUNCTION gateway_directory_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('gateway_directory_version');
    PERFORM pg_notify('fusebox_directory', '');
    RETURN NULL;
END $$;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'fusebox_web') THEN
        GRANT USAGE, SELECT ON SEQUENCE gateway_directory_version TO fusebox_web;
    END IF;
END $$;
""" + "".join(
    f"CREATE TRIGGER gateway_directory AFTER {events} ON {table} "
    f"FOR EACH STATEMENT EXECUTE FUNCTION gateway_directory_changed();\n"
    for table, events in TABLES.items()
)

DROP = "".join(f"DROP TRIGGER gateway_directory ON {table};\n" for table in TABLES) + (
    "DROP FUNCTION gateway_directory_changed(); DROP SEQUENCE gateway_directory_version;"
)


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0001_initial"),
        ("deployments", "0002_grants_name_deployments"),
        ("ledger", "0002_append_only"),
    ]

    operations = [migrations.RunSQL(CREATE, DROP)]
