"""What can be said on the command line. The commands themselves are not imported here."""

from __future__ import annotations

import argparse

from gradls import __version__


def parser() -> argparse.ArgumentParser:
    """The parser of all commands. What it gives has the name of the command under `command`."""
    parser = argparse.ArgumentParser(
        prog="gradls",
        description="Tells where a PyTorch gradient is lost, corrupted or never applied, and what to write instead.",
    )
    parser.add_argument("--version", action="version", version=f"gradls {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_check(commands)
    _add_merge(commands)
    _add_why(commands)
    _add_explain(commands)
    _add_rules(commands)
    _add_inspect(commands)
    _add_cache(commands)
    _add_graph(commands)
    _add_schema(commands)
    _add_completion(commands)
    _add_server(commands)
    return parser


Commands = argparse._SubParsersAction
FORMATS = ("text", "concise", "json", "github", "gitlab", "junit", "sarif")


def _add_check(commands: Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="report mistakes in files and folders",
        description="Report mistakes in files and folders.",
        epilog="Exit status: 0 nothing at or above --severity, 1 findings, 2 something could not be done (wrong usage, "
        "a file that was named and not read, an internal error), 130 interrupted.",
    )
    _add_inputs(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the report there; a summary goes to stdout")
    parser.add_argument("--statistics", action="store_true", help="how often each rule found something, and no more")
    parser.add_argument(
        "--select", type=_list, action="extend", metavar="RULES", help="only these codes, beginnings of codes or names"
    )
    parser.add_argument(
        "--ignore", type=_list, action="extend", metavar="RULES", help="not these, besides what the configuration says"
    )
    parser.add_argument("--fix", action="store_true", help="make safe fixes, then report what is left")
    parser.add_argument("--diff", action="store_true", help="print what --fix would change; change nothing")
    parser.add_argument("--unsafe-fixes", action="store_true", help="make fixes that want a reader, too")
    parser.add_argument("--watch", action="store_true", help="check again whenever a file changes, until Ctrl-C")
    _add_baseline(parser)
    _add_severity(parser)
    parser.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="let the workers of the Dask scheduler there do it, which see the files at the same paths",
    )
    parser.add_argument("--shard", type=_shard, metavar="I/N", help="only the I-th of N parts of the files")


def _add_baseline(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("known findings")
    group.add_argument(
        "--baseline",
        metavar="FILE",
        help="report only what this file does not list (default: as configured)",
    )
    group.add_argument(
        "--no-baseline", action="store_false", dest="use_baseline", help="report all, whatever the configuration says"
    )
    change = group.add_mutually_exclusive_group()
    change.add_argument(
        "--write-baseline",
        action="store_true",
        help="list all that is found in that file (default: gradls-baseline.json), so that only what is new counts",
    )
    change.add_argument("--prune-baseline", action="store_true", help="remove from the file what is not found any more")


def _add_severity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--severity",
        choices=["error", "warning", "information", "hint"],
        default="warning",
        help="the least severity that makes the exit status 1 (default: warning)",
    )
    parser.add_argument("--exit-zero", action="store_true", help="exit with 0 though there are findings")


def _add_merge(commands: Commands) -> None:
    parser = commands.add_parser(
        "merge",
        help="make one report of those that several machines wrote",
        description="Make one report of those that `gradls check --shard` wrote with --format json or sarif. What is "
        "in several of them is told once.",
        epilog="Exit status: 0 nothing at or above --severity, 1 findings, 2 usage or internal error.",
    )
    parser.add_argument("reports", nargs="+", metavar="REPORT")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the report there (default: stdout)")
    _add_severity(parser)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", default=["."], metavar="PATH", help="files or folders; - for stdin")
    _add_ways(parser)


def _add_ways(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stdin-filename", metavar="NAME", help="what the text on stdin is called")
    parser.add_argument("--config", metavar="FILE", help="a TOML file to use instead of those found near the files")
    parser.add_argument("--jobs", type=_positive, metavar="N", help="how many processes (default: one per core)")
    parser.add_argument("--python", metavar="PATH", help="the interpreter in whose environment imports are looked up")
    parser.add_argument(
        "--resolve",
        action=argparse.BooleanOptionalAction,
        help="look up what imported names are, which takes seconds (default: for up to 20 files)",
    )

    parser.add_argument(
        "--cache",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="use what was found before as far as nothing has changed, and keep it (default: yes)",
    )
    _add_cache_folder(parser)


def _add_cache_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache-dir",
        metavar="FOLDER",
        help="where that is kept (default: $GRADLS_CACHE_DIR, or the user's cache folder)",
    )


def _add_explain(commands: Commands) -> None:
    parser = commands.add_parser(
        "explain",
        help="what a rule finds and why, what a message means, whether a belief about autograd is true",
        description="Explain a rule by its code or name, or a message of PyTorch, or search all of these and a list of "
        'false beliefs about autograd: gradls explain "does h * 2.0 detach h?"',
    )
    parser.add_argument("topic", nargs="+", metavar="CODE|NAME|WORDS")


def _add_why(commands: Commands) -> None:
    parser = commands.add_parser(
        "why",
        help="what an error of PyTorch means, and what in your code raised it",
        description="Explain an error of PyTorch that has to do with gradients, by its traceback or just its message: "
        "what it means, what in the code raised it, and what to write instead. Of a log the last traceback counts. The "
        "program is read and not run.",
        epilog="Exit status: 0 a cause was found in the code, 1 none was found, 2 usage or internal error.",
    )
    parser.add_argument(
        "error", nargs="*", metavar="TEXT|FILE", help="the message, or a log or notebook with it (default: stdin)"
    )
    parser.add_argument(
        "--in", dest="folder", default=".", metavar="FOLDER", help="where the program is (default: the current folder)"
    )
    parser.add_argument("--format", choices=["text", "json"], default="text", help="default: text")


def _add_rules(commands: Commands) -> None:
    parser = commands.add_parser("rules", help="list all rules", description="List all rules.")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="default: text")


