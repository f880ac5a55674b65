"""Event filters over a whole recording: hot pixels, refractory time, background activity."""
