"""A seeded street seen by a simulated DAVIS, and labelled images moved in front of one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
