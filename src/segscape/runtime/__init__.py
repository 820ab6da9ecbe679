"""Engines a model runs on, and what surrounds the network in inference."""
