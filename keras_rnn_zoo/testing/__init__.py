"""Conformance suites for whatever can be plugged in."""
