"""Names of the files in a run folder."""

from eventseg.prediction.layout import BEST as BEST

CONFIG, RUN, METRICS, TIMING = "config.toml", "run.json", "metrics.csv", "timing.csv"
LAST, FAILED, KEPT = "last.pt", "failed.pt", "epoch-{epoch}.pt"
SKIPPED, INIT = "skipped.csv", "init.csv"
CURVES, SAMPLES = "curves.png", "samples.png"
