"""Repeat a run from its record: read it, lay out its code, check its data, train, and compare."""
