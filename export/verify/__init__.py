"""Whether a file answers what the Keras model answers."""
