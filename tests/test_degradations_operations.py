"""Each operation against the library that has it, or against its formula written down once more."""

import colorsys
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from iqa.degradations import degrade
from iqa.degradations.blur import disc, gaussian, line, smoothed
from iqa.degradations.colour import lab_to_rgb, rgb_to_lab


def some(count: int = 2, height: int = 40, width: int = 52) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def smooth(count: int = 2, size: int = 64) -> torch.Tensor:
    small = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(small, size=(size, size), mode="bilinear")


def rngs(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(n) for n in range(count)]


def one(images: torch.Tensor, family: str, severity: float) -> torch.Tensor:
    """Degraded at one severity: (N, 3, H, W)."""
    return degrade(images, family, (severity,), rngs(len(images)))[:, 0]


def by_pillow(image: torch.Tensor, **options: object) -> np.ndarray:
    """A codec's own answer, (H, W, 3) uint8, to an image rounded to 8 bits."""
    pixels = np.round(image.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, **options)
    return np.array(Image.open(file).convert("RGB"))


@pytest.mark.parametrize("quality", (4, 7, 24, 43, 95))
def test_jpeg_agrees_with_pillow_to_the_byte(quality):
    images = some(3, 37, 50)
    ours = one(images, "jpeg", quality)
    for image, coded in zip(images, ours, strict=True):
        expected = by_pillow(image, format="JPEG", quality=quality)
        assert np.array_equal((coded * 255).permute(1, 2, 0).numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("ratio", (16, 120))
def test_jpeg2000_agrees_with_pillow_to_the_byte(ratio):
    images = smooth(2, 96)
    rates = {"quality_mode": "rates", "quality_layers": [ratio], "num_resolutions": 7, "progression": "LRCP"}
    rates |= {"no_jp2": True, "comment": " "}
    for image, coded in zip(images, one(images, "jpeg2000", ratio), strict=True):
        expected = by_pillow(image, format="JPEG2000", **rates)
        assert np.array_equal((coded * 255).permute(1, 2, 0).numpy(), expected.astype(np.float32))


def test_codecs_round_to_8_bits_and_do_not_cut():
    images = torch.full((1, 3, 16, 16), 127.6 / 255)
    assert (one(images, "jpeg", 100) * 255).round().unique().tolist() == [128]


@pytest.mark.parametrize("sigma", (0.5, 1.0, 2.0, 5.0))
def test_gaussian_blur_agrees_with_torchvision_inside(sigma):
    from torchvision.transforms.functional import gaussian_blur  # pads by reflection: the inside agrees

    images, size = some(), len(gaussian(sigma))
    expected = gaussian_blur(images, [size, size], [sigma, sigma])
    inside = (..., slice(size // 2, -(size // 2)), slice(size // 2, -(size // 2)))
    assert torch.allclose(one(images, "gaussian_blur", sigma)[inside], expected[inside], atol=1e-6)


@pytest.mark.parametrize(("sigma", "left_out"), [(0.1, True), (0.117, True), (0.2, False)])
def test_a_product_that_is_left_out_would_have_given_the_same_bits(sigma, left_out):
    images = some()
    assert (one(images, "gaussian_blur", sigma).equal(images)) is left_out
    assert one(images, "gaussian_blur", sigma).equal(smoothed(images, sigma).clamp(0, 1))


@pytest.mark.parametrize("sigma", (1.0, 5.0))
def test_gaussian_blur_repeats_the_edge(sigma):
    images, weights = some(), gaussian(sigma).float()
    padded = functional.pad(images, [len(weights) // 2] * 4, mode="replicate")
    kernel = torch.outer(weights, weights).expand(3, 1, -1, -1)
    expected = functional.conv2d(padded, kernel, groups=3)
    assert torch.allclose(one(images, "gaussian_blur", sigma), expected, atol=1e-6)


@pytest.mark.parametrize(("sigma", "size"), [(0.1, 3), (0.5, 3), (1, 5), (1.2, 7), (5, 21)])
def test_a_gaussian_kernel_has_2_ceil_2_sigma_plus_1_weights(sigma, size):
    assert len(gaussian(sigma)) == size
    assert float(gaussian(sigma).sum()) == pytest.approx(1)


def test_the_mildest_gaussian_is_the_identity():
    images = some().round()  # next to a one, even a weight of 1e-22 would change a zero
    assert torch.equal(one(images, "gaussian_blur", 0.1), images)


@pytest.mark.parametrize("family", ("lens_blur", "motion_blur"))
def test_a_point_becomes_the_kernel(family):
    images = torch.zeros(1, 3, 31, 31)
    images[:, :, 15, 15] = 1
    spread = one(images, family, 6)[0]
    assert torch.allclose(spread.sum(dim=(1, 2)), torch.ones(3), atol=1e-5)
    assert torch.allclose(spread, spread.flip(1, 2), atol=1e-6)  # both are symmetric about their centre
    angle = np.pi * float(torch.rand((), generator=rngs(1)[0]))
    kernel = (disc(6) if family == "lens_blur" else line(6, angle)).float()
    reach = len(kernel) // 2
    cut = slice(15 - reach, 16 + reach)
    assert torch.allclose(spread[0, cut, cut], kernel, atol=1e-6)


def test_a_disc_weighs_pixels_by_their_covered_area():
    weights = disc(5.0) * np.pi * 25
    assert weights.shape == (11, 11)
    assert float(weights[5, 5]) == pytest.approx(1, abs=1e-4)  # wholly inside
    assert float(weights[0, 0]) == 0  # wholly outside
    tip = 25 * np.arcsin(0.1) + 0.5 * np.sqrt(24.75) - 4.5  # ∫ √(25 − x²) − 4.5 over |x| < ½
    assert float(weights[0, 5]) == pytest.approx(tip, abs=1e-4)
    assert torch.allclose(weights, weights.T, atol=1e-4)


def test_a_horizontal_line_is_the_mean_of_a_row():
    assert torch.allclose(line(5, 0.0)[2], torch.full((5,), 0.2, dtype=torch.float64))
    assert float(line(1, 1.0).sum()) == 1
    assert line(1, 1.0).shape == (1, 1)


def test_a_line_ends_softly():
    assert line(6, 0.0)[3].tolist() == pytest.approx([w / 6 for w in (0.5, 1, 1, 1, 1, 1, 0.5)])
    rising = line(5, np.pi / 4)  # its ends lie 2 pixels from the centre, the corners at √8
    assert float(rising[0, 4] / rising[2, 2]) == pytest.approx(3 - 8**0.5)
    assert float(rising[0, 0]) == 0


def test_an_upright_line_is_a_horizontal_one_turned():
    assert torch.allclose(line(7, np.pi / 2), line(7, 0.0).T, atol=1e-12)


def test_white_noise_has_the_variance_that_it_says():
    noise = one(torch.full((2, 3, 128, 128), 0.5), "white_noise", 0.005) - 0.5
    assert float(noise.var()) == pytest.approx(0.005, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("family", ("white_noise", "ycbcr_noise", "impulse_noise", "multiplicative_noise"))
def test_noise_has_the_same_bits_with_any_number_of_threads(family):
    images, before, found = torch.full((5, 3, 65, 67), 0.5), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(degrade(images, family, 3, rngs(5)))
    finally:
        torch.set_num_threads(before)
    alone = torch.cat([degrade(images[:1], family, 3, [rng]) for rng in rngs(5)])
    assert all(one.equal(alone) for one in found)


def test_levels_share_one_noise_field_scaled():
    noise = degrade(torch.full((1, 3, 32, 32), 0.5), "white_noise", (0.001, 0.004), rngs(1)) - 0.5
    assert torch.allclose(noise[:, 1], 2 * noise[:, 0], atol=1e-6)


def test_ycbcr_noise_is_independent_in_y_cb_cr():
    noise = (one(torch.full((1, 3, 256, 256), 0.5), "ycbcr_noise", 0.003) - 0.5)[0].flatten(1).double()
    y = 0.299 * noise[0] + 0.587 * noise[1] + 0.114 * noise[2]
    ycbcr = torch.stack([y, (noise[2] - y) / 1.772, (noise[0] - y) / 1.402])
    assert torch.allclose(ycbcr.cov(), 0.003 * torch.eye(3, dtype=torch.float64), atol=1e-4)


def test_impulses_hit_the_share_that_is_said_half_of_them_white_and_stay():
    images = torch.full((1, 3, 128, 128), 0.5)
    mild, severe = degrade(images, "impulse_noise", (0.01, 0.03), rngs(1))[0]
    assert float((severe != 0.5).float().mean()) == pytest.approx(0.03, rel=0.1)
    assert float(severe[severe != 0.5].mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.equal(severe[mild != 0.5], mild[mild != 0.5])


def test_multiplicative_noise_spares_black_and_grows_with_light():
    assert float(one(torch.zeros(1, 3, 16, 16), "multiplicative_noise", 0.05).max()) == 0
    noise = one(torch.full((1, 3, 128, 128), 0.4), "multiplicative_noise", 0.05) - 0.4
    assert float(noise.std()) == pytest.approx(0.4 * 0.05**0.5, rel=0.03)


@pytest.mark.parametrize(("family", "sign"), [("brighten", 1), ("darken", -1)])
def test_the_tone_curve_passes_its_three_points(family, sign):
    points = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert one(points, family, 0.4)[0, 0, 0].tolist() == pytest.approx([0, 0.5 + sign * 0.2, 1])


@pytest.mark.parametrize(("family", "expected"), [("mean_up", (0.15, 0.65, 1.0)), ("mean_down", (0.0, 0.35, 0.85))])
def test_the_mean_is_shifted_and_clipped(family, expected):
    points = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert one(points, family, 0.15)[0, 0, 0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("family", "amount"), [("contrast_up", 0.3), ("contrast_up", 0.06), ("contrast_down", -0.6)])
def test_linear_contrast_is_the_spline_through_its_five_points(family, amount):
    from scipy.interpolate import CubicSpline

    spline = CubicSpline([0, 0.3, 0.5, 0.7, 1], [0, 0.25 - amount / 4, 0.5, 0.75 + amount / 4, 1])
    images = some()
    expected = torch.from_numpy(spline(images.double().numpy())).clamp(0, 1).float()
    assert torch.allclose(one(images, family, amount), expected, atol=1e-5)


def test_linear_contrast_of_minus_a_fifth_is_the_identity():
    images = some()
    assert torch.allclose(one(images, "contrast_down", -0.2), images, atol=1e-6)


def test_nonlinear_contrast_presses_the_range():
    points = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert one(points, "contrast_nonlinear", 0.1)[0, 0, 0].tolist() == pytest.approx([0.4, 0.5, 0.6])


def test_lab_agrees_with_skimage():
    from skimage.color import lab2rgb, rgb2lab

    images = some(1)
    lab = rgb_to_lab(images)
    expected = rgb2lab(images[0].permute(1, 2, 0).double().numpy())
    assert np.allclose(lab[0].permute(1, 2, 0).numpy(), expected, atol=0.02)
    assert np.allclose(lab_to_rgb(lab)[0].permute(1, 2, 0).numpy(), lab2rgb(expected), atol=1e-3)


def test_lab_there_and_back_changes_nothing():
    images = torch.cat([some(1), torch.zeros(1, 3, 40, 52), torch.ones(1, 3, 40, 52)])
    assert torch.allclose(lab_to_rgb(rgb_to_lab(images)), images, atol=2e-4)


def test_a_degraded_image_carries_no_gradient():
    assert not degrade(smooth().requires_grad_(), "saturation_lab", 3, rngs(2)).requires_grad


@pytest.mark.parametrize("factor", (0.4, 0.1, 0.0))
def test_saturation_scales_the_s_of_hsv(factor):
    images = some(1, 4, 5)
    ours = one(images, "saturation", factor)
    for pixel, degraded in zip(images[0].flatten(1).T.tolist(), ours[0].flatten(1).T.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        assert degraded == pytest.approx(colorsys.hsv_to_rgb(hue, factor * saturation, value), abs=1e-6)


def test_saturation_below_zero_turns_to_the_opposite_hue():
    images = torch.tensor([0.5, 0.25, 0.25]).view(1, 3, 1, 1)
    assert one(images, "saturation", -0.4).flatten().tolist() == pytest.approx([0.5, 0.6, 0.6])


@pytest.mark.parametrize("family", ("saturation_lab", "color_diffusion"))
def test_grey_images_have_no_colour_to_change(family):
    images = smooth()[:, :1].repeat(1, 3, 1, 1)
    assert torch.allclose(degrade(images, family, 3, rngs(2)), images[:, None], atol=2e-3)


def test_lab_saturation_of_one_is_the_identity():
    assert torch.equal(one(some(), "saturation_lab", 1), some())


def test_colour_shift_moves_green_alone_by_whole_pixels_at_edges():
    images = torch.zeros(1, 3, 64, 64)
    images[..., 20:44, 20:44] = 1
    shifted = one(images, "color_shift", 6)[0]
    assert torch.equal(shifted[0], images[0, 0])
    assert torch.equal(shifted[2], images[0, 2])
    direction = torch.rand(2, generator=rngs(1)[0], dtype=torch.float64)
    down, right = (6 * direction / direction.norm()).round().long().tolist()
    changed = (shifted[1] - images[0, 1]).abs() > 1e-6
    whole = (images[0, 1].roll((down, right), (0, 1)) - images[0, 1]).abs() > 0
    assert changed.any()
    assert not (changed & ~whole).any()


def test_quantisation_leaves_as_many_values_as_it_says():
    ramp = torch.linspace(0, 1, 1000).view(1, 1, 1, 1000).expand(1, 3, 1, 1000)
    values = one(ramp, "quantization", 7).unique()
    assert values.tolist() == pytest.approx([n / 6 for n in range(7)])


@pytest.mark.parametrize("strength", (0.01, 0.1, 0.5))
def test_pixelation_is_nearest_neighbour_there_and_back(strength):
    images = some(1, 45, 70)
    share = 0.95 - strength**0.6
    less = functional.interpolate(images, size=(int(45 * share), int(70 * share)), mode="nearest-exact")
    assert torch.equal(
        one(images, "pixelate", strength), functional.interpolate(less, size=(45, 70), mode="nearest-exact")
    )


def test_no_jitter_is_the_identity():
    assert torch.allclose(one(some(), "jitter", 0), some(), atol=1e-4)


def test_jitter_moves_by_its_amount_in_both_directions():
    ramp = torch.linspace(0.25, 0.75, 101).expand(1, 3, 101, 101).clone()
    for images in (ramp, ramp.mT.contiguous()):
        moved = (one(images, "jitter", 0.5) - images)[..., 10:-10, 10:-10] * 200  # pixels
        assert float(moved.std()) == pytest.approx(0.5 * (1 + 4 / 1.6) ** 0.5, rel=0.35)  # later rounds are averaged


def test_patches_come_from_the_image_near_by():
    places = torch.arange(128.0) / 128
    images = torch.stack([places[:, None].expand(128, 128), places.expand(128, 128), torch.zeros(128, 128)])[None]
    moved = (one(images, "non_eccentricity", 60) - images)[0, :2] * 128
    assert torch.equal(moved, moved.round())  # whole pixels
    assert 0 < float(moved.abs().max()) <= 8


@pytest.mark.parametrize("family", ("non_eccentricity", "color_blocks"))
def test_a_more_severe_level_keeps_what_a_milder_one_changed(family):
    images = some(2, 96, 96)
    levels = degrade(images, family, 5, rngs(2))
    for mild, severe in zip(levels[:, :-1].unbind(1), levels[:, 1:].unbind(1), strict=True):
        changed = mild != images
        assert torch.equal(severe[changed], mild[changed])


def test_colour_blocks_are_squares_of_32_pixels():
    images = torch.full((1, 3, 128, 128), 0.5)
    block = (one(images, "color_blocks", 1) != 0.5)[0].all(dim=0)
    assert int(block.sum()) == 32 * 32
    assert sorted(set(block.sum(dim=0).tolist())) == [0, 32]


def test_sharpening_overshoots_at_an_edge_and_leaves_flat_areas():
    images = torch.full((1, 3, 48, 48), 0.4)
    images[..., 24:] = 0.6
    sharp = one(images, "sharpen", 2)[0, 0, 24]
    assert float(sharp[23]) < 0.35
    assert float(sharp[24]) > 0.65
    assert float(sharp[0]) == pytest.approx(0.4, abs=1e-3)


def test_the_clip_in_xyz_keeps_a_strong_blue_from_coming_back():
    images = torch.tensor([0.5, 0.4, 1.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    error = (degrade(images, "saturation_lab", 9, rngs(1)) - images[:, None]).square().mean(dim=(0, 2, 3, 4))
    assert (error[1:] >= error[:-1] - 1e-6).all(), error
