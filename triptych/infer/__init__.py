"""Anything that answers: a local model, an endpoint, canned replies."""
