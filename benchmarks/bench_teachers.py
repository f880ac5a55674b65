"""Teachers on a CPU: processor seconds a frame and labels, as earlier releases computed and now.

    uv run python benchmarks/bench_teachers.py --camvid shared/data/camvid --cgnet CHECKPOINT
    uv run python benchmarks/bench_teachers.py ... --frames 2 --rounds 1    # a minute

One thread; processor time, the least of the rounds, in which competitors take turns. Frames are
gray pictures of CamVid's test part, of 346x260 as a DAVIS346 has them and of 480x360.

CGNet has its published weights. For SegFormer-B0 and PSPNet-101 no trained weights were at hand:
PSPNet's are random and timed alone. SegFormer's trunk is random and its classifier is fitted to
CamVid by least squares, so that label maps look like streets, with closer decisions than a trained
network has: the share of labels that change is more than one of trained weights. The model
library's own pipeline gets the same view.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from paired import machine, save
from PIL import Image
from torch.nn import functional

from eventseg.events import SensorSize
from eventseg.labels.maps import load_class_table, merge_of
from eventseg.metrics.confusion import confusion_matrix
from eventseg.networks import build_network
from eventseg.networks.inputs import IMAGENET
from eventseg.pseudolabel.arithmetic import with_arithmetic
from eventseg.pseudolabel.huggingface import load_huggingface
from eventseg.pseudolabel.loading import load_teacher
from eventseg.pseudolabel.network_teacher import NetworkTeacher
from eventseg.pseudolabel.segformer_head import trunk_levels
from eventseg.pseudolabel.settings import Arithmetic, TestTimeAugmentation
from eventseg.pseudolabel.teacher import Teacher, scaled
from eventseg.pseudolabel.test_time import resized, to_pictures
from eventseg.pseudolabel.views import plan_views
from eventseg.pseudolabel.voting import TeacherVote, predict_labels

CPU = torch.device("cpu")
DAVIS, CAMVID = SensorSize(260, 346), SensorSize(360, 480)
SIX = load_class_table("evsegnet6")
CAMVID11, CITYSCAPES = load_class_table("camvid11"), load_class_table("cityscapes19")
SAME_CLASS = {
    "sky": "sky", "building": "building", "pole": "pole", "road": "road", "pavement": "sidewalk",
    "tree": "vegetation", "sign": "traffic sign", "fence": "fence", "car": "car",
    "pedestrian": "person", "bicyclist": "rider",
}  # fmt: skip
"""Class of Cityscapes for each of CamVid."""

RIDGE = 1e-3
Frames = NDArray[np.uint8]


def frames_of(camvid: Path, count: int, *, part: str = "test") -> tuple[Frames, Frames]:
    """Return gray frames of 480x360 and their truth in CamVid's classes, 255 for none."""
    pictures = sorted((camvid / part).iterdir())
    chosen = pictures[:: max(1, len(pictures) // count)][:count]
    gray = np.stack([np.asarray(Image.open(path).convert("L")) for path in chosen])
    truth = [Image.open(camvid / f"{part}annot" / f"{path.stem}.png") for path in chosen]
    labels = np.stack([np.asarray(each) for each in truth])
    return gray, np.where(labels < len(CAMVID11), labels, 255).astype(np.uint8)


def at_size(frames: Frames, size: SensorSize, *, labels: bool = False) -> Frames:
    kind = Image.Resampling.NEAREST if labels else Image.Resampling.BILINEAR
    shape = (size.width, size.height)
    return np.stack([np.asarray(Image.fromarray(each).resize(shape, kind)) for each in frames])


def segformer(folder: Path, camvid: Path) -> Teacher:
    """Return SegFormer-B0 with a random trunk and a classifier fitted to two frames of CamVid."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    torch.manual_seed(0)
    config = SegformerConfig(
        hidden_sizes=[32, 64, 160, 256],
        id2label=dict(enumerate(CITYSCAPES.names)),
        label2id={name: i for i, name in enumerate(CITYSCAPES.names)},
    )
    model = SegformerForSemanticSegmentation(config).eval()
    frames, truth = frames_of(camvid, 2, part="train")
    becomes = np.full(256, 255, np.uint8)
    for i, name in enumerate(CAMVID11.names):
        becomes[i] = CITYSCAPES.names.index(SAME_CLASS[name])
    with torch.inference_mode():
        pictures = resized(to_pictures(at_size(frames, DAVIS), device=CPU), (512, 704))
        levels = trunk_levels(model, scaled(pictures, IMAGENET, channels=3))
        kept: list[torch.Tensor] = []
        hook = model.decode_head.classifier.register_forward_pre_hook(
            lambda _module, inputs: kept.append(inputs[0])
        )
        model.decode_head(levels)
        hook.remove()
        features = kept[0].permute(0, 2, 3, 1)
        shown = at_size(becomes[truth], SensorSize(*features.shape[1:3]), labels=True)
        known = torch.from_numpy(shown.astype(np.int64)).flatten()
        x = features.reshape(-1, features.shape[3])[known < 255].double()
        mean, spread = x.mean(0), x.std(0) + 1e-9
        x = torch.cat([(x - mean) / spread, torch.ones(len(x), 1)], 1)
        y = 10 * functional.one_hot(known[known < 255], len(CITYSCAPES)).double()
        gram = x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1])
        solved = torch.linalg.solve(gram, x.T @ y)
        weight = (solved[:-1] / spread[:, None]).T
        model.decode_head.classifier.weight.copy_(weight.float()[:, :, None, None])
        model.decode_head.classifier.bias.copy_((solved[-1] - weight @ mean).float())
    model.save_pretrained(folder)
    return load_huggingface(str(folder), device=CPU)


def librarys_own(folder: Path, size: tuple[int, int]) -> Callable[[Frames], object]:
    """Return the pipeline of ``transformers``: processor, model, post-processing."""
    from transformers import AutoModelForSemanticSegmentation, SegformerImageProcessor

    processor = SegformerImageProcessor(size={"height": size[0], "width": size[1]})
    model = AutoModelForSemanticSegmentation.from_pretrained(folder).eval()

    @torch.inference_mode()
    def run(frames: Frames) -> object:
        rgb = [np.repeat(each[:, :, None], 3, 2) for each in frames]
        output = model(**processor(rgb, return_tensors="pt"))
        sizes = [each.shape for each in frames]
        return processor.post_process_semantic_segmentation(output, target_sizes=sizes)

    return run


def labels_by(
    teacher: Teacher, arithmetic: Arithmetic, views: TestTimeAugmentation
) -> Callable[[Frames], Frames]:
    """Return the labelling of frames, one at a time."""
    (ready,), _ = with_arithmetic((teacher,), arithmetic)
    vote = TeacherVote(ready, merge_of(teacher.classes, SIX))

    def run(frames: Frames) -> Frames:
        made = [
            predict_labels([vote], frame[None], classes=len(SIX), test_time=views).labels
            for frame in frames
        ]
        return np.concatenate(made)

    return run


def processor_seconds(
    runs: dict[str, Callable[[Frames], object]], frame: Frames, *, rounds: int
) -> dict[str, float]:
    """Return the least processor time of each run on one frame; one round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            begin = time.process_time()
            run(frame)
            if turn:
                seconds[name].append(time.process_time() - begin)
    return {name: round(min(each), 4) for name, each in seconds.items()}


def miou(truth: Frames, made: Frames) -> float:
    known = (truth < 255) & (made < 255)
    table = confusion_matrix(truth[known], made[known], classes=len(SIX))
    union = table.sum(0) + table.sum(1) - np.diag(table)
    return round(100 * float(np.mean(np.diag(table)[union > 0] / union[union > 0])), 2)


def compared(
    teacher: Teacher, size: SensorSize, frames: Frames, truth: Frames | None, *, rounds: int
) -> dict[str, object]:
    """Return seconds and labels of the earlier default and of the faster ones."""
    before = plan_views([teacher], size, test_time=TestTimeAugmentation()).test_time
    now = plan_views(
        [teacher], size, test_time=TestTimeAugmentation(), arithmetic="float32"
    ).test_time
    all_scales = plan_views(
        [teacher], size, test_time=TestTimeAugmentation(), needs_agreement=True
    ).test_time.chosen_scales
    largest = TestTimeAugmentation(all_scales[-1:], flip=False)
    runs = {
        "exact, the views of before": labels_by(teacher, "exact", before),
        "exact, one view": labels_by(teacher, "exact", now),
        "float32, one view": labels_by(teacher, "float32", now),
        "bfloat16, one view": labels_by(teacher, "bfloat16", now),
    }
    if truth is not None:
        runs["float32, one view of the largest scale"] = labels_by(teacher, "float32", largest)
    seconds = processor_seconds(runs, frames[:1], rounds=rounds)
    made = {name: run(frames) for name, run in runs.items()}
    first = made["exact, the views of before"]
    rows: dict[str, object] = {}
    for name, labels in made.items():
        rows[name] = {
            "cpu_s_a_frame": seconds[name],
            "times_faster": round(seconds["exact, the views of before"] / seconds[name], 2),
            "changed_percent": round(100 * float((labels != first).mean()), 3),
            "miou_against_before": miou(first, labels),
            "changed_by_arithmetic_percent": round(
                100 * float((labels != made["exact, one view"]).mean()), 3
            ),
            **({} if truth is None else {"miou_against_truth": miou(truth, labels)}),
        }
    return {"frame": str(size), "before": str(before), "now": str(now), "frames": len(frames),
            "rows": rows}  # fmt: skip


def pspnet(frame: Frames, *, rounds: int) -> dict[str, object]:
    """Return the seconds of PSPNet-101 with random weights, one view at the frame's own size."""
    network = build_network("pspnet101", in_channels=3, classes=19).eval()
    teacher = NetworkTeacher("pspnet101", "", CITYSCAPES, "none", CPU, IMAGENET, _network=network)
    views = TestTimeAugmentation((1.0,), flip=False)
    names: Sequence[Arithmetic] = ("exact", "float32", "bfloat16")
    runs = {name: labels_by(teacher, name, views) for name in names}
    seconds = processor_seconds(runs, frame, rounds=rounds)
    return {
        name: {"cpu_s_a_frame": each, "times_faster": round(seconds["exact"] / each, 2)}
        for name, each in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--camvid", type=Path, required=True, help="folder with test and testannot")
    parser.add_argument("--cgnet", type=Path, required=True, help="CGNet's weights of CamVid")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--save", metavar="NAME", help="write benchmarks/results/NAME.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, object] = {
        "machine": machine(),
        "time": "processor time of one thread, least of the rounds, competitors in turn; the "
        "machine was busy",
        "weights": "CGNet: published; SegFormer-B0: random trunk, classifier fitted to CamVid; "
        "PSPNet-101: random",
    }
    frames, truth = frames_of(options.camvid, options.frames)
    six = np.array([*merge_of(CAMVID11, SIX)], np.uint8)
    truth = np.where(truth < 255, six[np.minimum(truth, len(six) - 1)], 255).astype(np.uint8)
    davis, davis_truth = at_size(frames, DAVIS), at_size(truth, DAVIS, labels=True)
    cgnet = load_teacher(f"cgnet:{options.cgnet}", device=CPU, class_table=CAMVID11)
    for name, size, pictures, labels in (
        ("cgnet, 346x260", DAVIS, davis, davis_truth),
        ("cgnet, 480x360", CAMVID, frames, truth),
    ):
        found[name] = compared(cgnet, size, pictures, labels, rounds=options.rounds)
        print(name, json.dumps(found[name], indent=1), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        teacher = segformer(Path(folder), options.camvid)
        name = "segformer-b0, 346x260"
        result = compared(teacher, DAVIS, davis[:2], None, rounds=options.rounds)
        view = plan_views(
            [teacher], DAVIS, test_time=TestTimeAugmentation(), arithmetic="float32"
        ).test_time.chosen_scales[0]
        shown = tuple(round(side * view / 32) * 32 for side in DAVIS)
        own = librarys_own(Path(folder), (shown[0], shown[1]))
        result["the library's own pipeline, same view, cpu_s_a_frame"] = processor_seconds(
            {"own": own}, davis[:1], rounds=options.rounds
        )["own"]
        found[name] = result
        print(name, json.dumps(result, indent=1), flush=True)
    found["pspnet101, 346x260, one view at its own size"] = pspnet(davis[:1], rounds=1)
    print(json.dumps(found["pspnet101, 346x260, one view at its own size"], indent=1))
    if options.save:
        save(options.save, found)


if __name__ == "__main__":
    main()
