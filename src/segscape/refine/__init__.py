"""Refinement of class probabilities by the photo itself: the dense CRF, its fast filter, and its tuning."""
