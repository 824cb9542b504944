"""The zoo: one file per family of builders, each registering itself."""
