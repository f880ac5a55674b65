"""Reader of AEDAT 4 recordings of iniVation cameras."""
