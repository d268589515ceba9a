"""One file = one layout on disk. The contract is ``triptych/data/format.py``."""
