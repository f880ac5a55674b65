"""The field's leagues as they are downloaded: DDD17 in the ESS repack, and DSEC-Semantic."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
