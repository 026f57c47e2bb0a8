"""The one training loop: it yields, and does what plain gradient descent would."""

from itertools import repeat

import torch

from iqa.loop import fit
from iqa.optim import adamw


def setup(rate: float = 0.1) -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    return weight, adamw({"all": ([weight], rate)}, weight_decay=0.0)


def halves(weight):
    """A batch's loss as two micro-batches, each its half of the mean."""

    def losses_of(batch):
        for half in batch.chunk(2):
            yield {"total": ((weight * half - 1) ** 2).sum() / len(batch)}

    return losses_of


def test_it_yields_one_record_a_step_with_the_batchs_loss():
    weight, optimizer = setup()
    batch = torch.tensor([0.0, 2.0])
    records = list(fit(halves(weight), repeat(batch), optimizer, lambda step: 1.0, range(3)))
    assert [record.step for record in records] == [0, 1, 2]
    assert records[0].terms["total"] == 1.0


def test_micro_batches_give_the_gradient_of_the_whole():
    one, first = setup()
    two, second = setup()
    batch = torch.tensor([0.5, 2.0, 3.0, -1.0])
    whole = lambda b: [{"total": ((one * b - 1) ** 2).mean()}]  # noqa: E731
    list(fit(whole, repeat(batch), first, lambda step: 1.0, range(5)))
    list(fit(halves(two), repeat(batch), second, lambda step: 1.0, range(5)))
    assert torch.allclose(one, two)


def test_it_learns():
    weight, optimizer = setup()
    records = list(fit(halves(weight), repeat(torch.tensor([0.5, 0.5])), optimizer, lambda step: 1.0, range(200)))
    assert records[-1].terms["total"] < 1e-3


def test_the_rate_follows_the_schedule():
    weight, optimizer = setup()
    before = weight.item()
    list(fit(halves(weight), repeat(torch.ones(2) * 3), optimizer, lambda step: 0.0, range(2)))
    assert weight.item() == before


def test_clipping_bounds_the_gradient():
    weight, optimizer = setup()
    list(fit(halves(weight), repeat(torch.tensor([100.0, 100.0])), optimizer, lambda step: 1.0, range(1), clip=0.5))
    assert weight.grad.norm() <= 0.5 + 1e-6


def test_closing_it_stops_the_training():
    weight, optimizer = setup()
    steps = fit(halves(weight), repeat(torch.ones(2) * 3), optimizer, lambda step: 1.0, range(10))
    next(steps)
    after_one = weight.item()
    steps.close()
    assert weight.item() == after_one
