"""Whole writes, edited texts, digests, locks, and objects of a user's files."""
