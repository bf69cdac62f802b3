"""Forget, when imported, what the environment says of servers: no test uses its user's.

Imported before MLflow, which reads some of it when it is imported.
"""

import os

THEIRS = ("MLFLOW_", "_MLFLOW_", "AZURE", "AML", "DATABRICKS", "ARM_", "IDENTITY_", "MSI_")

for name in [name for name in os.environ if name.startswith(THEIRS)]:
    del os.environ[name]
