"""Malformed inputs of every kind that the project reads, tried through its own entry points."""
