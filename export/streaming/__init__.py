"""Files that answer a stream, run one chunk of time steps after the other."""
