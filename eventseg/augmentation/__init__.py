"""Augmentation of training samples: pixel maps, images, events on CPU and GPU."""
