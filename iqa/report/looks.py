"""Figures of what models learned and where they look: t-SNE, attention, ranking, gains by family, ablation bars."""

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import product

import numpy as np

from iqa import metrics
from iqa.report import pictures, plots
from iqa.report.document import Block, Cell, Figure, Number, Panel, Paragraph, Section, Table, say, slug
from iqa.report.evidence import Evidence, Row, tested
from iqa.report.kept import kept
from iqa.report.predictions import Predictions, read_predictions

CATEGORIES = 7  # of a legend, as many as the palette has colours
UNREADABLE = (OSError, ValueError, KeyError)


def looks(evidence: Evidence) -> list[Section]:
    """Feature space, attention, ranking, families, ablations; a section without any data says what would make it."""
    parts = [
        Section("Feature space", tuple(_each(evidence, _embedded))),
        Section("Attention", (_what_attention_is(), *_each(evidence, _attention))),
        Section("Quality ranking", (*_each(evidence, _ranking), *_each(evidence, _pictured))),
    ]
    families = [figure for target in evidence.targets if (figure := by_family(evidence, target))]
    if families:
        parts.append(Section("By distortion", tuple(families)))
    ablations = [(one, told) for one in evidence.with_shown for told in one.experiment.get("ablations", ())]
    bars = [figure for one, told in ablations if (figure := _bars(one, told))]
    return [*parts, Section("Ablations, every seed", tuple(bars))] if bars else parts


def _what_attention_is() -> Paragraph:
    return Paragraph(
        say(
            "Swin has no class token: its window map is the attention that each place of the last stage's window "
            "receives, the mean over heads and places that ask. Encoders without windows show the head's weight of "
            "each of the four stages and a gradient-weighted map of the last one alone. The same images for every arm."
        )
    )


def _each(evidence: Evidence, draw: Callable[[Evidence, str, Row], list[Block]]) -> list[Block]:
    """What `draw` makes of the first finished seed of every arm; or the command that would make it."""
    found: list[Block] = []
    for arm in evidence.arms:
        row = next(iter(evidence.runs("finetune", arm)), None)
        if row is None:
            hole = tuple(evidence.missing("finetune", arm)[:1])
            found.append(Paragraph(say(f"{evidence.title(arm)}: ", *hole), "note"))
            continue
        try:
            found += draw(evidence, arm, row)
        except UNREADABLE as error:
            found.append(Paragraph(say(f"{evidence.title(arm)}: its run left nothing to draw from ({error})."), "note"))
    return found


def _embedded(evidence: Evidence, arm: str, row: Row) -> list[Block]:
    """t-SNE of the frozen encoder's features of the test part, by score, by family, by level."""
    features = np.load(evidence.fetch(row.run_id, f"features/{evidence.own}.npy")).astype(np.float64)
    found = _answers(evidence, row)
    if len(features) != len(found.scores) or len(features) < 5:
        raise ValueError(f"{len(features)} features of {len(found.scores)} images")
    places, title = tsne(features), evidence.title(arm)
    png = pictures.embedding(places, found.scores, f"{title}: by score")
    panels = [Panel("score", png, f"{title}, t-SNE by score")]
    named = sorted({str(family) for family in found.families if family})
    if len(named) > 1:
        shown = named[: CATEGORIES - 1] + (["others"] if len(named) >= CATEGORIES else [])
        kinds = np.array([shown.index(f) if f in shown else len(shown) - 1 for f in found.families])
        png = pictures.embedding(places, kinds, f"{title}: by family", shown)
        panels.append(Panel("family", png, f"{title}, t-SNE by family: {', '.join(shown)}"))
        png = pictures.embedding(places, found.levels, f"{title}: by level")
        panels.append(Panel("level", png, f"{title}, t-SNE by level"))
    caption = (
        f"{title}: t-SNE (perplexity 30 at most, one fixed start) of the frozen encoder's pooled features on the test "
        "part. Distances between clusters mean nothing here; the probes are what decides."
    )
    data = tuple(zip(found.paths, *places.T.tolist(), found.scores.tolist(), strict=True))
    header = ("path", "x", "y", "score")
    return [Figure(f"tsne-{slug(arm)}", caption, tuple(panels), header, data, (row.run_id,))]


