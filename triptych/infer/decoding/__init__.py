"""Replies token by token: the loop, sampling, a key-value cache with room for the reply, tokens back to text."""
