"""One file = one operation on Examples. The contract is ``triptych/data/transform.py``."""
