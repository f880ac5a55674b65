"""Further measures of an evaluation: by condition, boundaries, calibration, flicker, times."""
