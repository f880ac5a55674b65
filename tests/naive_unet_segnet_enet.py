"""U-Net, SegNet and ENet layer by layer, with the tensor names of published checkpoints.

Written from the published descriptions, with functions of torch only; what is tested has no part
in it.
"""

import torch
from torch import Tensor
from torch.nn import functional as f


class Weights:
    """Random tensors by name, made when a layer first asks for them."""

    def __init__(self, seed: int = 0) -> None:
        self.state: dict[str, Tensor] = {}
        self.random = torch.Generator().manual_seed(seed)

    def tensor(self, name: str, *shape: int, spread: float = 0.3, centre: float = 0.0) -> Tensor:
        if name not in self.state:
            self.state[name] = centre + spread * torch.randn(shape, generator=self.random)
        return self.state[name]

    def conv(self, x, name, filters, kernel, *, bias=False, **options):
        height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        shape = (filters, x.shape[1], height, width)
        weight = self.tensor(f"{name}.weight", *shape, spread=(shape[1] * height * width) ** -0.5)
        return f.conv2d(
            x, weight, self.tensor(f"{name}.bias", filters) if bias else None, **options
        )

    def transposed(self, x, name, filters, kernel, *, bias=False, **options):
        shape = (x.shape[1], filters, kernel, kernel)
        weight = self.tensor(f"{name}.weight", *shape, spread=x.shape[1] ** -0.5)
        return f.conv_transpose2d(
            x, weight, self.tensor(f"{name}.bias", filters) if bias else None, stride=2, **options
        )

    def norm(self, x, name, eps=1e-5):
        channels = x.shape[1]
        weight = self.tensor(f"{name}.weight", channels, centre=1)
        bias = self.tensor(f"{name}.bias", channels)
        mean = self.tensor(f"{name}.running_mean", channels)
        variance = self.tensor(f"{name}.running_var", channels, spread=0.1, centre=1)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)
        return f.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    def prelu(self, x, name, slopes=1):
        return f.prelu(x, self.tensor(f"{name}.weight", slopes))


def unet(w: Weights, x: Tensor, classes: int, *, base: int, bilinear: bool) -> Tensor:
    """milesial/Pytorch-UNet; bilinear at multiples of 16 only."""

    def double(x, name, between, out):
        x = f.relu(
            w.norm(
                w.conv(x, f"{name}.double_conv.0", between, 3, padding=1), f"{name}.double_conv.1"
            )
        )
        return f.relu(
            w.norm(w.conv(x, f"{name}.double_conv.3", out, 3, padding=1), f"{name}.double_conv.4")
        )

    widths = [base, 2 * base, 4 * base, 8 * base, (8 if bilinear else 16) * base]
    maps = [double(x, "inc", base, base)]
    for n in range(1, 5):
        pooled = f.max_pool2d(maps[-1], 2)
        maps.append(double(pooled, f"down{n}.maxpool_conv.1", widths[n], widths[n]))
    x = maps.pop()
    for n in range(1, 5):
        skip = maps.pop()
        if bilinear:
            x = f.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            out = skip.shape[1] // 2 if n < 4 else base
        else:
            x = w.transposed(x, f"up{n}.up", skip.shape[1], 2, bias=True)
            down, right = skip.shape[2] - x.shape[2], skip.shape[3] - x.shape[3]
            x = f.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
            out = skip.shape[1]
        x = double(torch.cat([skip, x], 1), f"up{n}.conv", skip.shape[1], out)
    return w.conv(x, "outc.conv", classes, 1, bias=True)


