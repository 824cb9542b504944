"""The search itself: directory, loop, progress, winner."""
