"""The command line: parse, call one function, end."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
"""TensorFlow's start-up chatter hides our own lines; what goes wrong there is raised as well."""
