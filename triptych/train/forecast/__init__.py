"""What a recipe will need on GPUs that are not here: memory, time, and what to change."""
