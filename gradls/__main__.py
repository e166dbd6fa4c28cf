"""The command `gradls`, and `python -m gradls`, which is the same."""

import gc
import os
import sys


def main() -> int:
    """Run the process' arguments; the exit status.

    `python -m` and a `PYTHONPATH` with an empty part have Python import from the current folder, which may be that of a
    stranger's code with a `json.py` in it. Nothing is imported before that is undone.
    """
    sys.path[:] = [folder for folder in sys.path if not _is_current(folder) or _is_ours(folder)]
    from gradls.cli.main import main as run

    status = run()
    gc.freeze()  # Python looks for garbage once more when it ends: in all trees
    return status


def _is_current(folder: str) -> bool:
    try:
        return os.path.samefile(folder or os.curdir, os.curdir)
    except (OSError, ValueError):
        return folder in ("", os.curdir)


def _is_ours(folder: str) -> bool:
    """Whether gradls itself comes from there."""
    return os.path.realpath(folder) == os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


if __name__ == "__main__":
    sys.exit(main())
