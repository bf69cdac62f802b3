"""Where the logged model goes: Spark, files for other runtimes, a service."""
