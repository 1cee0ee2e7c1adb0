"""How much each place of a row counts for an output: four methods, by Captum, which is loaded when one is asked for.

    gradients               |∂ output / ∂ input|                         Simonyan, Vedaldi, Zisserman (2014)
    integrated-gradients    the gradients' mean on the way from nothing   Sundararajan, Taly, Yan (2017)
                            to the row, times the way; they add up to
                            what the row adds to the output
    occlusion               what is lost when a window is taken away      Zeiler, Fergus (2014)
    grad-cam                the last convolution's maps, each weighed by  Selvaraju et al. (2017)
                            its mean gradient

Grad-CAM is not given for convolutions before a recurrent layer: to that a map's places are different inputs, of which a
mean gradient says nothing; on rows with a known cause its maps were empty or beside it.

The first and the last know no sign: they say where a network looks, not whether it speaks for or against.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import RecipeError
from ..models.recurrence import Recurrent
from ..types import NOUNS
from .inputs import Subject, differentiable
from .values import Method

MOST_POINTS: Final = 512
_UNUSED: Final = tuple(
    f"captum.attr.{name}" for name in ("_core.llm_attr", "_utils.interpretable_input", "_utils.visualization")
)
_FEWEST_POINTS: Final = 16
_WANTED_ERROR: Final = 0.01
_WINDOWS: Final = 8
"""Windows along a side of a picture, if they did not overlap; they do by half."""
_CANCELLED: Final = 0.05
"""Of all contributions, taken as positive: what they cancel to is no measure of them below this share."""
_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Attribution:
    """How much each place of one row counts.

    Attributes:
        values: `(H, W)` of a picture, `(T,)` of a text, `(T, C)` of a recording's bands or a series' channels.
        score, without: as in `Explanation`.
        error: of integrated gradients, as in `Explanation`.
    """

    method: Method
    output: int
    values: NDArray[np.float64]
    score: float
    without: float
    error: float | None = None

    @property
    def by_step(self) -> NDArray[np.float64]:
        """`(T,)`, of sequences: the sum of a step's numbers."""
        return self.values if self.values.ndim == 1 else self.values.sum(axis=1)


def methods_for(subject: Subject) -> tuple[Method, ...]:
    """Those that this network and kind of row allow, the most telling first."""
    methods: list[Method] = []
    if subject.parts:
        methods.append("integrated-gradients")
    methods.append("occlusion")
    if subject.kind != "text" and _last_convolutions(subject):
        methods.append("grad-cam")
    if subject.parts:
        methods.append("gradients")
    return tuple(methods)


def attribute(subject: Subject, output: int, method: Method, *, most_points: int = MOST_POINTS) -> Attribution:
    """How much each place counts for this output.

    Args:
        subject: the row.
        output: its number.
        method: by which.
        most_points: of integrated gradients, at which gradients are taken, if fewer don't add up within 1 %.

    Raises:
        RecipeError: the network has not what the method goes by.
    """
    able = methods_for(subject)
    if method not in able:
        lacks = (
            "a convolution with no recurrent layer behind it" if method == "grad-cam" else "an embedding of the tokens"
        )
        raise RecipeError(
            f"the method {method!r} needs {lacks}, and this network of {NOUNS[subject.kind][1]} has none",
            remedy=f"Give --method {' or '.join(able)}.",
        )
    with torch.no_grad():
        score = float(subject.score(subject.outputs(subject.whole), output))
        without = float(subject.score(subject.outputs(subject.nothing), output))
    error = None
    with differentiable():
        if method == "integrated-gradients":
            values, error = _integrated(subject, output, score - without, most_points)
        elif method == "gradients":
            values = _gradients(subject, output)
        elif method == "occlusion":
            values = _occluded(subject, output)
        else:
            values = _grad_cam(subject, output)
    found = values.detach().double().nan_to_num().cpu().numpy()
    kept = found if not subject.length else found[: subject.length]
    return Attribution(method, output, kept, score, without, error)


