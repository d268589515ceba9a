"""The embedded default: small real weights and drawn multi-image scenes, so that everything runs without a hub."""
