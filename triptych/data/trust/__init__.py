"""What is wrong with data, or odd: refusals counted, doubts, repeats, benchmarks found in training data."""
