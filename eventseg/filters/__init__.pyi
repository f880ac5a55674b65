from .filtered import FilteredRecording as FilteredRecording
from .filtered import filtered as filtered
from .filtered import survey_filters as survey_filters
from .hot_pixels import find_hot_pixels as find_hot_pixels
from .rules import EventFilter as EventFilter
from .rules import Filters as Filters
from .rules import filter_events as filter_events
from .rules import parse_filters as parse_filters
