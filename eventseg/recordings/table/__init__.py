"""Reader of events in columns: HDF5 of several data sets, NumPy files, and text."""
