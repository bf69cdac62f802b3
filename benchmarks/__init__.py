"""Measurements, not tests: speed (`python -m benchmarks`), photographs, ablation."""
