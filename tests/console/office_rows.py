"""The rows of the role × endpoint matrix for alarms, their receivers, notes and cases."""

from __future__ import annotations

# route name: (GET, POST); see test_routes.
OFFICE_ROWS: dict[str, tuple[str, str]] = {
    "alarm-list": ("sooon", "sooon"),
    "alarm-news": ("sooon", "sooon"),
    "alarm-rules": ("sooon", "sooon"),
    "alarm-rule-set": ("snnon", "snnvn"),
    "alarm-detail": ("sooon", "svvvn"),
    "channel-list": ("snnon", "snnon"),
    "channel-add": ("snnon", "snnvn"),
    "channel-change": ("snnon", "snnvn"),
    "channel-remove": ("snnon", "snnvn"),
    "channel-test": ("smmmm", "snnvn"),
    "api-alarm-list": ("uooon", "ummmm"),
    "api-alarm-detail": ("uooon", "ummmm"),
    "api-alarm-acknowledge": ("ummmm", "uvvvn"),
    "api-rule-list": ("uooon", "ummmm"),
    "api-rule-set-values": ("ummmm", "unnvn"),
    "api-channel-list": ("unnon", "unnvn"),
    "api-channel-detail": ("unnon", "ummmm"),
    "api-channel-test": ("ummmm", "unnvn"),
    "api-channel-notices": ("unnon", "ummmm"),
}
