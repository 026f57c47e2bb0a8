"""Degradation families as batched pure functions, with the chain of severities of each in one table.

Images (N, 3, H, W) float32 in [0, 1] → (N, L, 3, H, W): L severities of one family, level 0 the mildest. A family is
a monotone chain, piecewise linear through its five published values (KADID-10k, ARNIQA); deviations
from them are in the functions' docstrings. Randomness: one CPU generator per image, so that a draw depends on
neither batch, worker nor device; all levels of an image share its draw. "a+b" is a composition: a, then b on each of
its levels, both equally severe; so its levels are ordered too.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from iqa.degradations import blur, brightness, colour, compression, contrast, noise, spatial

CODEC_MARGIN = 16  # pixels: a codec's 8×8 grid falls at random on a crop cut out of one that is this much larger

JOINT = "+"  # between the families of a composition

Apply = Callable[[Tensor, Sequence[float], Sequence[Generator]], Tensor]


@dataclass(frozen=True)
class Family:
    """A chain of severities. codec: works on the CPU, with a block grid; whole: severities are integers."""

    apply: Apply
    group: str
    chain: tuple[float, ...]  # five values, mildest first: the published ones unless a comment says otherwise
    limits: tuple[float, float]  # of a severity that the operation accepts
    codec: bool = False
    whole: bool = False
    smallest: int = 1  # pixels: below this height or width the chain's levels would coincide


FAMILIES: dict[str, Family] = {
    "gaussian_blur": Family(blur.gaussian_blur, "blur", (0.1, 0.5, 1, 2, 5), (0.01, 100)),
    "lens_blur": Family(blur.lens_blur, "blur", (1, 2, 4, 6, 8), (0.5, 100)),
    "motion_blur": Family(blur.motion_blur, "blur", (1, 2, 4, 6, 10), (1, 200)),
    "white_noise": Family(noise.white_noise, "noise", (0.001, 0.002, 0.003, 0.005, 0.01), (0, 1)),
    "ycbcr_noise": Family(noise.ycbcr_noise, "noise", (1e-4, 5e-4, 0.001, 0.002, 0.003), (0, 1)),
    "impulse_noise": Family(noise.impulse_noise, "noise", (0.001, 0.005, 0.01, 0.02, 0.03), (0, 1)),
    "multiplicative_noise": Family(noise.multiplicative_noise, "noise", (0.001, 0.005, 0.01, 0.02, 0.05), (0, 1)),
    "jpeg": Family(compression.jpeg, "compression", (43, 36, 24, 7, 4), (1, 100), codec=True, whole=True),
    "jpeg2000": Family(compression.jpeg2000, "compression", (16, 32, 45, 120, 170), (1, 1000), codec=True, smallest=80),
    "brighten": Family(brightness.brighten, "brightness", (0.1, 0.2, 0.4, 0.7, 1.1), (0, 10)),
    "darken": Family(brightness.darken, "brightness", (0.05, 0.1, 0.2, 0.4, 0.8), (0, 10)),
    # Published as one family, 0 .08 −.08 .15 −.15, which is no chain.
    "mean_up": Family(brightness.mean_up, "brightness", (0.03, 0.06, 0.09, 0.12, 0.15), (0, 1)),
    "mean_down": Family(brightness.mean_down, "brightness", (0.03, 0.06, 0.09, 0.12, 0.15), (0, 1)),
    "color_diffusion": Family(colour.color_diffusion, "colour", (1, 3, 6, 8, 12), (1, 100)),
    "color_shift": Family(colour.color_shift, "colour", (1, 3, 6, 8, 12), (1, 100), whole=True),
    "saturation": Family(colour.saturation, "colour", (0.4, 0.2, 0.1, 0, -0.4), (-1, 1)),
    "saturation_lab": Family(colour.saturation_lab, "colour", (1, 2, 3, 6, 9), (1, 100)),
    "jitter": Family(spatial.jitter, "spatial", (0.05, 0.1, 0.2, 0.5, 1), (0, 100)),
    "non_eccentricity": Family(
        spatial.non_eccentricity, "spatial", (20, 40, 60, 80, 100), (1, 10_000), whole=True, smallest=96
    ),
    "pixelate": Family(spatial.pixelate, "spatial", (0.01, 0.05, 0.1, 0.2, 0.5), (0, 0.9)),
    "quantization": Family(spatial.quantization, "spatial", (20, 16, 13, 10, 7), (2, 256), whole=True),
    "color_blocks": Family(spatial.color_blocks, "spatial", (2, 4, 6, 8, 10), (1, 10_000), whole=True),
    "sharpen": Family(contrast.sharpen, "contrast", (1, 2, 3, 6, 12), (0, 100)),
    # Published as one family, 0 .15 −.4 .3 −.6, which is no chain.
    "contrast_up": Family(contrast.linear_contrast, "contrast", (0.06, 0.12, 0.18, 0.24, 0.3), (-0.2, 1)),
    # The identity is −0.2, so −0.12 would raise the contrast and change more than −0.24: an even chain beyond it.
    "contrast_down": Family(contrast.linear_contrast, "contrast", (-0.28, -0.36, -0.44, -0.52, -0.6), (-1, -0.2)),
    "contrast_nonlinear": Family(contrast.contrast_nonlinear, "contrast", (0.4, 0.3, 0.2, 0.1, 0.05), (0, 0.5)),
}
ALIASES: dict[str, tuple[str, ...]] = {
    "blur": ("gaussian_blur",),
    "noise": ("white_noise",),
    "jpeg": ("jpeg",),
    "brightness": ("brighten", "darken"),
}


def draws(names: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """What an image draws from with equal chances: one tuple a name; from a tuple of several, one is drawn again.

    >>> draws(("blur", "brightness"))
    (('gaussian_blur',), ('brighten', 'darken'))
    """
    found = tuple(_families(name) for name in names)
    if not found:
        raise ValueError(f"no degradation family is named; choose from {', '.join([*ALIASES, *FAMILIES])}.")
    return found


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Families behind the names, in order, each once: ("brightness", "darken") → ("brighten", "darken")."""
    return tuple(dict.fromkeys(family for draw in draws(names) for family in draw))


