"""From files to batches: formats, images, checks, templates, plans, packs. Knows no model: what it needs of one is handed in."""
