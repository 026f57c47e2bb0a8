"""The registered model as MLflow loads and serves it: what a request may hold, and what a bad one is told."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from stage_toy import untrained

from benchmarks import postgres
from iqa import served, tracking
from iqa.scorer import Scorer
from iqa.stages.finetune import SERVED
from iqa.tracking import champion


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def pictures(photos):
    return [file.read_bytes() for file in sorted(photos.glob("*.png"))[:3]]


@pytest.fixture(scope="module")
def wanted(model, photos):
    mine = Scorer(model, "cpu")
    return pytest.approx(list(mine.score(map(mine.read, sorted(photos.glob("*.png"))[:3]))), abs=1e-6)


def loaded(model, **config):
    """The model as MLflow's loader leaves it."""
    made = served.Served()
    made.load_context(SimpleNamespace(artifacts={"model": str(model)}, model_config={"device": "cpu"} | config))
    return made


def encoded(content):
    return base64.b64encode(content).decode()


WAYS = {
    "a list of bytes": list,
    "a list of base64": lambda given: [encoded(one) for one in given],
    "data addresses": lambda given: [f"data:image/png;base64,{encoded(one)}" for one in given],
    "base64 in lines": lambda given: [base64.encodebytes(one).decode() for one in given],
    "an array": lambda given: np.array([encoded(one) for one in given]),
    "a column of any name": lambda given: pd.DataFrame({"picture": given}),
    "the column image": lambda given: pd.DataFrame({"id": range(len(given)), "image": given}),
    "a dictionary": lambda given: {"image": [encoded(one) for one in given]},
    "rows": lambda given: [{"image": encoded(one)} for one in given],
}


@pytest.mark.parametrize("way", WAYS)
def test_pictures_may_come_in_every_way_that_mlflow_hands_on(way, model, pictures, wanted):
    answer = loaded(model).predict(None, WAYS[way](pictures))
    assert list(answer["score"]) == wanted
    assert list(answer["opinion"]) == pytest.approx([100 * score for score in answer["score"]])


def test_one_picture_needs_no_list(model, pictures, wanted):
    for one in (pictures[0], bytearray(pictures[0]), memoryview(pictures[0]), encoded(pictures[0])):
        assert len(loaded(model).predict(None, one)) == 1


BAD = {
    "no picture": ([], "there is no picture"),
    "no base64": (["not base64!"], "picture 1 is not base64 (paths are not read)"),
    "an empty word": ([""], "picture 1 is not a picture that can be read"),
    "another file": ([encoded(b"<html>")], "picture 1 is not a picture that can be read"),
    "a number": ([5], "picture 1 is int, not bytes or base64"),
    "nothing": (None, "picture 1 is NoneType, not bytes or base64"),
    "a list in a list": ([["a"]], "picture 1 is list, not bytes or base64"),
    "another key": ({"images": []}, "there is no image among images"),
    "other columns": (pd.DataFrame({"a": ["x"], "b": ["y"]}), "the columns are a, b, and none of them is image"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_malformed_request_gets_a_sentence_with_the_remedy(what, model):
    given, sentence = BAD[what]
    with pytest.raises(served.Refused) as refused:
        loaded(model).predict(None, given)
    assert refused.value.message.startswith(sentence) and refused.value.get_http_status_code() == 400


def test_of_several_pictures_the_bad_one_is_named(model, pictures):
    with pytest.raises(served.Refused, match="^picture 2 is damaged"):
        loaded(model).predict(None, [pictures[0], pictures[1][:700]])


def test_what_the_server_would_put_before_a_sentence_is_left_out():
    refused = served.Refused("A sentence.")
    refused.message = f"Failed to predict data '{'A' * 1000}'. \nError: {refused.message}"
    assert json.loads(refused.serialize_as_json())["message"] == "A sentence."


def test_paths_are_read_for_a_caller_that_asks_for_it_and_never_in_a_server(model, photos, wanted, monkeypatch):
    paths = [str(file) for file in sorted(photos.glob("*.png"))[:3]]
    assert list(loaded(model, paths=True).predict(None, paths)["score"]) == wanted
    with pytest.raises(served.Refused, match="paths are not read"):
        loaded(model).predict(None, paths)
    monkeypatch.setenv(served.IN_SERVER, "true")
    with pytest.raises(served.Refused, match="paths are not read"):
        loaded(model, paths=True).predict(None, paths)


@pytest.fixture
def server(home, model, monkeypatch):
    """`mlflow models serve` of a champion, with pickle disallowed; its address."""
    monkeypatch.setattr(champion, "NAME", home.name)
    about = {"name": "m", "params": {}, "tags": {"preset": "laptop"}}
    with tracking.open_run("finetune", home / "run", **about) as run:
        name = run.model("m", model, {}, SERVED)
        run.candidate(name, 0.5, "d" * 32, "random-60-20-20")
    port = postgres.free_port()
    where = ["-m", f"models:/{home.name}@champion", "-h", "127.0.0.1", "-p", str(port), "--env-manager", "local"]
    environment = os.environ | {
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "OMP_NUM_THREADS": "1",
    }
    with (home / "server.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "models", "serve", *where],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield answering(f"http://127.0.0.1:{port}", process, home / "server.txt")
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


def answering(address, process, log):
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=5).close()
            return address
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())


def asked(address, body, kind="application/json"):
    """Status and answer of a request."""
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.processes
@pytest.mark.timeout(600)  # the server imports everything, twice
def test_mlflow_serves_the_champion_as_evaluate_scores_and_answers_bad_requests_in_sentences(
    server, photos, pictures, wanted
):
    words = [encoded(one) for one in pictures]
    bodies = [{"inputs": words}, {"instances": words}, {"dataframe_records": [{"image": one} for one in words]}]
    for body in bodies:
        status, answer = asked(server, json.dumps(body).encode())
        assert status == 200, answer
        assert [row["score"] for row in json.loads(answer)["predictions"]] == wanted
    path = str(next(photos.glob("*.png")))
    bad = {
        b"no json": "valid JSON",
        b"[]": "Received a list",
        b"{}": "inputs",
        b'{"inputs": []}': "there is no picture",
        b'{"input": "x"}': "there is no image among input",
        b'{"inputs": ["not base64!"]}': "picture 1 is not base64 (paths are not read)",
        json.dumps({"inputs": [path]}).encode(): "picture 1 is not base64 (paths are not read)",
        json.dumps({"inputs": [words[0], encoded(b"<html>")]}).encode(): "picture 2 is not a picture that can be read",
    }
    for body, sentence in bad.items():
        status, answer = asked(server, body)
        assert status == 400 and sentence in answer and "Traceback" not in answer, (body, status, answer)
    status, answer = asked(server, b"", "text/csv")
    assert status == 400 and "Failed to parse input" in answer and "Traceback" not in answer
