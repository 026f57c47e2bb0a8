"""Parameter groups and the schedule."""

import pytest
import torch

from iqa.loop import set_lr
from iqa.optim import adamw, cosine, covers


def two_groups(encoder_rate: float) -> torch.optim.AdamW:
    encoder, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    return adamw({"encoder": (encoder.parameters(), encoder_rate), "head": (head.parameters(), 5e-5)}, 1e-4)


def test_the_cosine_starts_at_one_and_ends_at_its_floor():
    at = cosine(100, floor=0.1)
    assert at(0) == 1 and at(99) == pytest.approx(0.1)


def test_the_cosine_never_rises():
    at = cosine(50)
    assert all(at(step + 1) <= at(step) for step in range(60))


def test_a_small_rate_ends_no_higher_than_it_began():
    optimizer = two_groups(1e-6)
    set_lr(optimizer, cosine(10, floor=0.5)(9))
    assert all(group["lr"] <= group["first_lr"] for group in optimizer.param_groups)


def test_one_step_is_a_schedule():
    assert cosine(1)(0) == 1


def test_a_group_with_rate_zero_is_frozen():
    encoder = torch.nn.Linear(2, 2)
    optimizer = adamw({"encoder": (encoder.parameters(), 0.0), "head": ([torch.nn.Parameter(torch.ones(1))], 1e-3)}, 0)
    assert [group["name"] for group in optimizer.param_groups] == ["head"]
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_every_group_keeps_its_name_and_first_rate():
    assert [(g["name"], g["first_lr"]) for g in two_groups(5e-6).param_groups] == [("encoder", 5e-6), ("head", 5e-5)]


def test_groups_cover_a_model_when_each_trainable_parameter_is_in_exactly_one():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    whole = adamw({"encoder": (model[0].parameters(), 1e-3), "head": (model[1].parameters(), 1e-2)}, 0)
    assert covers(whole, model)
    part = adamw({"encoder": (model[0].parameters(), 1e-3), "head": ([model[1].weight], 1e-2)}, 0)
    assert not covers(part, model)
    foreign = adamw({"all": ([*model.parameters(), torch.nn.Parameter(torch.ones(1))], 1e-3)}, 0)
    assert not covers(foreign, model)


def test_groups_need_not_cover_what_is_frozen():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    assert covers(adamw({"encoder": (model[0].parameters(), 0.0), "head": (model[1].parameters(), 1e-2)}, 0), model)


def test_an_exhausted_iterator_leaves_no_group_unnoticed():
    """HyperIQA's bug: parameters kept as an iterator are there for the first optimizer only."""
    model = torch.nn.Linear(2, 1)
    parameters = model.parameters()
    assert covers(adamw({"all": (parameters, 1e-3)}, 0), model)
    assert not covers(adamw({"all": (parameters, 1e-3)}, 0), model)
