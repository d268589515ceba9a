"""Public data sets: facts on them, and bringing them to a disk."""
