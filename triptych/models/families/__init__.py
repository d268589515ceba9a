"""One file = one model family. The contract is ``triptych/models/family.py``."""
