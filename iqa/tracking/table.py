"""MLflow's table of an experiment's runs with columns that say how they went.

On its own the table shows dates and durations. MLflow's pages take a view of it from a tag of the experiment, as they
leave one when somebody shares a view; the address names the tag.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from iqa.tracking import store
from iqa.tracking.patience import patient
from iqa.tracking.reading import RunRow

VIEW = "mlflow.sharedViewState."
TAGS = ("stage", "arm", "seed", "fold")
METRICS = re.compile(r"best/(val_srcc|epoch)|final/ordering|test/[^/]+/srcc")


@patient
def table_url(name: str, rows: Sequence[RunRow]) -> str:
    """The address of the table of the steps that the experiment `name` began, with what `rows` have of the columns."""
    tags = [f"tags.`{tag}`" for tag in TAGS if any(tag in row.tags for row in rows)]
    metrics = sorted({f"metrics.`{key}`" for row in rows for key in row.metrics if METRICS.fullmatch(key)})
    view = {
        "searchFilter": f"tags.experiment = '{name}' AND tags.arm LIKE '%'",
        "orderByKey": "tags.`mlflow.runName`",  # by time, the page folds them away below their parent
        "orderByAsc": True,
        "selectedColumns": [*tags, *metrics],
    }
    own = [row for row in rows if row.tags.get("experiment") == name] or rows  # others were reused
    experiment, key = Counter(row.experiment_id for row in own).most_common(1)[0][0], f"iqa-{name}"
    store.client().set_experiment_tag(experiment, f"{VIEW}{key}", json.dumps(view))
    return f"{store.ui()}/#/experiments/{experiment}/runs?viewStateShareKey={quote(key)}&{store.TRAINING}"
