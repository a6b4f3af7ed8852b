"""Tests on real parts: PostgreSQL, Valkey, Ollama with SmolLM2, Chromium."""
