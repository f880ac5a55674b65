"""Published checkpoints: how their tensors are named, and by which names ours are."""
