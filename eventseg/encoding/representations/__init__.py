"""Representations, one file each: ``count_latest.py`` defines ``count-latest``.

A file holds one :class:`eventseg.encoding.definition.Definition` under the name ``DEFINITION``.
:func:`eventseg.encoding.representation.parse_representation` finds it by the name of the file.
"""
