"""Devices that compute, their threads and memory, and the environment of an installation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
