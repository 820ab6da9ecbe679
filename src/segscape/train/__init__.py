"""Training: a recipe in, a run folder with a model bundle out."""
