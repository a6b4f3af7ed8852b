"""Alarms: rules that look at the log and at the house, what they found, and whom it is sent to."""
