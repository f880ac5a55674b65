"""Writers of events in other formats, and the conversion of recordings."""
