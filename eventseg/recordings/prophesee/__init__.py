"""Readers of Prophesee's recordings: RAW files of EVT2, EVT2.1 and EVT3, and DAT files."""
