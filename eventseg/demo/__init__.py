"""The demo: simulated drives, training, scores and a page about them."""