def segnet(w: Weights, x: Tensor, classes: int) -> Tensor:
    """meetshah1995/pytorch-semseg: every convolution with batch norm and ReLU."""

    def unit(x, name, out):
        x = w.conv(x, f"{name}.cbr_unit.0", out, 3, padding=1, bias=True)
        return f.relu(w.norm(x, f"{name}.cbr_unit.1"))

    pooled = []
    for n, (width, depth) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], 1):
        for k in range(1, depth + 1):
            x = unit(x, f"down{n}.conv{k}", width)
        size = x.shape
        x, indices = f.max_pool2d(x, 2, return_indices=True)
        pooled.append((indices, size))
    plan = {
        5: (512, 512, 512),
        4: (512, 512, 256),
        3: (256, 256, 128),
        2: (128, 64),
        1: (64, classes),
    }
    for n, widths in plan.items():
        indices, size = pooled.pop()
        x = f.max_unpool2d(x, indices, 2, output_size=size)
        for k, width in enumerate(widths, 1):
            x = unit(x, f"up{n}.conv{k}", width)
    return x


def enet_port(w: Weights, x: Tensor, classes: int) -> Tensor:
    """davidtvs/PyTorch-ENet: inner width a quarter of the input's, one slope a PReLU."""

    def unit(x, name, out, kernel, act, **options):
        x = w.norm(w.conv(x, f"{name}.0", out, kernel, **options), f"{name}.1")
        return act(x, f"{name}.2")

    def relu(x, name):
        return f.relu(x)

    def regular(x, name, act=w.prelu, dilation=1, asymmetric=False):
        inner = x.shape[1] // 4
        y = unit(x, f"{name}.ext_conv1", inner, 1, act)
        if asymmetric:
            y = unit(y, f"{name}.ext_conv2", inner, (5, 1), act, padding=(2, 0))
            y = w.norm(
                w.conv(y, f"{name}.ext_conv2.3", inner, (1, 5), padding=(0, 2)),
                f"{name}.ext_conv2.4",
            )
            y = act(y, f"{name}.ext_conv2.5")
        else:
            y = unit(y, f"{name}.ext_conv2", inner, 3, act, padding=dilation, dilation=dilation)
        return act(x + unit(y, f"{name}.ext_conv3", x.shape[1], 1, act), f"{name}.out_activation")

    def down(x, name, out):
        inner = x.shape[1] // 4
        pooled, indices = f.max_pool2d(x, 2, return_indices=True)
        y = unit(x, f"{name}.ext_conv1", inner, 2, w.prelu, stride=2)
        y = unit(y, f"{name}.ext_conv2", inner, 3, w.prelu, padding=1)
        y = unit(y, f"{name}.ext_conv3", out, 1, w.prelu)
        zeros = torch.zeros(len(x), out - x.shape[1], *pooled.shape[2:])
        return w.prelu(y + torch.cat([pooled, zeros], 1), f"{name}.out_activation"), indices

    def up(x, name, out, indices, like):
        inner = x.shape[1] // 4
        main = w.norm(w.conv(x, f"{name}.main_conv1.0", out, 1), f"{name}.main_conv1.1")
        main = f.max_unpool2d(main, indices, 2, output_size=like.shape[2:])
        y = unit(x, f"{name}.ext_conv1", inner, 1, relu)
        extra = [like.shape[i] - 2 * x.shape[i] for i in (2, 3)]
        y = w.transposed(y, f"{name}.ext_tconv1", inner, 2, output_padding=extra)
        y = f.relu(w.norm(y, f"{name}.ext_tconv1_bnorm"))
        y = w.norm(w.conv(y, f"{name}.ext_conv2.0", out, 1), f"{name}.ext_conv2.1")
        return f.relu(main + y)

    filtered = w.conv(x, "initial_block.main_branch", 13, 3, stride=2, padding=1)
    at_half = torch.cat([filtered, f.max_pool2d(x, 3, stride=2, padding=1)], 1)
    at_half = w.prelu(w.norm(at_half, "initial_block.batch_norm"), "initial_block.out_activation")
    y, indices1 = down(at_half, "downsample1_0", 64)
    for name in ("regular1_1", "regular1_2", "regular1_3", "regular1_4"):
        y = regular(y, name)
    at_quarter = y
    y, indices2 = down(y, "downsample2_0", 128)
    kinds = ("regular", "dilated", "asymmetric", "dilated") * 2
    for stage, first in ((2, 1), (3, 0)):
        dilations = iter((2, 4, 8, 16))
        for n, kind in enumerate(kinds, first):
            dilation = next(dilations) if kind == "dilated" else 1
            name = f"{kind}{stage}_{n}"
            y = regular(y, name, dilation=dilation, asymmetric=kind == "asymmetric")
    y = up(y, "upsample4_0", 64, indices2, at_quarter)
    y = regular(regular(y, "regular4_1", relu), "regular4_2", relu)
    y = regular(up(y, "upsample5_0", 16, indices1, at_half), "regular5_1", relu)
    extra = [x.shape[i] - (2 * y.shape[i] - 1) for i in (2, 3)]
    return w.transposed(y, "transposed_conv", classes, 3, padding=1, output_padding=extra)


