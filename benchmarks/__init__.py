"""Measurements, not tests: speed (`python -m benchmarks`), and quality (`benchmarks.contest`)."""
