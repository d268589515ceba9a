"""Asking, keeping, scoring and merging replies; nothing is asked twice, nothing failed is called wrong."""
