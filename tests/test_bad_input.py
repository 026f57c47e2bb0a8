"""Nothing bad gets in: each case of the tables is met by a command, which ends as it should and says what it should."""

import os

import bad_input
import pytest
from bad_input import PAGE, READ, cases, page, tried

CASES = cases()
TRIED = {}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's remarks on damaged metadata are not ours
@pytest.mark.parametrize("case", CASES, ids=[f"{case.kind}: {case.what}" for case in CASES])
def test_bad_input_ends_with_two_and_one_sentence_and_odd_input_is_read(case, home, tmp_path):
    before = sorted(os.listdir(home))
    outcome = TRIED[case] = tried(case, tmp_path)
    assert outcome.code == case.code, outcome.said
    assert case.says in outcome.said and "Traceback" not in outcome.said
    if case.code == READ and not case.says:
        assert outcome.said == ""
    left = set(os.listdir(home)) - set(before)
    assert left <= {"DATA", "cache", "x.csv", "x.png", "runs"}, "something that a name said was executed"
    assert not list(home.glob("runs/**/checkpoints")), "a step was made before the refusal"


def test_there_are_more_than_seventy_cases_each_with_a_name_of_its_own():
    assert len({(case.kind, case.what) for case in CASES}) == len(CASES) > 70


def test_the_documentation_s_table_is_what_the_commands_say_now():
    if len(TRIED) < len(CASES):
        pytest.skip("the other tests of this file were left out")
    wanted = page([(case, TRIED[case]) for case in CASES])
    assert PAGE.read_text("utf-8") == wanted, f"write it again: python -m {bad_input.__name__}"
