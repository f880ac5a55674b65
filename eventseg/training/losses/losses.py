"""Losses of logits against labels: five terms, their weighted sum, and auxiliary heads."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from eventseg.files.extensions import is_extension
from eventseg.labels.tables import IGNORED
from eventseg.training.config.optimisation import LossSpec
from eventseg.training.distributed import over_processes, side_by_side, summed_count
from eventseg.training.losses.own import OwnLoss, load_own_loss
from eventseg.training.losses.region_mutual_information import region_mutual_information_loss


def segmentation_loss(
    outputs: Tensor | tuple[Tensor, ...],
    labels: Tensor,
    *,
    spec: LossSpec,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    own: Mapping[str, OwnLoss] | None = None,
    together: bool = False,
) -> Tensor:
    """Return the loss of a network's outputs: the main head plus weighted auxiliary ones.

    Computed in float32 or better, whatever autocast says. A batch of ignored pixels has the loss
    0 and the gradient 0.

    Parameters
    ----------
    outputs : float (N, C, H, W), or a tuple of them
        Logits of the main head, then of auxiliary ones.
    labels : int64 (N, H, W)
        Classes 0 to C - 1; 255 is ignored.
    spec : LossSpec
        The terms and their weights.
    class_weights : float (C,), optional
        For cross entropy, OHEM and focal loss.
    pixel_weights : float (N, H, W), optional
        Such as the confidence of pseudo-labels; for all terms but region mutual information.
    own : mapping of str to OwnLoss, optional
        Losses of a user's own by name, see :func:`own_losses`; by default loaded by this call.
    together : bool
        Whether outputs and labels are the share of this process in a batch of all processes, whose
        loss is returned in each of them: sums over pixels and classes are those of the batch.
        Region mutual information and losses of one's own are means over the images of the batch.

    Returns
    -------
    float ()
    """
    own = own_losses(spec) if own is None else own
    heads = (outputs,) if isinstance(outputs, Tensor) else outputs
    with torch.autocast(heads[0].device.type, enabled=False):
        total = heads[0].new_zeros((), dtype=_precise(heads[0]).dtype)
        for k, logits in enumerate(heads):
            factor = spec.auxiliary_weight if k else 1.0
            if factor == 0:
                continue
            # A softmax over channels that are last copies them, at every term.
            precise = _precise(logits).contiguous()
            for name, weight in spec.terms:
                value = _term(
                    name,
                    precise,
                    labels,
                    spec=spec,
                    own=own,
                    class_weights=class_weights,
                    pixel_weights=pixel_weights,
                    together=together,
                )
                total = total + factor * weight * value
    return total


def own_losses(spec: LossSpec) -> dict[str, OwnLoss]:
    """Load the terms of a loss that are a user's own, by name.

    Raises
    ------
    ExtensionError, TrainingError
        One of them cannot be loaded or is no loss.
    """
    return {name: load_own_loss(name) for name, _ in spec.terms if is_extension(name)}


def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    together: bool = False,
) -> Tensor:
    """Return the weighted mean of ``-ln p(label)`` over the pixels that are not ignored.

    Divided by the sum of the weights, as PyTorch does. Parameters and shapes as
    :func:`segmentation_loss`.
    """
    losses = _losses(logits, labels)
    weights = _weights(losses, labels, class_weights, pixel_weights)
    return _mean(losses, weights, together=together)


def ohem_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    threshold: float = 0.7,
    min_share: float = 0.0625,
    min_kept: int = 0,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    together: bool = False,
) -> Tensor:
    """Return the cross entropy of the hard pixels only: online hard example mining.

    Kept are the pixels whose true class has a probability below `threshold`, and at least the
    least probable ones of the batch (with all that tie with the last of them): `min_kept` of them,
    or a share of its pixels, so that small pictures are not kept entirely.
    Shrivastava et al. 2016, arXiv 1604.03540, in the form that segmentation uses.

    Parameters
    ----------
    threshold : float
        Probability of the true class below which a pixel is hard.
    min_share : float
        Share of the pixels of the batch, ignored ones counted, to keep at least, rounded up.
    min_kept : int
        The same as a number, where so many are not ignored; 0 for the share.
    """
    losses = _losses(logits, labels)
    with torch.no_grad():
        # Ignored pixels sort behind all others; a probability is at most 1.
        probability = torch.where(labels == IGNORED, 2.0, torch.exp(-losses)).flatten()
        count = probability.numel()
        count = summed_count(count, probability.device) if together else count
        kept = min(min_kept, count) if min_kept else math.ceil(min_share * count)
        last = _least(probability, kept, together=together)
        hard = ((probability < threshold) | (probability <= last)).view_as(losses)
    weights = _weights(losses, labels, class_weights, pixel_weights)
    return _mean(losses, weights * hard, together=together)


def focal_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    gamma: float = 2.0,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    together: bool = False,
) -> Tensor:
    """Return the weighted mean of ``-(1 - p)^gamma ln p`` with p = p(label), over the softmax.

    Lin et al. 2017, arXiv 1708.02002, equation 4; ``gamma`` 0 is cross entropy.

    Parameters
    ----------
    gamma : float
        How fast a pixel fades as it becomes sure.
    """
    losses = _losses(logits, labels)
    # 1 - p by expm1: exact for sure pixels, where the power's slope needs a value above 0.
    doubt = (-torch.expm1(-losses)).clamp_min(torch.finfo(losses.dtype).tiny)
    weights = _weights(losses, labels, class_weights, pixel_weights)
    return _mean(doubt**gamma * losses, weights, together=together)


def dice_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    pixel_weights: Tensor | None = None,
    together: bool = False,
) -> Tensor:
    """Return 1 less the soft Dice score, averaged over the classes that the labels show.

    Dice of a class is ``2 sum(p y) / (sum(p) + sum(y))`` with its softmax p and its labels y
    over all pixels of the batch that are not ignored. Milletari et al. 2016, arXiv 1606.04797,
    without the squares. Class weights have no place here: each class counts the same.
    """
    classes = logits.shape[1]
    weights = _weights(logits[:, 0], labels, None, pixel_weights)[:, None]
    probability = logits.softmax(dim=1) * weights
    truth = _one_hot(labels, classes, like=logits)
    sums = torch.stack(
        [_per_class(probability * truth), _per_class(truth * weights), _per_class(probability)]
    )
    shared, of_truth, predicted = over_processes(sums) if together else sums
    # Without its pixels or without any chance of it a class has no overlap: 0 and not 0 / 0.
    tiny = torch.finfo(logits.dtype).tiny
    dice = 2 * shared / (predicted + of_truth).clamp_min(tiny)
    present = (of_truth > 0).to(logits.dtype)
    loss: Tensor = ((1 - dice) * present).sum() / present.sum().clamp_min(1)
    return loss


def _term(
    name: str,
    logits: Tensor,
    labels: Tensor,
    *,
    spec: LossSpec,
    own: Mapping[str, OwnLoss],
    together: bool,
    **weights: Tensor | None,
) -> Tensor:
    """Return one term; `weights` are ``class_weights`` and ``pixel_weights``."""
    if name in own:
        value = own[name](logits, labels, **weights)
        return _mean_of_images(value, len(logits)) if together else value
    if name == "cross_entropy":
        return cross_entropy(logits, labels, together=together, **weights)
    if name == "ohem":
        return ohem_cross_entropy(
            logits,
            labels,
            threshold=spec.ohem_threshold,
            min_share=spec.ohem_min_share,
            min_kept=spec.ohem_min_kept,
            together=together,
            **weights,
        )
    if name == "focal":
        return focal_loss(logits, labels, gamma=spec.focal_gamma, together=together, **weights)
    if name == "dice":
        pixel_weights = weights["pixel_weights"]
        return dice_loss(logits, labels, pixel_weights=pixel_weights, together=together)
    value = region_mutual_information_loss(
        logits, labels, radius=spec.region_radius, pool=spec.region_pool
    )
    return _mean_of_images(value, len(logits)) if together else value


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``-ln p(label)`` of each pixel, 0 where ignored."""
    return functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="none")


