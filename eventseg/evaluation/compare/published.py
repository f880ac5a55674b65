"""Published results beside ours: which data sets they are of, and where the data is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from eventseg.dataset.layout import MANIFEST
from eventseg.dataset.manifest import Manifest
from eventseg.errors import DatasetError
from eventseg.events import SensorSize
from eventseg.labels.maps import load_class_table
from eventseg.sources.image_folders import Folder, open_folder
from eventseg.splits import EVSEGNET_ROWS

DDD17, CAMVID, CITYSCAPES = "EV-SegNet's DDD17", "CamVid", "Cityscapes"

PUBLISHED_ON = {
    "evsegnet-paper": DDD17,
    "evsegnet-code": DDD17,
    "cgnet-camvid": CAMVID,
    "deeplabv3-camvid": CAMVID,
    "enet-camvid": CAMVID,
    "segnet-camvid": CAMVID,
    "cgnet-cityscapes": CITYSCAPES,
    "deeplabv3-cityscapes": CITYSCAPES,
    "deeplabv3plus-exp1": CITYSCAPES,
    "deeplabv3plus-exp2": CITYSCAPES,
    "deeplabv3plus-reference": CITYSCAPES,
    "denseaspp-cityscapes": CITYSCAPES,
    "enet-cityscapes": CITYSCAPES,
    "fastscnn-paper": CITYSCAPES,
    "fastscnn-report": CITYSCAPES,
    "pspnet-cityscapes": CITYSCAPES,
}
"""Data of the published rows of a recipe. The Delft runs, of other samples of DDD17, and U-Net, of
a grouping of classes that is lost, can be compared with nothing."""

CAMVID_SAMPLES = {"train": 367, "val": 101, "test": 233}
CAMVID_DRIVES = {"0001TP", "0006R0", "0016E5", "Seq05VD"}
CITYSCAPES_VAL, CITYSCAPES_SIZE = 500, SensorSize(1024, 2048)


def published_data(data: Path, *, classes: Sequence[str]) -> str:
    """Return the data set with published results that a folder contains completely, or ``""``.

    Parameters
    ----------
    data : Path
        A data set, or an image folder.
    classes : sequence of str
        Names of the classes that were learnt.
    """
    if (data / MANIFEST).is_file():
        manifest = Manifest.read(data / MANIFEST)
        same = (
            manifest.settings.anchor.kind == "evsegnet"
            and {entry.name for entry in manifest.recordings} == set(EVSEGNET_ROWS)
            and tuple(classes) == load_class_table("evsegnet6").names
        )
        return DDD17 if same else ""
    if not data.is_dir():
        return ""
    try:
        folder = open_folder(data)
    except DatasetError:  # it was trained on once and is damaged now
        return ""
    if folder is None or tuple(classes) != folder.classes.names:
        return ""
    return _images(folder)


def _images(folder: Folder) -> str:
    samples, table = Counter(folder.published_splits), folder.classes.name
    if table == "camvid11" and samples == CAMVID_SAMPLES:
        return CAMVID if set(folder.sequences) == CAMVID_DRIVES else ""
    whole = samples["val"] == CITYSCAPES_VAL and folder.size == CITYSCAPES_SIZE
    return CITYSCAPES if table == "cityscapes19" and whole else ""
