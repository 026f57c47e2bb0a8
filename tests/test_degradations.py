"""The table of families: chains, names, and what holds for every family alike."""

import math

import pytest
import torch
from torch.nn import functional

from iqa import degradations
from iqa.degradations import ALIASES, FAMILIES, degrade, draws, expand, severities

EVERY = sorted(FAMILIES)
# Level 0 of these leaves the pixels as they are: no ranking pair against the original.
IDENTICAL_AT_FIRST = {"gaussian_blur", "motion_blur", "saturation_lab"}


def natural(count: int = 4, size: int = 96, seed: int = 0) -> torch.Tensor:
    """A smooth random colour field (spectrum 1/f), crossed by soft edges: (count, 3, size, size) in [0, 1]."""
    rng = torch.Generator().manual_seed(seed)
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)).clamp(min=1 / size)
    noise = torch.randn(count, 3, size, size, generator=rng)
    grey = torch.randn(count, 1, size, size, generator=rng)
    field = torch.fft.irfft2(torch.fft.rfft2(0.4 * noise + grey) / frequency**1.2, s=(size, size))
    field = field / field.std(dim=(1, 2, 3), keepdim=True)
    directions = torch.randn(count, 3, 2, generator=rng)
    places = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij"))
    edges = torch.tanh(20 * torch.einsum("ncd,dhw->nchw", directions, places))
    return (0.45 + 0.11 * field + 0.12 * edges).clamp(0, 1)


def dead_leaves(count: int = 3, size: int = 96, seed: int = 1) -> torch.Tensor:
    """Discs of one colour that hide one another, radii by a power law: (count, 3, size, size) in [0, 1]."""
    rng = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*[torch.arange(float(size))] * 2, indexing="ij")
    images = torch.full((count, 3, size, size), 0.5)
    for image in images:
        for _ in range(150):
            u, v, q, *colour = torch.rand(6, generator=rng).tolist()
            inside = torch.hypot(y - u * size, x - v * size) < 3 / math.sqrt(q + 0.005)
            image[:, inside] = 0.15 + 0.7 * torch.tensor(colour)[:, None]
    return functional.avg_pool2d(functional.pad(images, [1] * 4, mode="replicate"), 3, 1)


def rngs(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * seed + n) for n in range(count)]


