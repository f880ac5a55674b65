"""Reader and writer of DDD17 and DDD20 recordings."""
