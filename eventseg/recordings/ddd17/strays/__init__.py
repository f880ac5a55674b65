"""Damaged times: stray events, packets, headers and clock marks, judged by their neighbours."""
