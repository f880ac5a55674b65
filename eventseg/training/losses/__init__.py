"""Segmentation losses and class weights."""
