"""The logged model becomes a service: a folder that Azure ML takes, and what brings it there."""
