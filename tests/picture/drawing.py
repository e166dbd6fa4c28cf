"""Pictures of small programs."""

from __future__ import annotations

from gradls.picture.draw import picture
from gradls.picture.model import Picture
from gradls.workspace.session import Session


def drawn(text: str, line: int | None = None, most: int = 60) -> Picture:
    """The picture of a program for a line, by default the last line that calls `backward()`."""
    if line is None:
        line = max(number for number, row in enumerate(text.splitlines(), 1) if ".backward(" in row)
    session = Session()
    session.open("train.py", text)
    return picture(session, "train.py", line, most)


def rows(picture: Picture) -> list[str]:
    """The boxes, each with what goes into it: `+` with gradient, `-` without, `?` not known."""
    labels = {box.id: box.label for box in picture.boxes}
    sign = {True: "+", False: "-", None: "?"}
    found = []
    for box in picture.boxes:
        inputs = [f"{sign[arrow.gradient]}{labels[arrow.start]}" for arrow in picture.arrows if arrow.end == box.id]
        found.append(
            f"{box.kind} {box.state}: {box.label} | {box.note}" + (f" < {', '.join(inputs)}" if inputs else "")
        )
    return found
