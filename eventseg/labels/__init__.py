"""Class tables, merges, label maps and folders of labelled pictures."""
