"""What follows a network: class probabilities refined by the photo itself, and label maps made into objects."""
