"""Quantization modes: one file each, self-registering."""
