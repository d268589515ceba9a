"""One file = one benchmark. The contract is ``triptych/evaluate/benchmark.py``."""
