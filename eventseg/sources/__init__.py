"""Sources of samples for training and evaluation: data sets, image folders, live events."""
