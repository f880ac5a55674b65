"""Recordings converted into a folder: request, folder, jobs, shards."""
