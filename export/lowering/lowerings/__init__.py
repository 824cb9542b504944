"""Ways to express a recurrence in builtin ops: one file each, self-registering."""
