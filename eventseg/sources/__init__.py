"""Sources of samples for training and evaluation: data sets, image folders, live events."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
