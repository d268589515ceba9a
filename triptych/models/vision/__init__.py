"""How images become features: prepared, encoded once and kept, tiles put in order."""
