"""Work on many files."""

from __future__ import annotations

import gc
import os
import signal

from gradls.cli.pool import ENOUGH_FOR_PROCESSES, work

MANY = list(range(ENOUGH_FOR_PROCESSES + 30))


def process_of(task: int) -> tuple[int, int]:
    return task, os.getpid()


def dies_at_7(task: int) -> int:
    if task == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * 2


def lost(task: int) -> int:
    return -1


def test_few_tasks_stay_in_this_process():
    assert {pid for _, pid in work(process_of, MANY[:5], lost, 2)} == {os.getpid()}


def test_many_tasks_are_shared_and_come_back_in_order():
    results = work(process_of, MANY, lost, 2)
    assert [task for task, _ in results] == MANY
    assert os.getpid() not in {pid for _, pid in results}


def test_a_task_that_kills_its_process_costs_itself_only():
    assert work(dies_at_7, MANY, lost, 2) == [-1 if task == 7 else task * 2 for task in MANY]


def test_the_collector_is_on_again_afterwards():
    work(process_of, MANY[:5], lost, 1)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
