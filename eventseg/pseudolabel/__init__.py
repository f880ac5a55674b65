"""Labels of gray frames by teacher networks, with how sure they are."""

from eventseg.pseudolabel.confidence import EgoMask, Filters, parse_ego
from eventseg.pseudolabel.label_set import LabelSummary, label_dataset
from eventseg.pseudolabel.loading import default_teacher, load_teacher
from eventseg.pseudolabel.overlay import FilmSummary, label_film, overlay
from eventseg.pseudolabel.recipes import PRESETS, LabelRecipe
from eventseg.pseudolabel.teacher import Teacher
from eventseg.pseudolabel.test_time import TestTime
from eventseg.pseudolabel.voting import Guess, Voice, guess

__all__ = [
    "PRESETS",
    "EgoMask",
    "FilmSummary",
    "Filters",
    "Guess",
    "LabelRecipe",
    "LabelSummary",
    "Teacher",
    "TestTime",
    "Voice",
    "default_teacher",
    "guess",
    "label_dataset",
    "label_film",
    "load_teacher",
    "overlay",
    "parse_ego",
]
