"""One thread or all: what is quicker, as it changes."""

import pytest
import torch

from gnomon.models import recurrence
from gnomon.models.onednn import has_onednn
from gnomon.models.recurrence import Recurrent
from gnomon.models.threads import OneOrAll, by_threads


def _worked(choice: OneOrAll, seconds: dict[int, float], times: int) -> list[int]:
    """The threads of so many pieces of work that take so long by so many."""
    given = []
    for _ in range(times):
        given.append(choice.threads(2))
        choice.took(given[-1], seconds[given[-1]])
    return given


def test_both_are_tried_and_the_quicker_one_works() -> None:
    given = _worked(OneOrAll(), {1: 3.0, 2: 2.0}, 60)
    assert given[:6] == [2, 1, 2, 1, 2, 1]
    assert set(given[6:]) == {2}


def test_the_other_one_is_tried_again_and_takes_over_when_it_has_become_quicker() -> None:
    choice = OneOrAll()
    assert _worked(choice, {1: 3.0, 2: 2.0}, 70)[6:].count(1) <= 1
    assert _worked(choice, {1: 3.0, 2: 6.0}, 300)[-20:] == [1] * 20
    assert _worked(choice, {1: 3.0, 2: 2.0}, 300)[-20:].count(2) >= 19


def test_a_single_disturbance_changes_nothing() -> None:
    choice = OneOrAll()
    _worked(choice, {1: 3.0, 2: 2.0}, 20)
    choice.took(2, 4.0)
    assert _worked(choice, {1: 3.0, 2: 2.0}, 20) == [2] * 20


def test_of_one_thread_there_is_nothing_to_choose() -> None:
    assert OneOrAll().threads(1) == 1


def test_threads_are_as_before_behind_it() -> None:
    before = torch.get_num_threads()

    def stopped() -> None:
        with by_threads(before + 1):
            assert torch.get_num_threads() == before + 1
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stopped()
    assert torch.get_num_threads() == before


def _gradients(module: Recurrent, inputs: torch.Tensor, lengths: torch.Tensor, *, short: bool) -> list[torch.Tensor]:
    module.zero_grad()
    inputs.grad = None
    with torch.autocast("cpu", torch.bfloat16, enabled=short):
        outputs = module(inputs, lengths)
    outputs.float().square().sum().backward()
    assert inputs.grad is not None
    return [outputs.detach(), inputs.grad, *(p.grad for p in module.parameters() if p.grad is not None)]


@pytest.mark.parametrize("short", [False, True])
def test_an_lstm_has_the_same_bits_by_one_thread_by_two_and_by_pytorch(
    monkeypatch: pytest.MonkeyPatch, short: bool
) -> None:
    if not has_onednn("aten.mkldnn_rnn_layer", torch.bfloat16 if short else torch.float32):
        pytest.skip("this PyTorch, or this processor, has no such LSTM")
    torch.manual_seed(0)
    module = Recurrent("lstm", 6, 24, layers=2, bidirectional=True)
    inputs, lengths = torch.randn(9, 40, 6, requires_grad=True), torch.randint(1, 41, (9,))
    made = []
    for number in (1, 2):
        with by_threads(2):
            monkeypatch.setattr(OneOrAll, "threads", lambda _self, _most, number=number: number)
            made.append(_gradients(module, inputs, lengths, short=short))
            assert torch.get_num_threads() == 2
    monkeypatch.setattr(recurrence, "_LITTLE", {})
    wanted = _gradients(module, inputs, lengths, short=short)
    assert len(wanted) == 2 + 16
    assert wanted[0].dtype is (torch.bfloat16 if short else torch.float32)
    for found in made:
        for one, other in zip(found, wanted, strict=True):
            assert torch.equal(one, other)