def _weights(
    like: Tensor, labels: Tensor, class_weights: Tensor | None, pixel_weights: Tensor | None
) -> Tensor:
    """Return the weight of each pixel, (N, H, W): 0 where ignored."""
    counted = labels != IGNORED
    weights = counted.to(like.dtype)
    if class_weights is not None:
        weights = weights * class_weights.to(like)[labels.where(counted, 0)]
    if pixel_weights is not None:
        weights = weights * pixel_weights.to(like)
    return weights


def _mean(losses: Tensor, weights: Tensor, *, together: bool) -> Tensor:
    sums = torch.stack([(losses * weights).sum(), weights.sum()])
    loss, total = over_processes(sums) if together else sums
    mean: Tensor = loss / total.where(total > 0, 1)
    return mean


def _mean_of_images(value: Tensor, images: int) -> Tensor:
    """Return the mean over the images of all processes of a mean over those of this one."""
    return over_processes(value * images) / summed_count(images, value.device)


def _least(values: Tensor, count: int, *, together: bool) -> Tensor:
    """Return the largest of the least values, so many of this process or of all together."""
    least = values.topk(min(count, len(values)), largest=False).values
    if together:
        padded = functional.pad(least, (0, count - len(least)), value=math.inf)
        least = side_by_side(padded).flatten().topk(count, largest=False).values
    return least[-1]


def _one_hot(labels: Tensor, classes: int, *, like: Tensor) -> Tensor:
    """Return labels as (N, C, H, W) of 0 and 1; ignored pixels get the first class."""
    known = labels.where(labels != IGNORED, 0)[:, None]
    shape = (labels.shape[0], classes, *labels.shape[1:])
    return torch.zeros(shape, dtype=like.dtype, device=like.device).scatter_(1, known, 1)


def _per_class(x: Tensor) -> Tensor:
    return x.sum(dim=(0, 2, 3))


def _precise(logits: Tensor) -> Tensor:
    """Return logits in float32, or in float64 where they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
