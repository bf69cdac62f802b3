"""Where the logged model goes: a folder that Azure ML takes, other runtimes' files, Spark."""
