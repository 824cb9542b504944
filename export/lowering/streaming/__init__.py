"""Models run a few time steps a call: which can be, and the states that are carried between calls.

Recurrences hand their states on; layers that look back, such as causal convolutions, the last steps
that they read (`layers`: one file each, self-registering; an entry point in the group
`keras_rnn_zoo.looking_back` is another one). All others have to make of each step what they make of
it alone, which is tried, see `probe`.
"""
