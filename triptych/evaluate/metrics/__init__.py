"""Published metrics as pure functions: (reference, reply) -> score. Nothing in here is found by name."""
