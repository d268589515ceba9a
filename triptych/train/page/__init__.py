"""What people read of a training run: curves, what was learnt from, what moved, where the time went."""
