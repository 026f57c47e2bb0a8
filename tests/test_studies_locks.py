"""Locks of studies: one holder at a time, waited for with patience and not without a word."""

import signal
import threading
import time
from contextlib import closing

import pytest

from benchmarks import postgres
from iqa import tracking
from iqa.tracking import signals
from studies.search import claims, locks
from studies.search.database import Database
from studies.search.locks import held


@pytest.fixture
def place(tmp_path):
    with closing(Database(f"sqlite:///{tmp_path}/optuna.db", 60, claims.again)) as opened:
        yield opened


@pytest.fixture
def busy(place):
    """A lock, and a function that has another thread hold it for some seconds."""
    threads = []

    def hold(seconds):
        other, taken = place.lock("study x"), threading.Event()

        def life():
            with held(other):
                taken.set()
                time.sleep(seconds)

        threads.append(threading.Thread(target=life))
        threads[-1].start()
        taken.wait()
        return place.lock("study x")

    yield hold
    for thread in threads:
        thread.join()


def test_one_at_a_time_holds_a_lock_and_another_name_is_another_lock(place):
    with held(place.lock("a/b")):
        assert not place.lock("a/b").take()
        other = place.lock("c")
        assert other.take() and other.keep()
        other.leave()
    assert place.lock("a/b").take()


def test_who_waits_says_once_what_for(busy, monkeypatch, caplog):
    monkeypatch.setattr(locks, "LONG", 0.1)
    with held(busy(0.5)):
        assert caplog.text.count("Another process holds the lock 'study x'") == 1


def test_who_is_asked_to_stop_waits_for_no_lock_unless_it_is_to_give_something_back(place, busy, monkeypatch):
    monkeypatch.setattr(signals, "_asked", signal.SIGTERM)
    with held(place.lock("study x")):
        lock = place.lock("study x")
        with pytest.raises(tracking.Stopped), held(lock):
            pass
        with pytest.raises(locks.Occupied, match="'study x' was not free within 0.1 s"), held(lock, 0.1):
            pass
    with held(busy(0.5), 60):
        pass


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL that can be stopped and started again."""
    if not postgres.installed():
        pytest.skip("no PostgreSQL server here")
    with postgres.Server() as running:
        yield running


@pytest.fixture
def shared(server):
    with closing(Database(server.address, 1, claims.again)) as opened:
        yield opened


@pytest.mark.processes
def test_the_locks_of_a_postgresql_end_with_their_session_and_can_be_kept_over_an_outage(server, shared):
    first, second = shared.lock("a"), shared.lock("a")
    assert first.take() and not second.take() and first.keep()
    first.leave()
    assert second.take() and second.keep()
    server.restart()
    assert second.keep() and not first.take() and not first.keep()
    second.leave()
    assert first.keep()
    first.leave()


@pytest.mark.processes
def test_a_study_s_lock_is_taken_from_a_process_that_is_stopped_and_the_lead_is_not(shared):
    lock, lead = shared.study_lock("x"), shared.lock("lead x")
    assert lock.take() and lead.take() and not shared.study_lock("x").take()
    time.sleep(1.5)  # longer than grace
    other = shared.study_lock("x")
    assert other.take() and not shared.lock("lead x").take()
    for one in (lock, lead, other):
        one.leave()
