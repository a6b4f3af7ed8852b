"""Every face but the inference path: pages, the management API, settings, health, `make up`."""

from console.celery import app as celery_app

__all__ = ["celery_app"]
