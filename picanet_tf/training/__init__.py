"""Training: runs an `Experiment` and writes a run directory."""
