"""Training of a network on a data set."""
