"""One trial: its job, its budget, its outcome."""
