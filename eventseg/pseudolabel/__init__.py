"""Labels of gray frames by a teacher network, with confidence."""
