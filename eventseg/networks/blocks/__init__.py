"""Trunks, heads and blocks that several networks share."""
