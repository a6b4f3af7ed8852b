"""What auditors do with the log: search, export; later retention, holds, alarms, evidence."""
