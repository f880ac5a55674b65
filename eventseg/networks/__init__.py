"""Segmentation networks of the field, each in a file of its own."""

from eventseg.networks.build import build
from eventseg.networks.checkpoints import Blueprint, TrainedNetwork, load_network, save_network
from eventseg.networks.cost import Cost, cost
from eventseg.networks.inputs import InputSpec
from eventseg.networks.network import SegmentationNetwork, parameter_count
from eventseg.networks.published import LoadReport, Published, load_published
from eventseg.networks.zoo import ARCHITECTURES, Architecture, architecture

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Blueprint",
    "Cost",
    "InputSpec",
    "LoadReport",
    "Published",
    "SegmentationNetwork",
    "TrainedNetwork",
    "architecture",
    "build",
    "cost",
    "load_network",
    "load_published",
    "parameter_count",
    "save_network",
]
