"""Nodes, models and what runs where; the only room that talks to Ollama for control."""
