"""Batches: any step's in O(1), each row once an epoch; and augmentations against slow references, row by row."""

import itertools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import nn

from gnomon import chance
from gnomon.augment import ImageAugment, choose_augment, mirror_symmetry, parse_augment
from gnomon.batches import Passes, Rows, batch_of, in_order, open_rows, shrunk
from gnomon.encoders import ImageEncoder
from gnomon.errors import RecipeError
from gnomon.rows.baseline import simple_features
from gnomon.rows.dataset import Dataset, DatasetSpec, build_dataset
from gnomon.sources.arrays import array_source
from gnomon.tasks import Classify
from gnomon.types import Batch

CPU: Final = torch.device("cpu")
NONE: Final = ImageAugment()
ALL: Final = ImageAugment(flip=True, shift=2, cutout=3, mixup=0.4, cutmix=0.5)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """70 noisy pictures of three classes; 55 of them are trained on, no multiple of any batch."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (70, 9, 12, 3), dtype=np.uint8)
    building = build_dataset(
        array_source(pictures, np.arange(70) % 3), DatasetSpec(), seed=0, max_pixels=10**6, threads=1
    )
    while True:
        try:
            next(building)
        except StopIteration as stop:
            made: Dataset = stop.value
            return made


@pytest.fixture(params=["in memory", "mapped"])
def rows(request: pytest.FixtureRequest, dataset: Dataset) -> Rows:
    opened = open_rows(dataset, "train", device=CPU, free_bytes=10**9 if request.param == "in memory" else 0)
    assert (opened.resident is not None) == (request.param == "in memory")
    return opened


def batch(rows: Rows, step: int, *, size: int = 16, seed: int = 0, augment: ImageAugment = NONE) -> Batch:
    task = Classify(classes=rows.dataset.spec.classes)
    passes = Passes(len(rows), seed=seed)
    for _ in range(step):
        passes.take(size, 0.0)
    return batch_of(rows, *passes.take(size, 0.0), seed=seed, task=task, augment=augment)


def normalised(rows: Rows, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """`(N, C, H, W)`, straight from the file."""
    encoder, stored = rows.dataset.encoder, rows.dataset.encoded.take(indices).astype(np.float64)
    assert isinstance(encoder, ImageEncoder)
    scaled: NDArray[np.float64] = (stored - np.array(encoder.mean)) / np.array(encoder.std)
    return scaled.transpose(0, 3, 1, 2)


# --- Order -----------------------------------------------------------------------------------------------------------


def streamed(rows: Rows, *, size: int, seed: int) -> Iterator[list[int]]:
    """The slow way: epoch behind epoch, each in its own order, cut into batches."""
    epochs = (rows.indices[chance.permutation(seed, "order", epoch, len(rows))] for epoch in itertools.count())
    endless = (int(row) for epoch in epochs for row in epoch)
    while True:
        yield list(itertools.islice(endless, size))


@pytest.mark.parametrize("size", [1, 16, 55, 130])
def test_any_step_is_that_of_the_stream(rows: Rows, size: int) -> None:
    wanted = list(itertools.islice(streamed(rows, size=size, seed=5), 12))
    for step in (11, 0, 5, 11, 7):
        assert batch(rows, step, size=size, seed=5).rows.tolist() == wanted[step]


def test_each_row_stands_once_in_an_epoch(rows: Rows) -> None:
    assert len(rows) == 55
    seen = np.concatenate([batch(rows, step).rows for step in range(55)])
    for epoch in range(16):
        assert sorted(seen[55 * epoch : 55 * (epoch + 1)]) == rows.indices.tolist()
    assert seen[:55].tolist() != seen[55:110].tolist()


def test_a_batch_holds_the_right_pictures_and_labels(rows: Rows) -> None:
    made = batch(rows, 3)
    np.testing.assert_allclose(made.inputs.numpy(), normalised(rows, made.rows), atol=1e-5)
    assert made.targets.argmax(1).tolist() == rows.dataset.labels[made.rows].tolist()
    assert torch.equal(made.targets.sum(1), torch.ones(16))
    assert made.inputs.is_contiguous(memory_format=torch.channels_last)


def test_the_training_part_has_mean_0_and_deviation_1(rows: Rows) -> None:
    inputs = torch.cat([inputs for inputs, _ in in_order(rows, size=20)]).double()
    assert inputs.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert (inputs.std(dim=(0, 2, 3), correction=0) - 1).abs().max() < 1e-5


def test_in_order_gives_every_row_once(rows: Rows) -> None:
    batches = list(in_order(rows, size=20))
    assert [len(labels) for _, labels in batches] == [20, 20, 15]
    inputs = torch.cat([inputs for inputs, _ in batches])
    np.testing.assert_allclose(inputs.numpy(), normalised(rows, rows.indices), atol=1e-5)
    assert torch.cat([labels for _, labels in batches]).tolist() == rows.dataset.labels[rows.indices].tolist()


# --- Passes ----------------------------------------------------------------------------------------------------------


def taken(passes: Passes, *, size: int, steps: int, progress: float = 0.0) -> list[list[int]]:
    return [passes.take(size, progress)[0].tolist() for _ in range(steps)]


def test_passes_that_skip_nothing_are_the_stream(rows: Rows) -> None:
    passes = Passes(len(rows), seed=5)
    for step in range(12):
        positions, numbers = passes.take(16, step / 12)
        made = batch(rows, step, seed=5)
        assert rows.indices[positions].tolist() == made.rows.tolist()
        assert numbers.tolist() == [place // len(rows) for place in range(16 * step, 16 * (step + 1))]


def test_what_is_learnt_within_a_pass_decides_the_next_one() -> None:
    passes = Passes(12, seed=0, skip=0.5, between=(0.2, 0.9))
    taken(passes, size=6, steps=1, progress=0.1)
    passes.learnt(np.arange(12), torch.tensor([9.0, 0, 8, 0, 7, 0, 6, 0, 5, 0, 4, 0]))
    taken(passes, size=6, steps=1, progress=0.25)  # the end of the first pass, so the second one is chosen
    assert sorted(taken(passes, size=6, steps=1, progress=0.3)[0]) == [0, 2, 4, 6, 8, 10]
    passes.learnt(np.array([0, 2, 4, 6, 8, 10]), torch.full((6,), -1.0))
    late = taken(passes, size=6, steps=2, progress=0.4)
    assert sorted(late[1]) == [1, 3, 5, 7, 9, 11]  # what was skipped comes back when the others cost less
    last = taken(passes, size=6, steps=3, progress=0.95)
    assert sorted(last[1] + last[2]) == list(range(12))  # and in the end all of them


def test_passes_go_on_from_their_state() -> None:
    rng = np.random.default_rng(0)
    whole, stopped = (Passes(50, seed=3, skip=0.5, between=(0.1, 0.8)) for _ in range(2))
    for step in range(40):
        positions, numbers = whole.take(8, step / 40)
        again, same = stopped.take(8, step / 40)
        assert (positions.tolist(), numbers.tolist()) == (again.tolist(), same.tolist())
        losses = torch.from_numpy(rng.random(8))
        whole.learnt(positions, losses)
        stopped.learnt(positions, losses)
        state, stopped = stopped.state(), Passes(50, seed=3, skip=0.5, between=(0.1, 0.8))
        stopped.load_state(state)


def test_shrinking_averages_and_keeps_what_is_constant() -> None:
    inputs = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 32, 40)
    smaller = shrunk(inputs, 0.75)
    assert smaller.shape == (2, 3, 24, 32)
    torch.testing.assert_close(smaller, torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 24, 32))
    assert smaller.is_contiguous(memory_format=torch.channels_last)
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 64, 64)))
    assert float(shrunk(noise, 0.5).std()) < 0.6 * float(noise.std())  # aliasing would keep all of the noise
    assert shrunk(inputs, 1.0) is inputs


@pytest.mark.parametrize("shape", [(5, 3, 32, 32), (2, 1, 32, 20), (3, 4, 9, 64), (1, 2, 64, 5)])
def test_shrinking_by_products_is_the_librarys_interpolation(shape: tuple[int, ...]) -> None:
    inputs = torch.from_numpy(np.random.default_rng(2).normal(size=shape)).contiguous(memory_format=torch.channels_last)
    found = shrunk(inputs, 0.75)
    wanted = nn.functional.interpolate(inputs, found.shape[2:], mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


# --- Augmentation ----------------------------------------------------------------------------------------------------


def pictures(count: int, *, side: int = 8) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(count, 2, side, side + 1))).float()


def augmented(
    augment: ImageAugment, inputs: torch.Tensor, rows: list[int], epochs: list[int], *, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any]]:
    targets = torch.eye(len(inputs))
    made = augment.apply(inputs, targets, seed=seed, epochs=np.array(epochs), rows=np.array(rows))
    return made[0].numpy(), made[1].numpy()


@pytest.mark.parametrize(
    "augment",
    [
        ImageAugment(flip=True),
        ImageAugment(shift=2),
        ImageAugment(cutout=3),
        ImageAugment(flip=True, shift=1, cutout=4),
    ],
)
def test_a_row_is_augmented_alike_in_any_batch(augment: ImageAugment) -> None:
    """Also where a batch reaches over the end of an epoch."""
    inputs, rows, epochs = pictures(12), [5, 40, 3, 77, 5, 6, 1, 2, 9, 8, 5, 0], [2, 2, 2, 2, 3, 2, 3, 3, 3, 2, 4, 2]
    together, _ = augmented(augment, inputs, rows, epochs)
    assert np.abs(together - inputs.numpy()).max() > 0
    for place in range(12):
        alone, _ = augmented(augment, inputs[place : place + 1], [rows[place]], [epochs[place]])
        assert np.array_equal(alone[0], together[place])
    other, _ = augmented(augment, inputs, rows, epochs, seed=1)
    assert not np.array_equal(other, together)


def test_nothing_is_changed_where_nothing_is_asked() -> None:
    inputs = pictures(4)
    same, targets = augmented(NONE, inputs, [0, 1, 2, 3], [0, 0, 0, 0])
    assert np.array_equal(same, inputs.numpy())
    assert np.array_equal(targets, np.eye(4))


def test_flips_alternate() -> None:
    """Every second epoch, each row; and about half of the rows begin flipped."""
    inputs, rows = pictures(200), list(range(200))
    flipped = np.array(
        [
            [np.array_equal(found, mirror) for found, mirror in zip(made, inputs.numpy()[..., ::-1], strict=True)]
            for made in (augmented(ImageAugment(flip=True), inputs, rows, [epoch] * 200)[0] for epoch in range(4))
        ]
    )
    assert np.array_equal(flipped[0], ~flipped[1])
    assert np.array_equal(flipped[0], flipped[2])
    assert np.array_equal(flipped[1], flipped[3])
    assert 70 < flipped[0].sum() < 130


def test_shifts_are_slices_with_repeated_borders() -> None:
    """Each shift from −2 to 2 in both directions occurs, and nothing else."""
    inputs, rows = pictures(400), list(range(400))
    made, _ = augmented(ImageAugment(shift=2), inputs, rows, [1] * 400)
    seen = set()
    for picture, found in zip(inputs.numpy(), made, strict=True):
        height, width = picture.shape[1:]
        for down, right in itertools.product(range(-2, 3), repeat=2):
            at = (
                np.clip(np.arange(height) + down, 0, height - 1)[:, None],
                np.clip(np.arange(width) + right, 0, width - 1),
            )
            if np.array_equal(picture[:, at[0], at[1]], found):
                seen.add((down, right))
                break
        else:
            pytest.fail("a picture was moved in another way")
    assert len(seen) == 25


def test_a_picture_is_mirrored_first_and_then_moved() -> None:
    inputs, rows = pictures(60), list(range(60))
    mirrored, _ = augmented(ImageAugment(flip=True), inputs, rows, [1] * 60)
    both, _ = augmented(ImageAugment(flip=True, shift=2), inputs, rows, [1] * 60)
    moved, _ = augmented(ImageAugment(shift=2), torch.from_numpy(mirrored), rows, [1] * 60)
    assert np.array_equal(both, moved)
    assert not np.array_equal(both, mirrored)


@pytest.mark.parametrize("side", [1, 3, 4])
def test_a_square_is_cut_out(side: int) -> None:
    """Its centre falls anywhere; outside of the picture nothing is cut."""
    inputs, rows = pictures(300) + 10, list(range(300))
    made, _ = augmented(ImageAugment(cutout=side), inputs, rows, [0] * 300)
    centres = set()
    for picture, found in zip(inputs.numpy(), made, strict=True):
        cut = found[0] == 0
        assert np.array_equal(found[1] == 0, cut)
        assert np.array_equal(found[:, ~cut], picture[:, ~cut])
        down, right = np.flatnonzero(cut.any(axis=1)), np.flatnonzero(cut.any(axis=0))
        assert cut.sum() == len(down) * len(right)
        assert down[-1] - down[0] + 1 == len(down) <= side
        assert right[-1] - right[0] + 1 == len(right) <= side
        assert len(down) == side or down[0] == 0 or down[-1] == 7
        centres.add((down[0], right[0]))
    assert len(centres) > 30


def test_mixup_mixes_targets_as_it_mixes_pictures() -> None:
    inputs, rows = pictures(100), list(range(100))
    made, targets = augmented(ImageAugment(mixup=0.4), inputs, rows, [3] * 100)
    shares = targets[np.arange(100), np.arange(100)]
    for place, share in enumerate(shares):
        before = (place - 1) % 100
        assert targets[place, before] == pytest.approx(1 - share, abs=1e-6)
        mixed = share * inputs[place].numpy() + (1 - share) * inputs[before].numpy()
        np.testing.assert_allclose(made[place], mixed, atol=1e-5)
    assert shares.min() >= 0.5
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)


def test_the_mixing_share_has_the_beta_distribution() -> None:
    targets = torch.zeros(4000, 2)
    targets[::2, 0] = targets[1::2, 1] = 1
    rows = np.arange(4000)
    _, mixed = ImageAugment(mixup=0.4).apply(torch.zeros(4000, 1, 1, 1), targets, seed=0, epochs=rows * 0, rows=rows)
    shares = mixed.max(dim=1).values.double().numpy()

    def folded(share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distribution function of max(λ, 1 − λ)."""
        both: NDArray[np.float64] = scipy.stats.beta.cdf(share, 0.4, 0.4) - scipy.stats.beta.cdf(1 - share, 0.4, 0.4)
        return both

    assert scipy.stats.kstest(shares, folded).pvalue > 1e-3


