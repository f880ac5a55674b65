"""Reader of AEDAT 3.1 recordings."""
