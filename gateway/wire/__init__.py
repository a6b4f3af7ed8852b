"""The formats that clients speak."""