def group_of(family: str, others: Mapping[str, tuple[str, tuple[str, ...]]]) -> str:
    """The group of one of our families, or of those that a data set has beside them: name → (its group, ours like it).

    >>> group_of("denoise", {"denoise": ("noise", ())})
    'noise'
    """
    return others[family][0] if family in others else FAMILIES[family].group


def drawn(choices: Sequence[tuple[str, ...]], most: int, chance: Generator) -> str:
    """What one image is degraded by: a family, or where `most` > 1 a composition of one to `most` of them.

    choices: as `draws` gives them. Each family of a composition is of another group; a codec comes last, as in a
    camera, so that its grid is what is cut.
    """
    count = 1 + _below(most, chance) if most > 1 else 1
    chosen: list[str] = []
    while len(chosen) < count:
        taken = {FAMILIES[family].group for family in chosen}
        left = [draw for draw in choices if FAMILIES[draw[0]].group not in taken]
        draw = left[_below(len(left), chance)]
        chosen.append(draw[_below(len(draw), chance)])
    return JOINT.join(sorted(chosen, key=lambda family: FAMILIES[family].codec))


def check(names: Iterable[str], levels: int, side: int, most: int = 1) -> None:
    """Raise ValueError for what `degrade` or `drawn` would refuse on crops of `side` pixels."""
    families = expand(names)
    for family in families:
        severities(family, levels)
    least = {family: FAMILIES[family].smallest for family in families if side < FAMILIES[family].smallest}
    if least:
        needs = " and ".join(f"{family} needs crops of at least {pixels} pixels" for family, pixels in least.items())
        raise ValueError(f"{needs}, not {side}: raise degrade.crop.")
    groups = sorted({FAMILIES[family].group for family in families})
    if most > len(groups):
        raise ValueError(
            f"a composition of {most} families needs as many groups, and these are of {', '.join(groups)} only: "
            "name families of more groups, or lower degrade.compose."
        )


def margin(family: str) -> int:
    """Pixels that a crop needs beside itself, so that a codec's grid can fall on it anywhere."""
    return CODEC_MARGIN if any(_family(part).codec for part in family.split(JOINT)) else 0


