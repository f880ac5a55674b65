from .event_changes import EventChange as EventChange
from .events import change_events as change_events
from .sample import Sample as Sample
from .sample import augment as augment
from .settings import Augmentation as Augmentation
