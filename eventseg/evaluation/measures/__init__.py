"""Further measures of an evaluation: scores by condition and near boundaries."""
