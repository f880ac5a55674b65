"""Layouts of published checkpoints: their tensor names, and the names of ours."""
