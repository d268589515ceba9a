"""A conversation as words and tokens: pieces, turns, spelling; and words that name images."""
