"""Pictures and videos: where their bytes are, what they hold, how large they are. Knows no row."""
