"""What a search found: records, Pareto front, importance, charts, page."""
