from .report import compare_runs as compare_runs
