"""What there is to see in an attribution, in words, English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..encoders import SeriesEncoder, SoundEncoder
from ..encoders.mel import mel_matrix
from ..predicting.modelfile import Model
from .attribution import Attribution
from .values import Piece, Said

_HALF: Final = 0.5
_FEW: Final = 5
_NAMED_SHARE: Final = 0.25
"""Of the greatest weight: what is less is not named."""
_BORDER: Final = 0.12
_MOST_ON_BORDER: Final = 0.6
_ERROR_TOLD: Final = 0.02
_THIRDS: Final = (
    (("upper left", "左上"), ("top", "上方"), ("upper right", "右上")),
    (("left", "左侧"), ("middle", "中间"), ("right", "右侧")),
    (("lower left", "左下"), ("bottom", "下方"), ("lower right", "右下")),
)


def _subject(attribution: Attribution, name: str) -> Said:
    """What the places are said to do; plain gradients know no for and against."""
    if attribution.method == "gradients":
        return Said(f"what {name} is sensitive to", f"{name}所敏感的部分")
    return Said(f"what speaks for {name}", f"支持{name}的部分")


def findings(model: Model, attribution: Attribution, pieces: Sequence[Piece], name: str) -> tuple[Said, ...]:
    """The most important first.

    Args:
        model: that was explained.
        attribution: of the row.
        pieces: its tokens, where it is a text.
        name: of the output.
    """
    said: list[Said] = []
    if not (attribution.values > 0).any():
        said.append(Said(f"nothing in it speaks for {name}", f"没有任何部分支持{name}"))
    encoder = model.header.encoder
    if pieces:
        said += _of_text(pieces, name)
    elif isinstance(encoder, SoundEncoder):
        said += _of_sound(encoder, attribution.values, _subject(attribution, name))
    elif isinstance(encoder, SeriesEncoder):
        said += _of_series(encoder, attribution.values, _subject(attribution, name))
    else:
        said += _of_picture(attribution.values, _subject(attribution, name))
    return (*said, *_sum(attribution))


def _of_text(pieces: Sequence[Piece], name: str) -> Iterator[Said]:
    for sign, english, chinese in ((1, f"for {name}", f"支持{name}"), (-1, f"against {name}", f"反对{name}")):
        strong = sorted(
            (piece for piece in pieces if sign * piece.weight >= _NAMED_SHARE), key=lambda p: -abs(p.weight)
        )
        words = list(dict.fromkeys(piece.text for piece in strong))
        words = ([word for word in words if any(map(str.isalnum, word))] or words)[:_FEW]
        if words:
            yield Said(f"what speaks {english}: {', '.join(words)}", f"{chinese}的是：{'、'.join(words)}")


def _of_picture(values: NDArray[np.float64], what: Said) -> Iterator[Said]:
    positive = np.maximum(values, 0)
    total = float(positive.sum())
    if total <= 0:
        return
    rows, columns = np.indices(values.shape)
    place = [
        min(2, int(3 * float((where * positive).sum()) / total / side))
        for where, side in ((rows + 0.5, values.shape[0]), (columns + 0.5, values.shape[1]))
    ]
    english, chinese = _THIRDS[place[0]][place[1]]
    area = _smallest_share(positive)
    yield Said(
        f"{what.en} lies around the {english}; half of it on {_percent(area)} of the picture",
        f"{what.zh}集中在{chinese}；其中一半只占图像的{_percent(area)}",
    )
    edge = [max(1, round(_BORDER * side)) for side in values.shape]
    inner = float(positive[edge[0] : -edge[0] or None, edge[1] : -edge[1] or None].sum())
    if min(values.shape) > 4 and 1 - inner / total > _MOST_ON_BORDER:
        yield Said(
            f"{_percent(1 - inner / total)} of it lies along the border: does the network go by the background?",
            f"其中{_percent(1 - inner / total)}位于边缘：网络依据的是背景吗？",
        )


def _of_sound(encoder: SoundEncoder, values: NDArray[np.float64], what: Said) -> Iterator[Said]:
    positive = np.maximum(values, 0)
    if positive.sum() <= 0:
        return
    first, last = _span(positive.sum(axis=1))
    low, high = _span(positive.sum(axis=0))
    step_s = encoder.hop / encoder.rate
    peaks = mel_matrix(encoder.rate, encoder.window, encoder.bands).argmax(axis=1) * encoder.rate / encoder.window
    yield Said(
        f"half of {what.en} lies between {first * step_s:.2f} s and {(last + 1) * step_s:.2f} s",
        f"{what.zh}有一半在{first * step_s:.2f}秒到{(last + 1) * step_s:.2f}秒之间",
    )
    yield Said(
        f"half of it lies between {peaks[low]:,.0f} Hz and {peaks[high]:,.0f} Hz",
        f"其中一半在{peaks[low]:,.0f}赫兹到{peaks[high]:,.0f}赫兹之间",
    )


def _of_series(encoder: SeriesEncoder, values: NDArray[np.float64], what: Said) -> Iterator[Said]:
    positive = np.maximum(values, 0)
    if positive.sum() <= 0:
        return
    first, last = _span(positive.sum(axis=1))
    yield Said(
        f"half of {what.en} lies in the steps {first * encoder.factor + 1:,} to {(last + 1) * encoder.factor:,}",
        f"{what.zh}有一半在第{first * encoder.factor + 1:,}到{(last + 1) * encoder.factor:,}步",
    )
    if len(encoder.channels) > 1:
        shares = positive.sum(axis=0) / positive.sum()
        strongest = np.argsort(-shares, kind="stable")[:3]
        told = [(encoder.channels[index], shares[index]) for index in strongest if shares[index] >= 0.05]
        yield Said(
            "by channels: " + ", ".join(f"{channel} {_percent(share)}" for channel, share in told),
            "按通道：" + "、".join(f"{channel} {_percent(share)}" for channel, share in told),
        )


def _sum(attribution: Attribution) -> Iterator[Said]:
    if attribution.error is not None and attribution.error > _ERROR_TOLD:
        yield Said(
            f"the contributions miss their sum by {_percent(attribution.error)}: take them as a hint alone",
            f"各部分之和与应有的总和相差{_percent(attribution.error)}：仅供参考",
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _smallest_share(positive: NDArray[np.float64]) -> float:
    """Share of the places that hold half of the sum, the greatest first."""
    ordered = np.sort(positive.ravel())[::-1].cumsum()
    return float((np.searchsorted(ordered, _HALF * ordered[-1]) + 1) / len(ordered))


def _span(along: NDArray[np.float64]) -> tuple[int, int]:
    """First and last place of the shortest stretch that holds half of the sum."""
    sums = np.concatenate(([0.0], along.cumsum()))
    wanted = _HALF * sums[-1]
    best = (0, len(along) - 1)
    for first in range(len(along)):
        last = int(np.searchsorted(sums, sums[first] + wanted - 1e-12)) - 1
        if last >= len(along):
            break
        if last - first < best[1] - best[0]:
            best = (first, max(first, last))
    return best
