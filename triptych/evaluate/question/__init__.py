"""What several benchmarks share: rows, prompts, shots, frames, judges' requests."""