@cache
def _captum() -> Any:
    """Captum's methods, without what plots them or explains language models: that would bring matplotlib along, half a
    second, and folders in the user's home. Whoever imports Captum has all of it.
    """
    if "captum.attr" in sys.modules:
        return sys.modules["captum.attr"]
    for name in _UNUSED:
        empty = ModuleType(name)
        empty.__getattr__ = lambda _: None  # type: ignore[method-assign]
        sys.modules[name] = empty
    try:
        return importlib.import_module("captum.attr")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "captum"]:
            del sys.modules[name]


def _scored(subject: Subject, output: int) -> Any:
    def forward(*parts: Tensor) -> Tensor:
        return subject.score(subject.forward(*parts), output)

    return forward


def _gradients(subject: Subject, output: int) -> Tensor:
    found = _captum().Saliency(_scored(subject, output)).attribute(_leaves(subject.parts), abs=True)
    return _by_place(subject, found)


def _integrated(subject: Subject, output: int, difference: float, most_points: int) -> tuple[Tensor, float]:
    """By Gauss–Legendre quadrature over stretches of the way; the one that misses most is halved until all adds up.

    The way of a recurrent network may rise within a thousandth of it, which even hundreds of even points don't see.
    """
    method = _captum().IntegratedGradients(_scored(subject, output))
    scores: dict[float, float] = {}

    def place(share: float) -> tuple[Tensor, ...]:
        pairs = zip(subject.without, subject.parts, strict=True)
        return tuple(torch.lerp(base.detach(), part.detach(), share).requires_grad_() for base, part in pairs)

    def score(share: float) -> float:
        if share not in scores:
            with torch.no_grad():
                scores[share] = float(_scored(subject, output)(*place(share)))
        return scores[share]

    def stretch(start: float, end: float) -> tuple[float, float, float, Tensor]:
        batch = max(2, subject.rows_at_once)
        found = method.attribute(place(end), place(start), n_steps=_FEWEST_POINTS, internal_batch_size=batch)
        values = _by_place(subject, tuple(part.detach().nan_to_num() for part in found)).double()
        return abs(float(values.sum()) - (score(end) - score(start))), start, end, values

    def missed(values: Tensor, by: float) -> float:
        return by / max(abs(difference), _CANCELLED * float(values.abs().sum()), _TINY)

    stretches, points = [stretch(0.0, 1.0)], _FEWEST_POINTS
    values = stretches[0][3]
    while (
        points + 2 * _FEWEST_POINTS <= most_points and missed(values, sum(one[0] for one in stretches)) > _WANTED_ERROR
    ):
        worst = max(stretches, key=lambda one: one[0])
        stretches = [one for one in stretches if one is not worst]
        middle = (worst[1] + worst[2]) / 2
        stretches += [stretch(worst[1], middle), stretch(middle, worst[2])]
        points += 2 * _FEWEST_POINTS
        values = torch.stack([one[3] for one in stretches]).sum(dim=0)
    return values, missed(values, abs(float(values.sum()) - difference))


def _occluded(subject: Subject, output: int) -> Tensor:
    if subject.kind == "text":
        return _ablated(subject, output)
    (row,) = subject.parts
    window, stride = _window(subject)
    found: Tensor = (
        _captum()
        .Occlusion(_scored(subject, output))
        .attribute(
            row.detach(),
            sliding_window_shapes=window,
            strides=stride,
            baselines=0,
            perturbations_per_eval=subject.rows_at_once,
        )
    )
    return _by_place(subject, (found,))


