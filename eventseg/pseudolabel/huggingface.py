"""Teachers from Hugging Face: an id of its hub or a local folder, read by ``transformers``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from eventseg.errors import CheckpointError, MissingExtraError
from eventseg.files.texts import read_text
from eventseg.labels.known_classes import table_by_names
from eventseg.labels.maps import ClassTable
from eventseg.networks.inputs import IMAGENET, Scaling
from eventseg.networks.memory_format import channels_last_copy
from eventseg.pseudolabel.licences import UNKNOWN, known_licence, licence_in_card
from eventseg.pseudolabel.mask_classification import normalised, query_scores, windowed
from eventseg.pseudolabel.segformer_head import folded_head, trunk_levels
from eventseg.pseudolabel.teacher import TeacherSource, scaled, weights_digest

SEMANTIC = ("segformer", "upernet", "mobilenet_v2")
MASKS = ("maskformer", "mask2former", "oneformer", "eomt")
"""Model types that give logits of pixels, and those that give classes and masks of queries."""

WINDOWED = ("eomt",)
"""Model types that take squares of one size only."""

TASK = "the task is semantic"
"""Task that OneFormer gets as text."""

MULTIPLE = 32
"""All trunks shrink their input by 32 at most."""

WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Names of files with weights, or with the list of such files."""

HUB_TIMEOUT_S = 5.0
"""Seconds that the hub has for its first answer."""

SHOWN = 4
"""Names that an error shows."""


@dataclass(frozen=True, eq=False, slots=True)
class HuggingFaceTeacher:
    """A network of ``transformers``, with our own scaling and post-processing.

    Parameters
    ----------
    name, digest, classes, licence, device, multiple
        As :class:`eventseg.pseudolabel.teacher.Teacher` says.
    scaling : Scaling
        Scaling of pictures that the network was trained with.
    semantic : bool
        Whether it gives logits of pixels, else classes and masks of queries.
    window : int, optional
        Side of the only squares it takes.
    task : int64 (1, L), optional
        Tokens of OneFormer's task.
    source : TeacherSource, optional
        Arguments that it was loaded with.
    """

    name: str
    digest: str
    classes: ClassTable
    licence: str
    device: torch.device
    scaling: Scaling
    semantic: bool
    window: int | None = None
    task: Tensor | None = None
    multiple: int = MULTIPLE
    source: TeacherSource | None = None
    _model: nn.Module = field(kw_only=True, repr=False)

    @property
    def fixed_input(self) -> bool:
        """Whether pictures are resized to squares of one size."""
        return self.window is not None

    def probabilities(self, pictures: Tensor) -> Tensor:
        """Return class probabilities (N, C, H, W) of RGB pictures (N, 3, H, W), 0 to 255."""
        x = scaled(pictures, self.scaling, channels=3)
        if self.window is not None:
            return normalised(windowed(self._scores, x, side=self.window))
        if self.semantic:
            return _resized(self._model(pixel_values=x).logits, x).softmax(1)
        return normalised(_resized(self._scores(x), x))

    def fast_scores(self, bfloat16: bool) -> Callable[[Tensor], Tensor] | None:
        """Return a function from pictures to class scores at any size; None for masks of queries.

        Parameters
        ----------
        bfloat16 : bool
            Whether products are of numbers that are rounded to bfloat16.
        """
        if not self.semantic:
            return None
        with torch.inference_mode():
            head = folded_head(self._model)
        # SegFormer's tokens are pixels with channels last: in another format each of its
        # convolutions costs two copies. Networks of convolutions gain in bfloat16 alone.
        last = bfloat16 or head is not None
        model = channels_last_copy(self._model) if last else self._model

        def scores(pictures: Tensor) -> Tensor:
            x = scaled(pictures, self.scaling, channels=3)
            if last:
                x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
                if head is None:
                    logits: Tensor = model(pixel_values=x).logits
                else:
                    logits = head(trunk_levels(model, x))
            return logits.float()

        return scores

    def _scores(self, x: Tensor) -> Tensor:
        task = {} if self.task is None else {"task_inputs": self.task.expand(len(x), -1)}
        output = self._model(pixel_values=x, **task)
        return query_scores(output.class_queries_logits, output.masks_queries_logits)


