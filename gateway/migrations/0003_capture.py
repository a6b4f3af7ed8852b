"""Gateways hear at once when a capture policy begins or ends."""

from django.db import migrations

CREATE = """
CREATE TRIGGER gateway_directory AFTER INSERT OR UPDATE OR DELETE ON office_capturepolicy
    FOR EACH STATEMENT EXECUTE FUNCTION gateway_directory_changed();
"""
DROP = "DROP TRIGGER gateway_directory ON office_capturepolicy;"


class Migration(migrations.Migration):
    dependencies = [("gateway", "0002_nodes"), ("office", "0006_captured_content")]

    operations = [migrations.RunSQL(CREATE, DROP)]
