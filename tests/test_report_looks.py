"""Figures of features, attention, ranking and families, from what the runs left; their csv and their words."""

import numpy as np
import pytest
import torch

from iqa import images, metrics
from iqa.report import looks
from iqa.report.document import Figure, Table, walk
from tests.report_toy import make

COUNT = 24  # images of the toy's sets


@pytest.fixture
def store(tmp_path):
    made = make(tmp_path)
    random = np.random.default_rng(0)
    for row in made.rows:
        file = made.answers(row, "sample")
        if file.exists():
            np.save(file.with_suffix(".npy"), random.normal(size=(COUNT, 6)))
            with file.with_suffix(".npz").open("wb") as out:
                np.savez(
                    out,
                    paths=np.array(["000.png", "001.png"]),
                    crops=random.integers(0, 255, (2, 8, 8, 3), dtype=np.uint8),
                    maps=random.random((2, 3, 3)),
                    stages=np.full((2, 4), 0.25),
                    windows=np.zeros((2, 0, 0)),
                )
            leave_pictures(made.folder / row.run_id / "pictures", random)
        target = made.answers(row, "optics")
        if target.exists():
            lines = target.read_text().splitlines()
            kinds = ["family", *(["jpeg", "lens_blur"] * (COUNT // 2))]
            target.write_text("\n".join(f"{a},{b}" for a, b in zip(lines, kinds, strict=True)) + "\n")
    return made


def leave_pictures(folder, random):
    """Four thumbnails, of which a strip shows three and the worst are two."""
    jpegs = [
        images.thumbnail(torch.from_numpy(random.integers(0, 255, (3, 12, 16), dtype=np.uint8)), 16) for _ in "1234"
    ]
    folder.mkdir()
    places = {str(at): np.frombuffer(jpeg, np.uint8) for at, jpeg in enumerate(jpegs)}
    paths = np.array(["000.png", "001.png", "002.png", "003.png"])
    np.savez(folder / "sample.npz", paths=paths, worst=np.array([3, 1]), strip=np.array([0, 1, 2]), **places)


def figures(store, **changes):
    return {block.name: block for block in walk(looks.looks(store.evidence(**changes))) if isinstance(block, Figure)}


def test_every_arm_has_its_feature_space_attention_and_ranking_with_data_behind(store):
    found = figures(store)
    names = {f"{kind}-{arm}" for kind in ("tsne", "attention", "ranking") for arm in ("baseline", "pretrained")}
    assert names <= found.keys()
    assert len(found["tsne-baseline"].data) == COUNT and len(found["attention-baseline"].data) == 2
    assert all(len(panel.alt) > 10 for figure in found.values() for panel in figure.panels)


def test_pictures_of_a_set_with_a_notice_say_where_it_is(store):
    assert "notice" not in figures(store)["attention-baseline"].caption
    noticed = figures(store, notices={"sample": "Copyright"})["attention-baseline"].caption
    assert noticed.endswith("The notice of copyright of these pictures is in the appendix.")


def test_the_same_features_give_the_same_places(store):
    features = np.random.default_rng(1).normal(size=(30, 5))
    assert np.array_equal(looks.tsne(features), looks.tsne(features))


def test_distortions_are_shown_where_a_target_names_them(store):
    found = figures(store)
    assert {row[2] for row in found["families-optics"].data} == {"jpeg", "lens_blur"}
    assert "families-sensor" not in found


def test_the_worst_images_are_those_farthest_from_their_score(store):
    tables = [b for b in walk(looks.looks(store.evidence())) if isinstance(b, Table) and b.name == "worst-baseline"]
    gaps = [abs(row[1][0].values[0] - row[2][0].values[0]) for row in tables[0].rows]
    assert len(gaps) == metrics.FARTHEST and gaps == sorted(gaps, reverse=True)


def test_ablation_bars_have_a_dot_for_every_seed(store):
    told = [{"title": "Epochs", "what": "Epochs", "rows": [{"label": "0", "arm": "baseline"}]}]
    assert len(figures(store, ablations=told)["bars-Epochs"].data) == 3


def test_a_run_that_left_nothing_is_said_to_have_left_nothing(store):
    store.answers(store.run("finetune", "baseline", 0), "sample").with_suffix(".npy").unlink()
    assert "tsne-baseline" not in figures(store)


def test_the_worst_images_and_a_strip_are_shown_as_pictures_with_their_scores(store):
    found = figures(store, notices={"sample": "Copyright"})
    strip, worst = found["pictures-strip-baseline"], found["pictures-worst-baseline"]
    assert [row[0] for row in worst.data] == ["003.png", "001.png"] and len(strip.data) == 3
    said = {row[0]: row[1:] for row in found["ranking-baseline"].data}
    assert all(row[1:] == said[row[0]] for row in (*strip.data, *worst.data))
    assert f"003.png: predicted {said['003.png'][1]:.3f}, given {said['003.png'][0]:.3f}" in worst.panels[0].alt
    assert all(
        one.caption.endswith("The notice of copyright of these pictures is in the appendix.") for one in (strip, worst)
    )


def test_a_run_without_pictures_loses_only_them(store):
    (store.folder / store.run("finetune", "baseline", 0).run_id / "pictures" / "sample.npz").unlink()
    found = figures(store)
    assert "ranking-baseline" in found and "pictures-strip-baseline" not in found
