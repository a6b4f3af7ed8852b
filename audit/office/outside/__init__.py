"""Copies of the log outside: a SIEM, and a folder of signed heads (docs/decisions/0009)."""