def enet_lua(w: Weights, x: Tensor, classes: int) -> Tensor:
    """e-lab/ENet-training, which never names a tensor: here by our names. Multiples of 8 only."""

    def norm(x, name):
        return w.norm(x, name, eps=1e-3)

    def prelu(x, name):
        return w.prelu(x, name, slopes=x.shape[1])

    def relu(x, name):
        return f.relu(x)

    def inside(x, name, out, act, *, stride=1, kind="3", upsample=False):
        inner = out // 4
        y = act(
            norm(w.conv(x, f"{name}.reduce.0", inner, stride, stride=stride), f"{name}.reduce.1"),
            f"{name}.reduce.2",
        )
        if upsample:
            y = w.transposed(y, f"{name}.enlarge", inner, 3, bias=True, padding=1, output_padding=1)
            y = act(norm(y, f"{name}.middle.0"), f"{name}.middle.1")
        elif kind == "5":
            y = w.conv(y, f"{name}.middle.0", inner, (1, 5), padding=(0, 2))
            y = w.conv(y, f"{name}.middle.1", inner, (5, 1), padding=(2, 0), bias=True)
            y = act(norm(y, f"{name}.middle.2"), f"{name}.middle.3")
        else:
            dilation = int(kind.removeprefix("d")) if kind != "3" else 1
            y = w.conv(
                y, f"{name}.middle.0", inner, 3, padding=dilation, dilation=dilation, bias=True
            )
            y = act(norm(y, f"{name}.middle.1"), f"{name}.middle.2")
        return norm(w.conv(y, f"{name}.expand.0", out, 1), f"{name}.expand.1")

    def keep(x, name, act, kind="3"):
        return act(x + inside(x, name, x.shape[1], act, kind=kind), f"{name}.activation")

    def down(x, name, out):
        pooled, indices = f.max_pool2d(x, 2, return_indices=True)
        zeros = torch.zeros(len(x), out - x.shape[1], *pooled.shape[2:])
        y = torch.cat([pooled, zeros], 1) + inside(x, name, out, prelu, stride=2)
        return prelu(y, f"{name}.activation"), indices

    def up(x, name, out, indices):
        main = norm(w.conv(x, f"{name}.shortcut.0", out, 1), f"{name}.shortcut.1")
        return f.relu(f.max_unpool2d(main, indices, 2) + inside(x, name, out, relu, upsample=True))

    filtered = w.conv(x, "stem.convolution", 16 - x.shape[1], 3, stride=2, padding=1, bias=True)
    y = torch.cat([filtered, f.max_pool2d(x, 2)], 1)
    y, indices1 = down(prelu(norm(y, "stem.norm"), "stem.activation"), "down1", 64)
    for n in range(4):
        y = keep(y, f"stage1.{n}", prelu)
    y, indices2 = down(y, "down2", 128)
    for stage in ("stage2", "stage3"):
        for n, kind in enumerate(("3", "d2", "5", "d4", "3", "d8", "5", "d16")):
            y = keep(y, f"{stage}.{n}", prelu, kind)
    y = up(y, "up4", 64, indices2)
    y = keep(keep(y, "stage4.0", relu), "stage4.1", relu)
    y = keep(up(y, "up5", 16, indices1), "stage5.0", relu)
    return w.transposed(y, "logits", classes, 2, bias=True)
