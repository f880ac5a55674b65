"""Opening of what label sets belong to: a data set, labelled pictures, or a league."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from eventseg.dataset.opening import open_dataset
from eventseg.errors import OutputError
from eventseg.labels.image_folders import LAYOUTS, list_samples
from eventseg.sources.leagues.opening import open_league
from eventseg.sources.own_labels.labelled_data import DatasetLabels, LabelledData, PictureLabels
from eventseg.sources.own_labels.league_labels import LeagueLabels


@contextmanager
def open_labelled(path: str | Path) -> Iterator[LabelledData]:
    """Open a data set, a folder of labelled pictures of a known layout, or a league.

    Raises
    ------
    DatasetError
        None of these, or a folder of pictures or a league that is incomplete.
    LabelError
        A class table that cannot be read.
    """
    root = Path(path)
    for layout in LAYOUTS.values():
        if root.is_dir() and layout.matches(root):
            found = list_samples(root, layout)
            assert found.classes is not None
            yield PictureLabels(root, found.samples, found.classes)
            return
    if (league := open_league(root)) is not None:
        with closing(league):
            yield LeagueLabels(league)
        return
    with open_dataset(root) as dataset:
        yield DatasetLabels(dataset)


def ready_root(data: LabelledData) -> Path:
    """Return the folder of the label sets, which is made where pictures or a league have none.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    try:
        data.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cure = ""
        if isinstance(data, LeagueLabels):
            cure = "; name a folder that can be written in a league file, label_sets = ..."
        raise OutputError(
            f"cannot make {data.root} for label sets: {error.strerror or error}{cure}"
        ) from error
    return data.root
