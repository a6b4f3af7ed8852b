"""Captured content: prompts and answers, encrypted, apart from the log, with keys of their own."""
