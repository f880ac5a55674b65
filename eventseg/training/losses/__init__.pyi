from .losses import LossSpec as LossSpec
from .losses import segmentation_loss as segmentation_loss
