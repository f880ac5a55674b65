"""Reader of AEDAT 2 and AEDAT 3.1 recordings."""
