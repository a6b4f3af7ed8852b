"""A person can be erased: the account stays as a number, closed for ever."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("access", "0003_proposal_guard")]

    operations = [
        migrations.AddField(
            model_name="user", name="erased_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=Q(("erased_at", None), ("is_active", False), _connector="OR"),
                name="erased_account_is_closed",
            ),
        ),
    ]
