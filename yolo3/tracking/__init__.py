"""What a run records, and the runs themselves; the only room beside detector/ that knows MLflow."""
