"""Pretraining's scores: unit embeddings along a learned direction, or against frozen prototypes."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from iqa.qualiclip import DirectionModel, Projector, PrototypeModel, cosine, quality, random_pair, reach


class Stages(torch.nn.Module):
    """A toy encoder: four stages of 2 channels each."""

    def __init__(self):
        super().__init__()
        self.stages = torch.nn.ModuleList(torch.nn.Conv2d(3, 2, 4 * 2**i, 4 * 2**i) for i in range(4))

    def forward(self, images):
        return [stage(images) for stage in self.stages]


def model(seed: int = 0) -> DirectionModel:
    torch.manual_seed(0)
    return DirectionModel(Stages(), (2, 2, 2, 2), hidden=16, embedding=8, seed=seed)


def test_scores_lie_between_minus_one_and_one():
    scores = model()(torch.rand(6, 3, 32, 32))
    assert scores.shape == (6, 1) and scores.abs().max() <= 1


def test_embeddings_have_unit_length():
    features = [torch.rand(5, 2, 4, 4) for _ in range(4)]
    assert torch.allclose(Projector((2, 2, 2, 2), 16, 8)(features).norm(dim=1), torch.ones(5))


def test_the_length_of_the_direction_does_not_matter():
    one = model()
    images = torch.rand(3, 3, 32, 32)
    before = one(images)
    one.direction.data *= 7
    assert torch.allclose(one(images), before, atol=1e-6)


def test_the_same_seed_gives_the_same_projection_and_another_another():
    assert torch.equal(model(1).direction, model(1).direction)
    assert not torch.equal(model(1).direction, model(2).direction)


def test_building_it_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    DirectionModel(torch.nn.Identity(), (2, 2, 2, 2), 4, 4, seed=9)
    assert torch.equal(torch.rand(1), expected)


def pairs(count: int) -> torch.Tensor:
    return normalize(torch.randn(count, 2, 8, generator=torch.Generator().manual_seed(count)), dim=-1)


def prototyped(prompts: torch.Tensor) -> PrototypeModel:
    torch.manual_seed(0)
    return PrototypeModel(Stages(), (2, 2, 2, 2), hidden=16, pairs=prompts, seed=0)


@pytest.mark.parametrize("count", [1, 3])
def test_full_scores_are_the_mean_cosines_to_the_prompts(count):
    prompts, images = pairs(count), torch.rand(5, 3, 32, 32)
    net = prototyped(prompts)
    embeddings = net.projector(net.encoder(images))
    expected = [torch.stack([embeddings @ pair[side] for pair in prompts]).mean(dim=0) for side in range(2)]
    assert torch.allclose(net(images), torch.stack(expected, dim=1), atol=1e-6)


def test_prototypes_are_frozen_and_yet_part_of_the_state():
    net = prototyped(pairs(1))
    assert "means" in net.state_dict() and not any(name == "means" for name, _ in net.named_parameters())


def test_a_direction_and_its_opposite_are_prototypes_that_score_alike():
    direction = model()
    opposite = prototyped(direction.prototypes()[None])
    opposite.encoder, opposite.projector = direction.encoder, direction.projector
    images = torch.rand(4, 3, 32, 32)
    simple, both = direction(images), opposite(images)
    assert torch.allclose(both, torch.cat([simple, -simple], dim=1), atol=1e-6)
    assert torch.allclose(quality(both), 2 * quality(simple), atol=1e-6)


@pytest.mark.parametrize("wanted", [-1.0, -0.3, 0.0, 0.9, 0.99])
def test_random_prototypes_are_unit_vectors_at_exactly_the_chosen_cosine(wanted):
    pair = random_pair(64, wanted, seed=3)
    assert torch.allclose(pair.norm(dim=-1), torch.ones(1, 2))
    assert cosine(pair[0]) == pytest.approx(wanted, abs=1e-6)
    assert reach(pair[0]) == pytest.approx(math.sqrt(2 - 2 * wanted), abs=1e-5)


def test_random_prototypes_are_a_function_of_their_seed():
    assert torch.equal(random_pair(8, 0.5, 1), random_pair(8, 0.5, 1))
    assert not torch.equal(random_pair(8, 0.5, 1), random_pair(8, 0.5, 2))


def test_one_dimension_has_no_two_directions():
    with pytest.raises(ValueError, match="at least 2, not 1"):
        random_pair(1, 0.5, 0)


def test_only_the_cosine_of_the_prototypes_decides_what_can_be_learnt_from_them():
    """A rotation of the embedding takes any pair to any other at the same cosine: text enters through it alone."""
    one, other = random_pair(8, 0.4, 1)[0].double(), random_pair(8, 0.4, 2)[0].double()
    basis = [torch.linalg.qr(torch.cat([pair.T, torch.eye(8, dtype=torch.float64)], dim=1)).Q for pair in (one, other)]
    signs = torch.sign(
        torch.stack([(q.T @ pair.T)[:2].diagonal() for q, pair in zip(basis, (one, other), strict=True)])
    )
    for q, sign in zip(basis, signs, strict=True):
        q[:, :2] *= sign
    rotation = basis[1] @ basis[0].T
    assert torch.allclose(one @ rotation.T, other, atol=1e-6)
    z = normalize(torch.randn(5, 8, dtype=torch.float64), dim=1)
    assert torch.allclose(z @ one.T, (z @ rotation.T) @ other.T, atol=1e-6)
