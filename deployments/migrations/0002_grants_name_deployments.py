"""The foreign key from access.Grant, added here because access stands before this room."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("deployments", "0001_initial"), ("access", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE access_grant ADD CONSTRAINT grant_names_a_deployment "
            "FOREIGN KEY (deployment_id) REFERENCES deployments_deployment (id) "
            "DEFERRABLE INITIALLY DEFERRED",
            "ALTER TABLE access_grant DROP CONSTRAINT grant_names_a_deployment",
        )
    ]
