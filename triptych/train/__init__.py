"""One loop: recipes, stages, loss, optimizer, checkpoints, meters."""
