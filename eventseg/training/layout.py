"""Names of the files in a run folder."""

CONFIG, RUN, METRICS, TIMING = "config.toml", "run.json", "metrics.csv", "timing.csv"
BEST, LAST, FAILED, KEPT = "best.pt", "last.pt", "failed.pt", "epoch-{epoch}.pt"
SKIPPED, INIT = "skipped.csv", "init.csv"
CURVES, SAMPLES = "curves.png", "samples.png"
