"""Where boxes and arrows go: Graphviz's `dot` if there is one, else grandalf."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradls.picture.model import Box, Picture

log = logging.getLogger(__name__)

Point = tuple[float, float]

HEIGHT = 44.0
LEAST_WIDTH = 84.0
GAP_ACROSS, GAP_DOWN = 26.0, 34.0
MARGIN = 12.0
POINTS_PER_INCH = 72.0
SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Route:
    """The way of an arrow: the corners of a line, or (`curved`) a point and then three for each Bézier curve."""

    points: tuple[Point, ...]
    curved: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """In pixels from the top left corner: the middles of the boxes by id, their widths, the arrows in the order of the
    picture, and how large it all is."""

    middles: Mapping[str, Point]
    widths: Mapping[str, float]
    routes: Sequence[Route]
    width: float
    height: float


def lay_out(picture: Picture, graphviz: bool = True) -> Layout:
    """The places of what is in a picture; `graphviz=False` does without `dot`."""
    widths = {box.id: width_of(box) for box in picture.boxes}
    placed = _by_graphviz(picture, widths) if graphviz else None
    middles, routes = placed if placed is not None else _by_grandalf(picture, widths)
    return _from_corner(middles, widths, routes)


def width_of(box: Box) -> float:
    """How wide a box must be for its two lines, in pixels."""
    return max(LEAST_WIDTH, 24 + 8.4 * _columns(box.label), 22 + 6.3 * _columns(box.note))


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _from_corner(middles: dict[str, Point], widths: dict[str, float], routes: list[Route]) -> Layout:
    xs = [middles[name][0] + side * width / 2 for name, width in widths.items() for side in (-1, 1)]
    ys = [y + side * HEIGHT / 2 for _, y in middles.values() for side in (-1, 1)]
    xs += [x for route in routes for x, _ in route.points]
    ys += [y for route in routes for _, y in route.points]
    left, top = min(xs) - MARGIN, min(ys) - MARGIN

    def moved(point: Point) -> Point:
        return round(point[0] - left, 1), round(point[1] - top, 1)

    return Layout(
        {name: moved(point) for name, point in middles.items()},
        widths,
        [Route(tuple(map(moved, route.points)), route.curved) for route in routes],
        round(max(xs) - left + MARGIN, 1),
        round(max(ys) - top + MARGIN, 1),
    )


# -- Graphviz


def _dot() -> str | None:
    """The `dot` on the search path; not one in the working directory, where Windows looks first, or in a folder below
    it, which a relative part of the path means."""
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(folder)]
    found = shutil.which("dot", path=os.pathsep.join(folders))
    return (
        found if found and os.path.isabs(found) and os.path.dirname(found) in map(os.path.normpath, folders) else None
    )


def _by_graphviz(picture: Picture, widths: Mapping[str, float]) -> tuple[dict[str, Point], list[Route]] | None:
    """None if there is no Graphviz, or if it fails. It gets to see sizes only, no text."""
    command = _dot()
    if command is None:
        return None
    inch = POINTS_PER_INCH
    lines = [
        "digraph {",
        f"nodesep={GAP_ACROSS / inch:.3f}; ranksep={GAP_DOWN / inch:.3f};",
        f'node [shape=box, fixedsize=true, label="", height={HEIGHT / inch:.3f}]; edge [arrowhead=none];',
        *(f"{name} [width={width / inch:.3f}];" for name, width in widths.items()),
        *(f"{arrow.start} -> {arrow.end};" for arrow in picture.arrows),
        "}",
    ]
    try:
        run = subprocess.run(
            [command, "-Tplain"],
            input="\n".join(lines).encode("ascii"),
            capture_output=True,
            timeout=SECONDS,
            check=True,
            cwd=tempfile.gettempdir(),
        )
        return _read_plain(run.stdout.decode("ascii"), picture)
    except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
        log.info("Graphviz did not lay the picture out: %s", error)
        return None


def _read_plain(text: str, picture: Picture) -> tuple[dict[str, Point], list[Route]]:
    middles: dict[str, Point] = {}
    routes: dict[tuple[str, str], Route] = {}
    for line in text.splitlines():
        kind, *words = line.split()
        if kind == "node":
            middles[words[0]] = float(words[1]) * POINTS_PER_INCH, -float(words[2]) * POINTS_PER_INCH
        elif kind == "edge":
            numbers = [float(word) * POINTS_PER_INCH for word in words[3 : 3 + 2 * int(words[2])]]
            points = tuple((x, -y) for x, y in zip(numbers[::2], numbers[1::2], strict=True))
            routes[words[0], words[1]] = Route(points, True)
    return {box.id: middles[box.id] for box in picture.boxes}, [routes[a.start, a.end] for a in picture.arrows]


# -- grandalf


class _View:
    """What grandalf wants to know of a box."""

    def __init__(self, width: float) -> None:
        self.w, self.h = width, HEIGHT
        self.xy: Point = (0.0, 0.0)


def _by_grandalf(picture: Picture, widths: Mapping[str, float]) -> tuple[dict[str, Point], list[Route]]:
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout
    from grandalf.routing import EdgeViewer, route_with_lines

    vertices: dict[str, Any] = {}
    for box in picture.boxes:
        vertices[box.id] = vertex = Vertex(box.id)
        vertex.view = _View(widths[box.id])
    # It puts what has no input into the first row. Upside down that is the end of the picture, and parameters stand
    # next to what uses them.
    edges = []
    for arrow in picture.arrows:
        edge = Edge(vertices[arrow.end], vertices[arrow.start])
        edge.view = EdgeViewer()
        edges.append(edge)
    graph = Graph(list(vertices.values()), edges)
    right = 0.0
    for part in sorted(graph.C, key=lambda part: -len(part.sV)):
        names = [vertex.data for vertex in part.sV]
        if len(names) > 1:
            layout = SugiyamaLayout(part)
            layout.xspace, layout.yspace = GAP_ACROSS, GAP_DOWN
            layout.route_edge = route_with_lines
            layout.init_all()
            layout.draw(4)
        right = _put_beside(part, widths, right)
    middles = {name: (vertex.view.xy[0], -vertex.view.xy[1]) for name, vertex in vertices.items()}
    routes = [Route(tuple((x, -y) for x, y in reversed(edge.view._pts)), False) for edge in edges]
    return middles, routes


def _put_beside(part: Any, widths: Mapping[str, float], right: float) -> float:
    """Move a part of the graph to the right of what is placed already; where it ends."""
    bottom = max(vertex.view.xy[1] for vertex in part.sV)  # The top, once it is turned round.
    left = min(vertex.view.xy[0] - widths[vertex.data] / 2 for vertex in part.sV)
    shift = right - left
    for vertex in part.sV:
        vertex.view.xy = vertex.view.xy[0] + shift, vertex.view.xy[1] - bottom
    for edge in part.sE:
        edge.view._pts = [(x + shift, y - bottom) for x, y in edge.view._pts]
    return max(vertex.view.xy[0] + widths[vertex.data] / 2 for vertex in part.sV) + 2 * GAP_ACROSS
