"""What several benchmarks share: rows, keys, prompts, short answers, shots, frames, judges' requests."""
