"""Pretraining's scores: unit embeddings along a learned direction."""

import torch

from iqa.qualiclip import DirectionModel, Projector


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
    assert scores.shape == (6,) and scores.abs().max() <= 1


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
