"""The gain on sets degraded on purpose against the gain on authentic ones."""

import numpy as np
import pytest

from iqa.report import claims
from iqa.report.document import Number, plain
from iqa.report.domains import domains
from tests.report_toy import make


@pytest.fixture
def store(tmp_path):
    """The target "optics" names a degradation for each image; "sensor" and the experiment's own set name none."""
    made = make(tmp_path)
    for row in made.rows:
        file = made.answers(row, "optics")
        if file.exists():
            lines = file.read_text().splitlines()
            kinds = ["family,level", *["jpeg,1"] * (len(lines) - 1)]
            file.write_text("\n".join(f"{a},{b}" for a, b in zip(lines, kinds, strict=True)) + "\n")
    return made


def told(store, **changes):
    evidence = store.evidence(**changes)
    found = claims.compare(evidence)
    return {one.dataset: one for one in found}, domains(evidence, found)


def test_the_gain_on_the_degraded_set_is_set_against_the_mean_gain_on_the_authentic_ones(store):
    gains, cell = told(store)
    assert "optics (degraded on purpose) " in plain(cell) and "sensor (authentic) " in plain(cell)
    difference = cell[-1]
    by_seed = {name: np.array(one.found.per_seed) for name, one in gains.items()}
    wanted = by_seed["optics"] - (by_seed["sensor"] + by_seed["sample"]) / 2
    assert difference.values[0] == pytest.approx(wanted.mean())
    v_s = wanted.var(ddof=1) / 3
    v_i = gains["optics"].found.V_i + (gains["sensor"].found.V_i + gains["sample"].found.V_i) / 4
    v_e = gains["optics"].found.V_e + (gains["sensor"].found.V_e + gains["sample"].found.V_e) / 4
    half = (difference.values[2] - difference.values[1]) / 2
    assert 1.96 * max(v_s + v_i - v_e, v_s, v_i) ** 0.5 < half  # t is wider than the normal
    assert set(difference.runs) == {run for name in ("optics", "sensor", "sample") for run in gains[name].runs}


def test_where_no_set_is_degraded_on_purpose_nothing_is_set_against_anything(store):
    said = told(store, targets=["sensor"])[1]
    assert "less gain on the authentic" not in plain(said) and isinstance(said[-1], Number)