def _window(subject: Subject) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of a picture a square of all channels; of a recording steps and bands; of a series steps of one channel."""
    shape = subject.parts[0].shape[1:]
    if subject.kind == "image":
        height, width = (max(1, round(side / _WINDOWS)) for side in shape[1:])
        return (shape[0], height, width), (shape[0], max(1, height // 2), max(1, width // 2))
    steps = max(1, round(subject.length / (2 * _WINDOWS)))
    others = max(1, round(shape[1] / _WINDOWS)) if subject.kind == "sound" else 1
    return (steps, others), (max(1, steps // 2), max(1, others // 2))


def _ablated(subject: Subject, output: int) -> Tensor:
    """What the output loses when a token is not known."""

    def forward(ids: Tensor) -> Tensor:
        return subject.score(subject.outputs(ids), output)

    tokens = torch.arange(subject.whole.shape[1], device=subject.whole.device)
    found: Tensor = (
        _captum()
        .FeatureAblation(forward)
        .attribute(
            subject.whole,
            baselines=subject.nothing,
            feature_mask=tokens.clamp(max=subject.length)[None],
            perturbations_per_eval=subject.rows_at_once,
        )
    )
    return found[0]


def _grad_cam(subject: Subject, output: int) -> Tensor:
    """Of all networks that answer together, and of the mirrored picture where that is looked at too."""
    (row,) = subject.parts
    shape = row.shape[2:] if subject.kind == "image" else row.shape[1:]
    total = row.new_zeros(shape)
    for flipped in (False, True) if subject.views != "none" and subject.kind == "image" else (False,):
        seen = row.flip(3) if flipped else row
        for layer in _last_convolutions(subject):
            cam = _one_cam(subject, output, seen.detach().clone(), layer, shape)
            total = total + (cam.flip(1) if flipped else cam)
    return total


def _one_cam(subject: Subject, output: int, row: Tensor, layer: nn.Module, shape: torch.Size) -> Tensor:
    there = subject.whole[..., -1:]

    def forward(seen: Tensor) -> Tensor:
        whole = seen if subject.kind == "image" else torch.cat((seen, there.expand(len(seen), -1, -1)), dim=2)
        return subject.score(subject.alone(whole), output)

    maps: Tensor = _captum().LayerGradCam(forward, layer).attribute(row.requires_grad_(), relu_attributions=True)
    wanted = [int(side) for side in shape]
    if maps.ndim == 3:  # (1, 1, T): of a series' convolution over time, alike for all channels
        along = nn.functional.interpolate(maps, wanted[0], mode="linear", align_corners=False)
        return along[0, 0, :, None].expand(wanted) / wanted[1]
    return nn.functional.interpolate(maps, wanted, mode="bilinear", align_corners=False)[0, 0]


def _last_convolutions(subject: Subject) -> list[nn.Module]:
    """Of each network in the whole the convolution that is run last, but for those with recurrent layers.

    Networks that answer together stand side by side: of each of `members` there is one.
    """
    ran: list[tuple[str, nn.Module]] = []
    named = {
        name: module for name, module in subject.model.network.named_modules() if isinstance(module, _CONVOLUTIONS)
    }

    def note(name: str) -> Any:
        return lambda module, _inputs, output: ran.append((name, module)) if output.shape[2:].numel() > 1 else None

    handles = [module.register_forward_hook(note(name)) for name, module in named.items()]
    try:
        with torch.no_grad():
            subject.alone(subject.whole)
    finally:
        for handle in handles:
            handle.remove()
    recurrent = {_member(name) for name, part in subject.model.network.named_modules() if isinstance(part, _RECURRENT)}
    last = {_member(name): module for name, module in ran if _member(name) not in recurrent}
    return list(last.values())


_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d)
_RECURRENT: Final = (Recurrent, nn.RNNBase)


def _member(name: str) -> str:
    """The part of a layer's path that names one of several networks; "" where there is one alone."""
    before, found, after = name.partition("members.")
    return f"{before}{found}{after.partition('.')[0]}" if found else ""


def _by_place(subject: Subject, found: tuple[Tensor, ...]) -> Tensor:
    """Numbers of each part → numbers of each place, summed over what a place consists of."""
    if subject.kind == "text":
        tokens = [owner.mT @ part[0].sum(dim=-1) for owner, part in zip(subject.owners, found, strict=True)]
        return torch.stack(tokens).sum(dim=0)
    return found[0][0].sum(dim=0) if subject.kind == "image" else found[0][0]


def _leaves(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(part.detach().clone().requires_grad_() for part in parts)
