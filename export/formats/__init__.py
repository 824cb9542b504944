"""A file per format that a model is exported to."""
