"""One run in several processes: who they are, and how gradients and weights are shared among them."""
