"""Event filters over a recording: hot pixels, refractory time, background activity."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
