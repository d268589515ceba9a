"""In what memory a model's numbers lie, and in how many bits: 16, 4, 32; on which device."""
