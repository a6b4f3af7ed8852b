"""Celery's settings and the timetable of the beat."""

from __future__ import annotations

from celery.schedules import crontab
from django.conf import settings

broker_url = settings.REDIS_URL
if broker_url.startswith("unix://"):
    broker_url = "redis+socket://" + broker_url.removeprefix("unix://")
broker_connection_retry_on_startup = True
broker_transport_options = {"socket_timeout": 10, "socket_keepalive": True}
worker_prefetch_multiplier = 1
worker_max_tasks_per_child = 500
worker_hijack_root_logger = False
worker_send_task_events = False
task_ignore_result = True
task_acks_late = False
task_default_queue = "fusebox"
timezone = "UTC"
beat_schedule = {
    "dispatch-forgotten": {"task": "deployments.dispatch_forgotten", "schedule": 5.0},
    "dispatch-forgotten-audit": {"task": "audit.dispatch_forgotten", "schedule": 30.0},
    "verify-nightly": {"task": "audit.verify_nightly", "schedule": crontab(hour=2, minute=30)},
    "late-witnesses": {"task": "audit.note_late_witnesses", "schedule": 300.0},
    "expire-content": {"task": "audit.expire_content", "schedule": 3600.0},
    "erase": {"task": "audit.erase", "schedule": 60.0},
    "watch": {"task": "audit.watch", "schedule": 30.0},
    "deliver-notices": {"task": "audit.deliver_notices", "schedule": 15.0},
    "discard-exports": {"task": "audit.discard_exports", "schedule": 3600.0},
    "prune": {"task": "audit.prune", "schedule": crontab(hour=3, minute=30)},
    "expire-proposals": {"task": "access.expire_proposals", "schedule": 60.0},
    "discard-stale-uploads": {"task": "deployments.discard_stale_uploads", "schedule": 3600.0},
    "forget-samples": {"task": "deployments.forget_samples", "schedule": 300.0},
    "check-nodes": {"task": "deployments.check_nodes", "schedule": 10.0},
    "reconcile": {"task": "deployments.reconcile", "schedule": 15.0},
}
