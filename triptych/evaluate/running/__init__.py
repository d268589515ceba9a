"""Asking, keeping, marking and merging replies; nothing is asked twice, nothing failed is called wrong."""