def load_huggingface(
    source: str, *, device: torch.device, class_table: ClassTable | None = None
) -> HuggingFaceTeacher:
    """Load a teacher by its id on the hub, or from a local folder without any download.

    An id that the hub's cache holds is taken from there, without a question to the hub.

    Parameters
    ----------
    source : str
        An id such as ``nvidia/segformer-b0-finetuned-cityscapes-1024-1024``, or a folder with
        ``config.json`` and the weights.
    device : torch.device
    class_table : ClassTable, optional
        Classes of the teacher, where its own class names are of no known table.

    Raises
    ------
    MissingExtraError
        ``transformers`` is not installed.
    CheckpointError
        Nothing there, weights that do not fill the network, or a type of model that is not
        known.
    LabelError
        Its classes are of no known table.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError(
            "teachers from Hugging Face need the extra hf: uv sync --extra hf, or pass "
            "--teacher pspnet101:PATH with a checkpoint you have"
        ) from error
    folder = Path(source).is_dir()
    name = f"hf:{Path(source).resolve().name if folder else source}"
    with _as_our_error(source, folder=folder), _quiet(transformers):
        local = folder or _is_cached(source)
        if not local:
            _check_hub(source)
        config = transformers.AutoConfig.from_pretrained(source, local_files_only=local)
        kind = config.model_type
        if kind not in SEMANTIC + MASKS:
            raise CheckpointError(
                f"teacher {source} is a {kind}, allowed are {', '.join(SEMANTIC + MASKS)}"
            )
        names = [str(config.id2label[i]) for i in range(len(config.id2label))]
        classes = table_by_names(names, teacher=name, class_table=class_table)
        loader = (
            transformers.AutoModelForSemanticSegmentation
            if kind in SEMANTIC
            else transformers.AutoModelForUniversalSegmentation
        )
        model, report = loader.from_pretrained(
            source, config=config, local_files_only=local, output_loading_info=True
        )
        _refuse_partly_loaded(source, report)
        scaling = _scaling(transformers, source, local=local)
        task = _task(transformers, source, config, local=local) if kind == "oneformer" else None
        licence = _licence(source, folder=folder, local=local)
    model = model.float().eval()
    facts = {"model": kind, "scaling": [scaling.top, *scaling.mean, *scaling.std, scaling.order]}
    digest = weights_digest(model.state_dict(), facts=facts)
    return HuggingFaceTeacher(
        name,
        digest,
        classes,
        licence,
        device,
        scaling,
        semantic=kind in SEMANTIC,
        window=int(config.image_size) if kind in WINDOWED else None,
        task=None if task is None else task.to(device),
        _model=model.to(device),
    )


def _is_cached(source: str) -> bool:
    """Return whether the cache of the hub holds the configuration and the weights of an id."""
    from huggingface_hub import try_to_load_from_cache

    def held(name: str) -> bool:
        return isinstance(try_to_load_from_cache(source, name), str)

    return held("config.json") and any(map(held, WEIGHTS))


def _check_hub(source: str) -> None:
    """Ask the hub for an id, once and briefly: without a network its loaders ask for a minute.

    Raises
    ------
    CheckpointError
        The hub does not answer, or has no such id.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        HfApi().model_info(source, timeout=HUB_TIMEOUT_S)
    except HFValidationError:
        raise
    except HfHubHTTPError as error:
        raise CheckpointError(
            f"cannot load teacher {source}: it is no folder here, and {constants.ENDPOINT} refuses "
            f"it ({_first_line(error)}); check the name, or give a local folder, hf:FOLDER"
        ) from error
    # Which errors a missing network raises depends on the HTTP library.
    except Exception as error:
        raise CheckpointError(
            f"cannot load teacher {source}: it is no folder here and not in the cache "
            f"{constants.HF_HUB_CACHE}, and could not be fetched from the hub "
            f"({_first_line(error)}); connect once, or pass a local folder, hf:FOLDER, or a "
            "checkpoint that you have"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _as_our_error(source: str, *, folder: bool) -> Iterator[None]:
    """Turn errors of ``transformers`` about missing or damaged files into one line."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        if isinstance(error, CheckpointError) or type(error).__module__.startswith("eventseg"):
            raise
        first = _first_line(error)
        hint = (
            "the folder must hold config.json and model.safetensors"
            if folder
            else "it is no folder here, and could not be fetched from the hub; pass a local folder"
        )
        raise CheckpointError(f"cannot load teacher {source}: {first}; {hint}") from error


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Silence bars and hints of ``transformers`` while it loads; errors are still raised."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _refuse_partly_loaded(source: str, report: dict[str, Any]) -> None:
    """Refuse weights that leave a part of the network random."""
    problems = []
    for kind in ("missing_keys", "mismatched_keys"):
        names = sorted(str(x[0] if isinstance(x, tuple) else x) for x in report.get(kind, ()))
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            problems.append(f"{len(names)} {kind[:-5]}: {', '.join(names[:SHOWN])}{more}")
    if problems:
        raise CheckpointError(
            f"the weights of teacher {source} do not fill the network: {'; '.join(problems)}"
        )


def _scaling(transformers: Any, source: str, *, local: bool) -> Scaling:
    """Return the scaling of the image processor beside the weights; ImageNet's without one."""
    try:
        table, _ = transformers.image_processing_utils.BaseImageProcessor.get_image_processor_dict(
            source, local_files_only=local
        )
    except OSError:
        return IMAGENET
    top = 255.0 * float(table.get("rescale_factor", 1 / 255)) if table.get("do_rescale", 1) else 255
    normalise = table.get("do_normalize", True)
    return Scaling(
        float(round(top, 6)),
        tuple(map(float, table.get("image_mean", IMAGENET.mean))) if normalise else (0.0,),
        tuple(map(float, table.get("image_std", IMAGENET.std))) if normalise else (1.0,),
        "bgr" if table.get("do_flip_channel_order", False) else "rgb",
    )


def _task(transformers: Any, source: str, config: Any, *, local: bool) -> Tensor:
    """Return the tokens of OneFormer's task; padding counts as token 0."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=local)
    tokens = tokenizer(
        [TASK], padding="max_length", max_length=int(config.task_seq_len), truncation=True
    )
    return torch.tensor(tokens["input_ids"]) * torch.tensor(tokens["attention_mask"])


def _licence(source: str, *, folder: bool, local: bool) -> str:
    """Return the licence of the weights: known, or stated in the model card."""
    known = known_licence(source)
    if known:
        return known
    card = Path(source) / "README.md" if folder else _fetched_card(source, local=local)
    if card is None or not card.is_file():
        return UNKNOWN
    try:
        return licence_in_card(read_text(card)) or UNKNOWN
    except ValueError:
        return UNKNOWN


def _fetched_card(source: str, *, local: bool) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(source, "README.md", local_files_only=local))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError):
        return None  # a repository without a card, or a cache without one and no network


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[2:], mode="bilinear")
