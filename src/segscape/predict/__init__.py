"""From images to segmentations: predicting, tiling, regions."""
