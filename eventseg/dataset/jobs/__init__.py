"""Jobs of long work: local processes, a Dask cluster, shards of a job array."""
