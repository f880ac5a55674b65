"""Label maps of live events: sources, the window, the network, and what becomes of the labels."""
