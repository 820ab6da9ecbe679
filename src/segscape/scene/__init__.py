"""What the masks mean: regions, relations, sentences, comparison. Everything here is measured from the masks."""
