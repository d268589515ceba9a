"""One file = one template: what a model's conversations look like. The contract is ``triptych/data/template.py``."""
