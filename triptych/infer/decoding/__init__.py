"""Replies token by token: the loop, the choice of tokens, keys and values with room, whole letters of words."""
