"""The management API under /api/v1/: thin faces of the same verbs as the pages."""
