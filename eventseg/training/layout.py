"""Names of the files in a run folder."""

from eventseg.prediction.layout import BEST as BEST
from eventseg.prediction.layout import CONFIG as CONFIG
from eventseg.prediction.layout import RUN as RUN
from eventseg.prediction.layout import SPLIT as SPLIT

METRICS, TIMING = "metrics.csv", "timing.csv"
LAST, FAILED, KEPT = "last.pt", "failed.pt", "epoch-{epoch}.pt"
SKIPPED, INIT = "skipped.csv", "init.csv"
CURVES, SAMPLES = "curves.png", "samples.png"
