"""Flamingo's own network, which transformers has not. The family that adapts it is ``families/flamingo.py``."""