def severities(family: str, levels: int) -> tuple[float, ...]:
    """L severities, mildest first: the chain at L evenly spaced places, linear between its published values."""
    chosen = _family(family)
    if levels < 2:
        raise ValueError(f"a chain of {family} has at least 2 levels, not {levels}: raise the number of levels.")
    last = len(chosen.chain) - 1
    found = tuple(_between(chosen.chain, last * level / (levels - 1)) for level in range(levels))
    if chosen.whole:
        found = tuple(float(round(value)) for value in found)
    if len(set(found)) < levels:
        raise ValueError(
            f"{levels} levels of {family} are not distinct, since its severities are whole numbers "
            f"({', '.join(f'{value:g}' for value in found)}): use fewer levels."
        )
    return found


def degrade(images: Tensor, family: str, levels: int | Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """(N, 3, H, W) float32 in [0, 1] → (N, L, 3, H, W) float32 in [0, 1]; the input stays as it is.

    levels: how many, or (of a single family) the severities themselves. generators: one CPU generator per image.
    """
    first, *rest = family.split(JOINT)
    degraded = _chain(images, first, levels, generators)
    for later in rest:
        if not isinstance(levels, int):
            raise ValueError(f"the composition {family} takes a number of levels, not severities: give one.")
        steps = severities(later, levels)
        clones = [[chance.clone_state() for chance in generators] for _ in steps]  # one draw for all levels
        chains = [_chain(degraded[:, at], later, (steps[at],), clones[at]) for at in range(levels)]
        degraded = torch.cat(chains, dim=1)
    return degraded


def _chain(images: Tensor, family: str, levels: int | Sequence[float], generators: Sequence[Generator]) -> Tensor:
    """One family: (N, 3, H, W) → (N, L, 3, H, W)."""
    chosen = _family(family)
    wanted = severities(family, levels) if isinstance(levels, int) else _checked(family, levels)
    _check_images(images, family)
    if len(generators) != len(images):
        raise ValueError(f"{len(images)} images need as many generators, not {len(generators)}: give one each.")
    degraded = chosen.apply(images.detach(), wanted, generators)
    assert degraded.shape == (len(images), len(wanted), *images.shape[1:])
    return degraded


def _below(limit: int, chance: Generator) -> int:
    return int(torch.randint(limit, (), generator=chance))


def _families(name: str) -> tuple[str, ...]:
    """The families of an alias, or the one of this name."""
    if name not in ALIASES:
        _family(name)
    return ALIASES.get(name, (name,))


def _family(name: str) -> Family:
    """The table's row; an unknown name is answered with the nearest known one."""
    if name in FAMILIES:
        return FAMILIES[name]
    known = [*ALIASES, *FAMILIES]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"choose from {', '.join(dict.fromkeys(known))}."
    raise ValueError(f"there is no degradation family {name!r}; {hint}")


def _between(chain: tuple[float, ...], place: float) -> float:
    """The chain at a real place in [0, len − 1], linear between its values; exact at whole places."""
    left = min(int(place), len(chain) - 2)
    share = place - left
    return float((1 - share) * chain[left] + share * chain[left + 1])


def _checked(family: str, values: Sequence[float]) -> tuple[float, ...]:
    """Severities that a caller chose: in the family's limits, distinct, whole where they must be."""
    chosen, (low, high) = FAMILIES[family], FAMILIES[family].limits
    found = tuple(float(value) for value in values)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"severities of {family} are at least one and distinct, not {found}: change them.")
    wrong = [v for v in found if not low <= v <= high or (chosen.whole and v != round(v))]
    if wrong:
        kind = "whole numbers" if chosen.whole else "numbers"
        raise ValueError(f"severities of {family} are {kind} from {low:g} to {high:g}, not {wrong[0]:g}: change it.")
    return found


def _check_images(images: Tensor, family: str) -> None:
    """Shape, type, range: degradations come before any normalisation."""
    shape = tuple(images.shape)
    if images.dim() != 4 or shape[1] != 3 or images.numel() == 0 or images.dtype != torch.float32:
        raise ValueError(f"degradations take float32 images (N, 3, H, W), not {images.dtype} {shape}: convert them.")
    smallest = FAMILIES[family].smallest
    if min(shape[2:]) < smallest:
        raise ValueError(f"{family} needs images of at least {smallest}×{smallest} pixels, not {shape[2]}×{shape[3]}.")
    low, high = (float(value) for value in images.detach().aminmax())
    if not (low >= 0 and high <= 1):  # NaN included
        raise ValueError(f"degradations take images in [0, 1], not [{low:g}, {high:g}]: normalise them afterwards.")
