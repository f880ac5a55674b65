from .checking import check_label_sets as check_label_sets
from .exporting import export_labels as export_labels
from .importing import import_labels as import_labels
from .joining import Join as Join
from .summaries import ExportSummary as ExportSummary
from .summaries import ImportSummary as ImportSummary
