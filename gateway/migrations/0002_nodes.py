"""A node's state and how it is reached matter to routes, too.

Its other news come every ten seconds and must not make every gateway read its routes again.
"""

from django.db import migrations

WATCHED = ("status", "sealed", "ca", "client_certificate")

CREATE = (
    "CREATE TRIGGER gateway_directory_node AFTER UPDATE ON deployments_node FOR EACH ROW WHEN ("
    + " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in WATCHED)
    + ") EXECUTE FUNCTION gateway_directory_changed();"
)
DROP = "DROP TRIGGER gateway_directory_node ON deployments_node;"


class Migration(migrations.Migration):
    dependencies = [("gateway", "0001_directory"), ("deployments", "0005_fleet")]

    operations = [migrations.RunSQL(CREATE, DROP)]
