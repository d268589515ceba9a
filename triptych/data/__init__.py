"""From files to batches: formats, images, checks, templates, plans, packs. No model: what is needed is handed in."""
