"""A recipe looked at before it is run: shown whole, compared, checked, its first epoch planned."""
