"""Further measures of an evaluation: scores by condition, boundaries, calibration."""
