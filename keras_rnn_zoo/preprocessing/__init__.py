"""From data to arrays: vocabulary, padding, labels, scaling."""
