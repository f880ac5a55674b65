"""Writers of events in other formats, one module each, and the conversion of recordings.

:mod:`eventseg.recordings.writers.convert` chooses the writer by the suffix of the new file; its
``WRITTEN`` lists the formats.
"""