def test_cutmix_lays_a_rectangle_over_and_counts_targets_by_area() -> None:
    inputs, rows = pictures(100), list(range(100))
    made, targets = augmented(ImageAugment(cutmix=1.0), inputs, rows, [3] * 100)
    areas = []
    for place in range(100):
        before = (place - 1) % 100
        own, other = ((made[place] == source.numpy()).all(axis=0) for source in (inputs[place], inputs[before]))
        assert (own | other).all(), "every pixel is of one of two pictures"
        down, right = np.nonzero(~own)
        if len(down):
            box = other[down.min() : down.max() + 1, right.min() : right.max() + 1]
            assert box.all(), "what is laid over is a rectangle"
        areas.append((~own).mean())
        assert targets[place, before] == pytest.approx(areas[-1], abs=1e-6)
        assert targets[place].sum() == pytest.approx(1)
    assert 0.2 < np.mean(areas) < 0.5, "some of the rectangle falls outside"
    assert np.max(areas) > 0.7


def test_a_whole_batch_with_everything(rows: Rows) -> None:
    first, again = batch(rows, 4, augment=ALL), batch(rows, 4, augment=ALL)
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.targets, again.targets)
    assert first.inputs.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(first.inputs, batch(rows, 4, augment=NONE).inputs)


# --- What the data allows --------------------------------------------------------------------------------------------


