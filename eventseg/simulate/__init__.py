"""A seeded street seen by a simulated DAVIS, and labelled images moved in front of one."""