def errors(degraded: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Mean squared error to the original: (N, L)."""
    return (degraded - images[:, None]).square().mean(dim=(2, 3, 4))


def test_the_table_holds_the_26_chains_of_five_values():
    assert len(FAMILIES) == 26
    assert all(len(family.chain) == 5 for family in FAMILIES.values())


@pytest.mark.parametrize("family", EVERY)
def test_chains_run_one_way_inside_their_limits(family):
    chain, (low, high) = FAMILIES[family].chain, FAMILIES[family].limits
    assert list(chain) in (sorted(set(chain)), sorted(set(chain), reverse=True))
    assert all(low <= value <= high for value in chain)


@pytest.mark.parametrize("family", EVERY)
def test_five_levels_are_the_published_values(family):
    assert severities(family, 5) == FAMILIES[family].chain


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("levels", (2, 3))
def test_fewer_levels_keep_the_ends_and_the_middle(family, levels):
    chain = FAMILIES[family].chain
    assert severities(family, levels) == chain[:: 4 // (levels - 1)]


def test_severities_are_linear_between_published_values():
    assert severities("gaussian_blur", 9)[1::2] == pytest.approx((0.3, 0.75, 1.5, 3.5))


def test_whole_severities_are_rounded():
    assert severities("color_blocks", 4) == (2, 5, 7, 10)


def test_levels_that_rounding_merges_are_refused():
    with pytest.raises(ValueError, match=r"10 levels of color_blocks are not distinct.*fewer levels"):
        severities("color_blocks", 10)


def test_one_level_is_no_chain():
    with pytest.raises(ValueError, match="at least 2 levels, not 1"):
        severities("jpeg", 1)


@pytest.mark.parametrize(
    ("name", "nearest"), [("gausian_blur", "gaussian_blur"), ("nose", "noise"), ("JPEG2000", "jpeg2000")]
)
def test_an_unknown_family_is_answered_with_the_nearest(name, nearest):
    for ask in (lambda: severities(name, 5), lambda: expand([name]), lambda: degrade(natural(1), name, 5, rngs(1))):
        with pytest.raises(ValueError, match=f"no degradation family '{name}'; did you mean '{nearest}'"):
            ask()


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(ValueError, match="choose from blur, noise.*contrast_nonlinear"):
        expand(["xyzzy"])


def test_no_names_are_refused():
    with pytest.raises(ValueError, match="no degradation family is named"):
        draws(())


def test_the_seed_names_are_four_draws_and_five_families():
    assert draws(ALIASES) == (("gaussian_blur",), ("white_noise",), ("jpeg",), ("brighten", "darken"))
    assert expand(("blur", "jpeg", "noise", "brightness")) == (
        *("gaussian_blur", "jpeg", "white_noise", "brighten", "darken"),
    )


def test_a_family_named_twice_is_expanded_once():
    assert expand(("brightness", "darken", "brightness")) == ("brighten", "darken")


@pytest.mark.parametrize("levels", (2, 3, 5))
@pytest.mark.parametrize("family", EVERY)
def test_shape_and_range_hold_and_the_input_stays(family, levels):
    images = torch.rand(2, 3, 97, 101, generator=torch.Generator().manual_seed(3))
    before = images.clone()
    degraded = degrade(images, family, levels, rngs(2))
    assert degraded.shape == (2, levels, 3, 97, 101)
    assert degraded.dtype == torch.float32
    assert degraded.min() >= 0
    assert degraded.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("family", EVERY)
def test_the_output_is_no_view_of_the_input(family):
    images = natural(1)
    before = images.clone()
    degrade(images, family, 2, rngs(1)).zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize("family", EVERY)
def test_a_more_severe_level_is_farther_from_a_natural_image(family):
    images = natural()
    error = errors(degrade(images, family, 5, rngs(len(images))), images)
    steps = error[:, 1:] - error[:, :-1]
    assert (steps > 0).all(), error
    assert (error[:, 0] > 1e-9).all() or family in IDENTICAL_AT_FIRST


# A shift by more than a leaf's size is no worse than one of its size: on leaves only the mean over images rises.
@pytest.mark.parametrize("family", EVERY)
def test_a_more_severe_level_is_farther_from_dead_leaves(family):
    images = dead_leaves()
    error = errors(degrade(images, family, 5, rngs(len(images))), images)
    error = error.mean(dim=0, keepdim=True) if family == "color_shift" else error
    assert (error[:, 1:] > error[:, :-1]).all(), error


@pytest.mark.parametrize("family", EVERY)
def test_an_image_alone_is_degraded_as_in_a_batch(family):
    images = natural(3)
    together = degrade(images, family, 3, rngs(3))
    alone = torch.cat([degrade(images[n : n + 1], family, 3, rngs(3)[n : n + 1]) for n in range(3)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("family", EVERY)
def test_a_level_alone_is_the_level_in_its_chain(family):
    images = natural(2)
    chain = degrade(images, family, 5, rngs(2))
    alone = degrade(images, family, FAMILIES[family].chain[2:3], rngs(2))
    assert torch.allclose(chain[:, 2:3], alone, atol=1e-6)


@pytest.mark.parametrize("family", EVERY)
def test_equal_seeds_give_equal_images(family):
    images = natural(2)
    assert torch.equal(degrade(images, family, 3, rngs(2)), degrade(images, family, 3, rngs(2)))


DRAWN = (
    *("motion_blur", "white_noise", "ycbcr_noise", "impulse_noise", "multiplicative_noise"),
    *("color_shift", "jitter", "non_eccentricity", "color_blocks"),
)


@pytest.mark.parametrize("family", EVERY)
def test_another_seed_matters_where_something_is_drawn_and_only_there(family):
    images = natural(1, 96)
    one, other = (degrade(images, family, (FAMILIES[family].chain[-1],), rngs(1, seed)) for seed in (0, 1))
    assert torch.equal(one, other) == (family not in DRAWN)


@pytest.mark.parametrize("family", EVERY)
@pytest.mark.parametrize("value", (0.0, 0.5, 1.0))
def test_a_constant_image_stays_finite_and_in_range(family, value):
    degraded = degrade(torch.full((1, 3, 97, 99), value), family, 3, rngs(1))
    assert degraded.isfinite().all()
    assert 0 <= degraded.min() <= degraded.max() <= 1


@pytest.mark.parametrize("family", ("gaussian_blur", "lens_blur", "motion_blur", "jitter", "pixelate", "color_shift"))
def test_what_only_moves_light_leaves_a_constant_image(family):
    images = torch.full((1, 3, 40, 33), 0.3)
    assert torch.allclose(degrade(images, family, 3, rngs(1)), images[:, None], atol=1e-6)


@pytest.mark.parametrize("size", ((1, 1), (1, 9), (5, 2), (13, 17)))
@pytest.mark.parametrize("family", EVERY)
def test_small_images_are_degraded_or_refused_with_the_size_they_need(family, size):
    images = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    smallest = FAMILIES[family].smallest
    if min(size) < smallest:
        least = f"{family} needs images of at least {smallest}×{smallest} pixels, not {size[0]}×{size[1]}"
        with pytest.raises(ValueError, match=least):
            degrade(images, family, 3, rngs(1))
    else:
        assert degrade(images, family, 3, rngs(1)).shape == (1, 3, 3, *size)


@pytest.mark.parametrize("family", ("jpeg2000", "non_eccentricity"))
def test_at_the_least_size_the_levels_still_differ(family):
    images = natural(3, FAMILIES[family].smallest)
    error = errors(degrade(images, family, 5, rngs(3)), images).mean(dim=0)
    assert (error[1:] > error[:-1]).all(), error


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 8, 8), r"\(N, 3, H, W\), not torch.float32 \(3, 8, 8\)"),
        (torch.zeros(1, 1, 8, 8), r"not torch.float32 \(1, 1, 8, 8\)"),
        (torch.zeros(0, 3, 8, 8), "convert them"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "not torch.uint8"),
        (torch.full((1, 3, 8, 8), 2.0), r"in \[0, 1\], not \[2, 2\]: normalise them afterwards"),
        (torch.full((1, 3, 8, 8), float("nan")), r"not \[nan, nan\]"),
    ],
    ids=["one image", "grey", "none", "bytes", "normalised", "nan"],
)
def test_images_of_another_form_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        degrade(images, "darken", 3, rngs(len(images)))


@pytest.mark.parametrize("values", ((), (0.1, 0.1), (-1.0,), (float("nan"),)))
def test_severities_that_make_no_sense_are_refused(values):
    with pytest.raises(ValueError, match="severities of white_noise are"):
        degrade(natural(1, 16), "white_noise", values, rngs(1))


def test_a_fraction_of_a_quality_is_refused():
    with pytest.raises(ValueError, match="whole numbers from 1 to 100, not 10.5"):
        degrade(natural(1, 16), "jpeg", (10.5,), rngs(1))


def test_a_generator_for_each_image_is_asked_for():
    with pytest.raises(ValueError, match="2 images need as many generators, not 1"):
        degrade(natural(2, 16), "white_noise", 3, rngs(1))


def test_codecs_are_the_families_that_leave_the_device():
    assert {name for name, family in FAMILIES.items() if family.codec} == {"jpeg", "jpeg2000"}
    assert degradations.CODEC_MARGIN % 8 == 0


def test_a_composition_is_its_families_one_after_the_other_level_by_level():
    images = natural(2, 64)
    both = degrade(images, "gaussian_blur+darken", 3, rngs(2))
    blurred = degrade(images, "gaussian_blur", 3, rngs(2))
    darker = severities("darken", 3)
    for level in range(3):
        alone = degrade(blurred[:, level], "darken", (darker[level],), rngs(2))
        assert torch.equal(both[:, level], alone[:, 0])


@pytest.mark.parametrize("name", ["gaussian_blur+white_noise", "motion_blur+color_blocks+jpeg", "lens_blur+jitter"])
def test_more_severe_levels_of_a_composition_are_farther_from_a_natural_image(name):
    images = natural()
    error = errors(degrade(images, name, 5, rngs(len(images))), images)
    assert (error[:, 1:] > error[:, :-1]).all(), error


def test_the_levels_of_a_composition_share_the_draw_of_each_of_its_families():
    """Impulses that hit a mild level hit the severe one at the same places."""
    images = torch.full((1, 3, 40, 40), 0.5)
    views = degrade(images, "darken+impulse_noise", 3, rngs(1))[0]
    hit = (views == 0) | (views == 1)
    assert hit[0].any() and (hit[0] <= hit[1]).all() and (hit[1] <= hit[2]).all()


def test_a_composition_keeps_shape_range_and_input():
    images = natural(2, 64)
    before = images.clone()
    views = degrade(images, "saturation+jpeg", 3, rngs(2))
    assert views.shape == (2, 3, 3, 64, 64) and views.min() >= 0 and views.max() <= 1
    assert torch.equal(images, before)


def test_a_composition_takes_no_severities_of_its_own():
    with pytest.raises(ValueError, match="takes a number of levels"):
        degrade(natural(1, 32), "darken+white_noise", (0.1, 0.2), rngs(1))


def test_drawn_compositions_have_one_to_the_most_families_of_different_groups_codecs_last():
    choices = draws(FAMILIES)
    found = [degradations.drawn(choices, 3, torch.Generator().manual_seed(n)).split("+") for n in range(300)]
    assert {len(families) for families in found} == {1, 2, 3}
    for families in found:
        groups = [FAMILIES[family].group for family in families]
        assert len(set(groups)) == len(groups)
        assert not any(FAMILIES[family].codec for family in families[:-1])
    assert {family for families in found for family in families} == set(FAMILIES)


def test_one_family_at_a_time_is_drawn_as_ever():
    """The stream of draws of a run without compositions is part of its results."""
    chance = torch.Generator().manual_seed(5)
    choices = draws(("blur", "brightness"))
    again = torch.Generator().manual_seed(5)
    draw = choices[int(torch.randint(2, (), generator=again))]
    assert degradations.drawn(choices, 1, chance) == draw[int(torch.randint(len(draw), (), generator=again))]
    assert torch.equal(chance.get_state(), again.get_state())


def test_only_a_codec_asks_for_pixels_around_a_crop():
    assert degradations.margin("gaussian_blur+darken") == 0
    assert degradations.margin("gaussian_blur+jpeg") == degradations.margin("jpeg2000") == degradations.CODEC_MARGIN


def test_more_families_at_once_than_there_are_groups_are_refused():
    degradations.check(("blur", "jpeg", "noise", "brightness"), 5, 224, most=4)
    with pytest.raises(
        ValueError, match="a composition of 3 families needs as many groups, and these are of blur only"
    ):
        degradations.check(("gaussian_blur", "lens_blur"), 5, 224, most=3)
