"""Training: prepare, fit, train, compare; the run directory."""
