"""Released code of the four works and ours, on the same tiny random weights and pictures."""
