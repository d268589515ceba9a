"""Networks: families adapt transformers classes; parts, projector alignment, adapters, feature cache."""