def tsne(features: np.ndarray) -> np.ndarray:
    """Features (n, D) → places (n, 2), from the principal components: no random start, the same picture each time."""
    return np.load(io.BytesIO(_places(features)), allow_pickle=False)


@kept
def _places(features: np.ndarray) -> bytes:
    from sklearn.manifold import TSNE

    spread = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    perplexity = min(30.0, (len(features) - 1) / 3)
    out = io.BytesIO()
    np.save(out, TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(spread))
    return out.getvalue()


def _answers(evidence: Evidence, row: Row) -> Predictions:
    """The run's own predictions in the manifest's order, which is the order of its features."""
    return read_predictions(evidence.fetch(row.run_id, f"predictions/{evidence.own}.csv"), row.run_id, ranked=False)


def _attention(evidence: Evidence, arm: str, row: Row) -> list[Block]:
    with np.load(evidence.fetch(row.run_id, f"attention/{evidence.own}.npz"), allow_pickle=False) as left:
        paths, crops, maps, stages, windows = (left[name] for name in ("paths", "crops", "maps", "stages", "windows"))
    title = evidence.title(arm)
    png = pictures.attention(crops, maps, stages, windows)
    alt = f"{title}: {len(paths)} test images from the worst to the best score, with maps of where the model looks"
    weights = stages if stages.size else np.full((len(paths), 4), np.nan)
    data = tuple((str(path), *map(float, line)) for path, line in zip(paths, weights, strict=True))
    header = ("path", "stage 1", "stage 2", "stage 3", "stage 4")
    caption = f"{title}, first finished seed: test images from the worst to the best given score."
    caption += _noticed(evidence)
    return [Figure(f"attention-{slug(arm)}", caption, (Panel("maps", png, alt),), header, data, (row.run_id,))]


def _ranking(evidence: Evidence, arm: str, row: Row) -> list[Block]:
    """Order by prediction against order by score, and the images that are farthest off."""
    found, title = _answers(evidence, row), evidence.title(arm)
    png = pictures.ranking(found.scores, found.values, f"{title}: order of {evidence.own}")
    data = tuple(zip(found.paths, found.scores.tolist(), found.values.tolist(), strict=True))
    alt = f"{title}: rank by prediction over rank by given score, {len(found.paths)} images"
    caption = f"{title}, first finished seed: order by prediction against the given order."
    runs = (row.run_id,)
    header = ("path", "score", "prediction")
    figure = Figure(f"ranking-{slug(arm)}", caption, (Panel("ranks", png, alt),), header, data, runs)
    worst = metrics.farthest_off(found.values, found.scores)
    rows = tuple(tuple(_worst(found, at, row)) for at in worst)
    name = f"worst-{slug(arm)}"
    head = say(f"{title}: the {len(rows)} images whose prediction is farthest off.")
    return [figure, Table(name, head, ("Image", "Given", "Predicted"), rows, stack=True, fold=True)]


def _worst(found: Predictions, at: int, row: Row) -> list[Cell]:
    runs, what = (row.run_id,), found.paths[at]
    values = {"given": float(found.scores[at]), "predicted": float(found.values[at])}
    return [say(what), *((Number((v,), "{0:.3f}", runs, f"{name} score of {what}"),) for name, v in values.items())]


def _pictured(evidence: Evidence, arm: str, row: Row) -> list[Block]:
    """The pictures themselves: a strip in the predicted order, and those whose prediction is farthest off."""
    found, title = _answers(evidence, row), evidence.title(arm)
    with np.load(evidence.fetch(row.run_id, f"pictures/{evidence.own}.npz"), allow_pickle=False) as left:
        paths, orders = left["paths"].tolist(), {name: left[name].tolist() for name in ("strip", "worst")}
        jpegs = [left[str(at)].tobytes() for at in range(len(paths))]
    rows = {path: (given, said) for path, given, said in zip(found.paths, found.scores, found.values, strict=True)}
    told = {
        "strip": f"{title}, first finished seed: test images in the predicted order, lowest first, at equal steps.",
        "worst": f"{title}, first finished seed: the {len(orders['worst'])} test images farthest off, the worst first.",
    }
    return [
        _sheet(f"pictures-{name}-{slug(arm)}", told[name] + _noticed(evidence), paths, jpegs, orders[name], rows, row)
        for name in told
    ]


