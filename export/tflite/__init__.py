"""A written .tflite file: read, changed, run, timed."""