def test_what_augment_may_say() -> None:
    shape = (3, 32, 48)
    assert parse_augment("none", shape) == NONE
    assert parse_augment("flip, shift=3", shape) == ImageAugment(flip=True, shift=3)
    assert parse_augment("shift,cutout,mixup", shape) == ImageAugment(shift=2, cutout=12, mixup=0.2)
    with pytest.raises(RecipeError, match="'flop' is not known") as refused:
        parse_augment("flop", shape)
    assert "'flip'" in refused.value.remedy
    with pytest.raises(RecipeError, match="'shift=far' is not a number"):
        parse_augment("shift=far", shape)


def test_mirrors_only_where_mirror_images_are_like_the_data() -> None:
    """A bright left or right half is the class: mirrored, it is the other one. Top or bottom: the same."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    sides = rng.integers(0, 100, (200, 12, 12, 1))
    sides[labels == 0, :, :6] += 100
    sides[labels == 1, :, 6:] += 100
    heights = sides.transpose(0, 2, 1, 3)
    for pictures_, wanted in ((sides, False), (heights, True)):
        symmetry = mirror_symmetry(simple_features(pictures_.astype(np.uint8)), labels)
        assert symmetry[0] > 0.95
        augment, decision = choose_augment((1, 12, 12), symmetry, epochs=10)
        assert augment.flip is wanted
        assert "mirrored" in decision.reason
    assert choose_augment((1, 32, 32), (0.9, 0.9), epochs=40)[0].cutout == 12
    assert choose_augment((1, 32, 32), (0.9, 0.9), epochs=10)[0].cutout == 0


def test_rows_too_many_for_memory_stay_mapped(dataset: Dataset) -> None:
    needed = len(dataset.parts["train"]) * 9 * 12 * 3
    assert open_rows(dataset, "train", device=CPU, free_bytes=4 * needed).resident is not None
    assert open_rows(dataset, "train", device=CPU, free_bytes=4 * needed - 4).resident is None