def _sheet(
    name: str,
    caption: str,
    paths: Sequence[str],
    jpegs: Sequence[bytes],
    order: Sequence[int],
    rows: Mapping[str, tuple[float, float]],
    run: Row,
) -> Figure:
    from iqa import images  # here, since it brings torch

    shown = [images.decode(jpegs[at], paths[at]).permute(1, 2, 0).numpy() for at in order]
    data = tuple((paths[at], *map(float, rows[paths[at]])) for at in order)
    png = pictures.sheet(shown, [f"predicted {said:.3f}\ngiven {given:.3f}" for _, given, said in data])
    alt = f"{caption} " + "; ".join(f"{path}: predicted {said:.3f}, given {given:.3f}" for path, given, said in data)
    return Figure(name, caption, (Panel("pictures", png, alt),), ("path", "score", "prediction"), data, (run.run_id,))


def _noticed(evidence: Evidence) -> str:
    """What the caption of pictures of the experiment's own set says of their copyright."""
    if evidence.own not in evidence.experiment.get("notices", {}):
        return ""
    return " The notice of copyright of these pictures is in the appendix."


def by_family(evidence: Evidence, target: str) -> Figure | None:
    """Each arm's SRCC within each distortion of a target, mean over seeds; None where the set names none."""
    from iqa import metrics

    found: dict[str, dict[str, list[float]]] = {}
    data, rows = [], []
    for arm, seed in product(evidence.arms, evidence.seeds):
        row = evidence.run("evaluate", arm, seed)
        answer = evidence.predictions("evaluate", arm, seed, target) if row else None
        if row is None or not isinstance(answer, Predictions):
            continue
        for family in sorted({str(name) for name in answer.families if name and name != "reference"}):
            at = answer.families == family
            value = metrics.srcc(answer.values[at], answer.scores[at])
            if np.isfinite(value):
                found.setdefault(arm, {}).setdefault(family, []).append(value)
                data.append((arm, seed, family, value))
                rows.append(row.run_id)
    families = sorted({family for values in found.values() for family in values})
    if not families:
        return None
    titles = {arm: evidence.title(arm) for arm in evidence.arms}
    png = plots.dots(found, families, f"SRCC within each distortion of {target}", titles, "SRCC")
    alt = f"Dot plot of SRCC on {target} within {', '.join(families)}; every seed of every arm is a dot"
    caption = f"SRCC on {target} within each distortion, every seed a dot."
    header = ("arm", "seed", "family", "srcc")
    runs = tuple(dict.fromkeys(rows))
    return Figure(f"families-{slug(target)}", caption, (Panel("families", png, alt),), header, tuple(data), runs)


def _bars(evidence: Evidence, told: dict) -> Figure | None:
    key = tested(evidence.own, "srcc")
    values, data, runs = {}, [], []
    for line in told["rows"]:
        every: Sequence[Row] = evidence.runs("finetune", line["arm"])
        rows = [row for row in every if np.isfinite(row.metrics.get(key, np.nan))]
        if rows:
            values[line["label"]] = [row.metrics[key] for row in rows]
            data += [(line["label"], row.tags.get("seed", ""), row.metrics[key]) for row in rows]
            runs += [row.run_id for row in rows]
    if not values:
        return None
    png = pictures.bars(values, told["title"], f"SRCC on {evidence.own}")
    alt = f"{told['title']}: bars at the mean, dots for seeds, of {', '.join(values)}"
    name = f"bars-{slug(told['title'])}"
    caption = f"{told['title']}: bars at the mean over seeds, every seed a dot."
    ids = tuple(dict.fromkeys(runs))
    return Figure(name, caption, (Panel("bars", png, alt),), (told["what"], "seed", "srcc"), tuple(data), ids)
