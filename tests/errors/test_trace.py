"""Tracebacks as people paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.errors.trace import Frame, read_trace

MESSAGE = "element 0 of tensors does not require grad and does not have a grad_fn"
TRACEBACK = f"""\
Traceback (most recent call last):
  File "/home/ann/net/train.py", line 12, in <module>
    main()
  File "/home/ann/net/train.py", line 8, in main
    loss.backward(
    ~~~~~~~~~~~~~^
  File "/opt/venv/lib/python3.12/site-packages/torch/_tensor.py", line 623, in backward
    torch.autograd.backward(
RuntimeError: {MESSAGE}
"""
LIBRARY = "/opt/venv/lib/python3.12/site-packages/torch/_tensor.py"
FRAMES = [
    Frame("/home/ann/net/train.py", 12, "<module>", "main()"),
    Frame("/home/ann/net/train.py", 8, "main", "loss.backward("),
    Frame(LIBRARY, 623, "backward", "torch.autograd.backward("),
]


def check(text: str) -> None:
    """It tells of that one error."""
    trace = read_trace(text)
    (raised,) = trace.raised
    assert (raised.type, raised.message) == ("RuntimeError", MESSAGE)
    assert raised.frames == FRAMES
    assert [frame.is_library for frame in raised.frames] == [False, False, True]


def test_as_python_prints_it():
    check(TRACEBACK)


def test_without_its_first_line():
    check(TRACEBACK.partition("\n")[2])


def test_the_last_one_of_a_log():
    other = TRACEBACK.replace(MESSAGE, "something else").replace("train.py", "other.py")
    check(f"epoch 1: loss 0.3\n{other}epoch 2: loss: 0.2\n\n{TRACEBACK}epoch 3\nwandb: Run summary:\nbye\n")


def test_with_the_name_of_a_process_before_each_line():
    def named(name: str, text: str) -> list[str]:
        return [f"{name}{line}" for line in text.splitlines()]

    one, two = named("[rank0]: ", TRACEBACK), named("[rank1]: ", TRACEBACK.replace("train.py", "other.py"))
    mixed = [line for pair in zip(two, one, strict=True) for line in pair]
    check("\n".join(["started", *mixed]))
    check("\n".join(named("trainer-1  | ", TRACEBACK)))


def test_with_the_time_before_each_line():
    lines = [f"2024-05-01T10:00:{second:02}.5Z {line}" for second, line in enumerate(TRACEBACK.splitlines())]
    check("\n".join(lines))


def test_only_the_first_line_is_logged_with_the_time():
    check(f"2024-05-01 10:00:00,123 ERROR {TRACEBACK}")


def test_with_windows_line_ends_and_colours():
    check(TRACEBACK.replace("\n", "\r\n"))
    check(TRACEBACK.replace("RuntimeError", "\x1b[1;35mRuntimeError\x1b[0m").replace('"/home', '\x1b[35m"/home'))


def test_a_chain():
    outer = TRACEBACK.replace(f"RuntimeError: {MESSAGE}", "ValueError: training failed").replace("line 8", "line 9")
    link = "\nThe above exception was the direct cause of the following exception:\n\n"
    first, second = read_trace(TRACEBACK.replace("line 12", "line 1") + TRACEBACK + link + outer).raised
    assert (first.message, first.frames) == (MESSAGE, FRAMES)
    assert (second.type, second.message) == ("ValueError", "training failed")
    assert second.frames[1].line == 9


def test_of_a_worker_process():
    said = f"RuntimeError: Caught RuntimeError in DataLoader worker process 0.\nOriginal {TRACEBACK}"
    outer, inner = read_trace(TRACEBACK.replace(f"RuntimeError: {MESSAGE}\n", said)).raised
    assert outer.message == "Caught RuntimeError in DataLoader worker process 0."
    assert inner.message == MESSAGE


def test_of_a_notebook():
    trace = read_trace(
        "\x1b[0;31m---------------------------------------------------------------------------\x1b[0m\n"
        "\x1b[0;31mRuntimeError\x1b[0m                              Traceback (most recent call last)\n"
        "Cell \x1b[0;32mIn[7], line 2\x1b[0m\n"
        "\x1b[1;32m      1\x1b[0m step = 1\n"
        "\x1b[0;32m----> 2\x1b[0m \x1b[43mtrain\x1b[49m\x1b[43m(\x1b[49m\x1b[43mloss\x1b[49m\x1b[43m)\x1b[49m\n"
        "\n"
        "File \x1b[0;32m~/net/train.py:8\x1b[0m, in \x1b[0;36mtrain\x1b[0;34m(loss)\x1b[0m\n"
        "\x1b[1;32m      6\x1b[0m def train(loss):\n"
        "\x1b[0;32m----> 8\x1b[0m     loss.backward()\n"
        "\n"
        f"\x1b[0;31mRuntimeError\x1b[0m: {MESSAGE}"
    )
    (raised,) = trace.raised
    assert (raised.type, raised.message) == ("RuntimeError", MESSAGE)
    cell, file = raised.frames
    assert (cell.cell, cell.line, cell.text) == (7, 2, "train(loss)")
    assert (file.path, file.line, file.name, file.text) == ("~/net/train.py", 8, "train", "loss.backward()")


def test_of_an_older_notebook():
    trace = read_trace(
        "RuntimeError                              Traceback (most recent call last)\n"
        "<ipython-input-3-52b8a17f9d38> in <module>\n"
        "      1 x = 1\n"
        "----> 2 loss.backward()\n"
        "\n"
        "/usr/lib/python3/dist-packages/torch/tensor.py in backward(self, gradient)\n"
        "--> 118         torch.autograd.backward(self, gradient)\n"
        "\n"
        f"RuntimeError: {MESSAGE}\n"
    )
    (raised,) = trace.raised
    assert raised.message == MESSAGE
    assert [(frame.cell, frame.line, frame.is_library) for frame in raised.frames] == [(3, 2, False), (None, 118, True)]


def test_the_forward_that_anomaly_mode_prints():
    forward = (
        f"{LIBRARY}:979: UserWarning: Error detected in SqrtBackward0. "
        "Traceback of forward call that caused the error:\n"
        '  File "/home/ann/net/train.py", line 5, in <module>\n'
        "    y = x.sqrt()\n"
        " (Triggered internally at python_anomaly_mode.cpp:122.)\n"
        "  return Variable._execution_engine.run_backward(\n"
    )
    trace = read_trace(forward + TRACEBACK)
    assert trace.node == "SqrtBackward0"
    assert trace.forward == [Frame("/home/ann/net/train.py", 5, "<module>", "y = x.sqrt()")]
    check(forward + TRACEBACK)


def test_a_message_alone():
    for text in (MESSAGE, f"RuntimeError: {MESSAGE}", f"I get `RuntimeError: {MESSAGE}` here"):
        (raised,) = read_trace(text).raised
        assert MESSAGE in raised.said
        assert not raised.frames


def test_a_warning_with_its_place():
    text = "net/train.py:7: UserWarning: To copy construct from a tensor\n  w = torch.tensor(w)\n"
    (raised,) = read_trace(text).raised
    assert (raised.type, raised.message) == ("UserWarning", "To copy construct from a tensor")
    assert raised.frames == [Frame("net/train.py", 7, "", "w = torch.tensor(w)")]


@given(st.text(st.sampled_from('Traceback (most cn l)\n: File"x.py", line 3in[]0-> RuntimeError\x1b[m|é\t\\')))
def test_any_text_is_read(text: str):
    assert read_trace(text).raised


@pytest.mark.parametrize(
    "part", ["a.", "x.py ", "Error: ", " ", "\x1b[", 'File "', "[0] Traceback (most recent call last):\n"]
)
def test_long_texts_are_read(part: str):
    assert read_trace(part * 20_000).raised


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), max_size=5))
def test_what_is_logged_before_and_after_changes_nothing(lines: list[str]):
    noise = "".join(f"log {line}\n" for line in lines)
    check(f"{noise}{TRACEBACK}\n{noise}")
