"""Models for other engines: graphs made by torch, and folders that hold all a model needs."""
