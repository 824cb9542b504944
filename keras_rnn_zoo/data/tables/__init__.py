"""Tables: their columns and rows, and what these mean."""