def _add_inspect(commands: Commands) -> None:
    parser = commands.add_parser(
        "inspect",
        help="print what is known of every tensor",
        description="Print what is known of every tensor expression: whether it requires grad, its type, whether it "
        "is a leaf.",
    )
    _add_inputs(parser)
    parser.add_argument("--format", choices=["text", "json"], default="text", help="default: text")


def _add_cache(commands: Commands) -> None:
    parser = commands.add_parser(
        "cache",
        help="say where what was found before is kept, or remove it",
        description="Say where what was found before is kept, and how much that is; `clear` removes it.",
    )
    parser.add_argument("action", nargs="?", choices=["show", "clear"], default="show", help="default: show")
    _add_cache_folder(parser)


def _add_graph(commands: Commands) -> None:
    parser = commands.add_parser(
        "graph",
        help="draw which parameters a gradient reaches, and where it is cut",
        description="Draw the way from the parameters to the backward() on a line, or to what the function around that "
        "line returns: where the gradient passes, where it is cut, and which parameters it reaches.",
        epilog="Exit status: 0 drawn, 1 there is nothing to draw, 2 usage or internal error.",
    )
    parser.add_argument(
        "place",
        type=_place,
        metavar="FILE:LINE",
        help="where the backward() is; in a notebook FILE:CELL:LINE; `-- -:LINE` is a line of stdin",
    )
    parser.add_argument(
        "--format", choices=["svg", "html", "dot", "json"], help="default: by the name of the output, or svg"
    )
    parser.add_argument("-o", "--output", metavar="OUT", help="the file to write (default: stdout)")
    parser.add_argument(
        "--boxes", type=_positive, default=60, metavar="N", help="fold what is more than N boxes (default: 60)"
    )
    _add_ways(parser)


def _add_schema(commands: Commands) -> None:
    commands.add_parser(
        "schema",
        help="print the JSON schema of a configuration, for editors",
        description="Print the JSON schema of gradls.toml, and of [tool.gradls] in a pyproject.toml.",
    )


def _add_completion(commands: Commands) -> None:
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands, options and rules in a shell",
        description="Print a script that completes commands, options and rules in a shell: "
        'eval "$(gradls completion bash)"',
    )
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])


def _add_server(commands: Commands) -> None:
    parser = commands.add_parser(
        "server", help="speak the Language Server Protocol", description="Speak the Language Server Protocol on stdio."
    )
    parser.add_argument("--stdio", action="store_true", help="accepted since editors pass it; stdio is the default")
    about = "listen there, on an address of this machine, instead of using stdio"
    parser.add_argument("--tcp", type=_address, metavar="HOST:PORT", help=about)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, not {text!r}")
    return int(number), int(count)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return number


def _place(text: str) -> tuple[str, int, int]:
    """The path, the line, and in notebooks the cell, else 0."""
    path, _, line = text.rpartition(":")
    cell = "0"
    if path.rpartition(":")[0].endswith(".ipynb"):
        path, _, cell = path.rpartition(":")
        cell = cell.removeprefix("cell").strip()
    if not path or not line.isdecimal() or int(line) < 1 or not cell.isdecimal():
        wanted = "FILE:LINE, in a notebook FILE:CELL:LINE"
        raise argparse.ArgumentTypeError(f"must be {wanted}, with lines and cells from 1, not {text!r}")
    return path, int(line), int(cell)


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, not {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)
