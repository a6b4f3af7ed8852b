"""The Celery application: the broker only wakes workers, the rows of Operation are the truth."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

app = Celery("fusebox")
app.config_from_object("console.celeryconfig")
app.autodiscover_tasks(["deployments", "audit.office"])
