"""Reader of a directory of DDD17 in the ESS repack: raw events in nanoseconds, index, frames."""
