"""Layers that look back; one file each, self-registering."""
