from .losses import segmentation_loss as segmentation_loss
