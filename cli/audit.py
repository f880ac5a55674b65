"""``eventseg audit``: a teacher's labels against the truth, or against another teacher's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from . import options, printing
from .group import TitledCommand, option_group
from .progress import Messages


@click.command(
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg audit drives.eventseg --labels segformer-b5 --truth truth
  eventseg audit rec1487339175.eventseg --labels segformer-b5 --truth drawn-by-hand
  eventseg audit ddd17 --labels segformer-b5 --against pspnet --classes evsegnet6
  eventseg audit CamVid --labels segformer-b5 --truth truth --split test
  eventseg audit made --truth testannot --confidence sure --classes evsegnet6
    --other-classes camvid11
""",
)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@option_group(
    "Labels",
    click.option("--labels", metavar="SET", help="Label set of DATA to audit."),
    click.option("--truth", metavar="SET|DIR", help="Known labels: a set, or a folder of PNGs."),
    click.option(
        "--against", metavar="SET|DIR", help="Another teacher's labels, to be compared with."
    ),
    click.option(
        "--confidence",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder of confidence PNGs, where DATA is a plain folder of labels.",
    ),
    click.option(
        "--split",
        type=click.Choice(["all", "train", "val", "test", "other"]),
        default="all",
        show_default=True,
        help="Part of DATA.",
    ),
)
@option_group(
    "Classes",
    click.option(
        "--classes",
        metavar="TABLE",
        help="Classes that both are merged into.  [default: those of the coarser]",
    ),
    click.option(
        "--labels-classes",
        metavar="TABLE",
        help="Classes of the files in DATA.  [default: --classes]",
    ),
    click.option(
        "--other-classes",
        metavar="TABLE",
        help="Classes of the files in the other folder.  [default: --classes; of samples: the "
        "set's]",
    ),
)
@option_group(
    "Output",
    options.out_option(
        "Folder of the report.  [default: audit-DATA-LABELS-OTHER and what differs from the usual]"
    ),
    options.json_option,
    options.message_options,
)
def command(
    data: Path,
    labels: str | None,
    truth: str | None,
    against: str | None,
    classes: str | None,
    labels_classes: str | None,
    other_classes: str | None,
    confidence: Path | None,
    split: str,
    out: Path | None,
    as_json: bool,
    messages: Messages,
) -> None:
    """Measure the labels of DATA, a data set, a folder of labelled pictures, or of label PNGs.

    With --truth: IoU, accuracy and share ignored of each class, and whether a confidence of 0.9
    means 90 %. With --against: how far two teachers agree. Writes audit.html and audit.json.
    """
    other = truth or against
    if other is None or (truth and against):
        raise click.UsageError("give either --truth or --against")

    from eventseg.evaluation.audit.audit import audit
    from eventseg.evaluation.audit.folder_name import audit_folder_name
    from eventseg.evaluation.audit.pair import open_pair
    from eventseg.evaluation.audit.report import class_header, class_rows, summary, write_audit
    from eventseg.files.whole import check_folder
    from eventseg.html import markdown
    from eventseg.labels.maps import load_class_table

    tables = [
        None if name is None else load_class_table(name)
        for name in (classes, labels_classes, other_classes)
    ]
    pair = open_pair(
        data,
        other=other,
        labels=labels,
        classes=tables[0],
        labels_classes=tables[1],
        other_classes=tables[2],
        confidence=confidence,
        split=split,
    )
    reference: Literal["truth", "teacher"] = "truth" if truth else "teacher"
    folder = out or Path(
        audit_folder_name(
            pair,
            data,
            of_sets=labels is not None,
            split=split,
            confidence=confidence,
            against=reference,
        )
    )
    check_folder(folder)
    with messages.bar() as bar:
        found = audit(pair, against=reference, progress=bar.update)
    page = write_audit(folder, found, pair)
    if as_json:
        printing.print_json({"report": str(page), **printing.read_json(folder / "audit.json")})
        return
    click.echo(markdown(class_header(found), class_rows(found)), nl=False)
    click.echo("\n".join(summary(found)))
    click.echo(f"{page}")
