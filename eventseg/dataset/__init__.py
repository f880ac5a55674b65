"""Data set folders: manifest, sample table, encoding jobs, reader and check."""
