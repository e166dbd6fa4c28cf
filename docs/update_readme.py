"""Write into README.md what follows from the code: the sample's findings, the list of rules, the number of beliefs;
write docs/beliefs.md and draw docs/gradient.svg.

Run `python docs/update_readme.py` before a release, and when the test says that the sample's findings read otherwise.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

from gradls.picture.draw import picture
from gradls.picture.layout import lay_out
from gradls.picture.svg import svg
from gradls.rules.beliefs import all_beliefs
from gradls.rules.registry import all_rules
from gradls.workspace.session import Session

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ["check", "--exit-zero", "samples/lost_gradients.py"]
ERROR = ["why", "samples/lost_gradients.log"]
FAMILIES = {
    "1": "the graph is cut",
    "2": "in-place writes and saved tensors",
    "3": "backward and access to gradients",
    "4": "losses",
    "5": "modules and parameters",
    "6": "the training loop",
    "7": "memory and grad mode",
    "8": "custom functions, hooks, checkpoint",
    "9": "old API",
}


def output(arguments: list[str]) -> str:
    """What a command in the README prints."""
    run = subprocess.run(
        [sys.executable, "-m", "gradls", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return f"```text\n{run.stdout}```"


def rules_table() -> str:
    """The rules by family."""
    rows = ["| family | rules |", "|---|---|"]
    for family, rules in groupby(all_rules(), key=lambda rule: rule.code[3]):
        names = ", ".join(f"`{rule.name}` ({rule.code})" for rule in rules)
        rows.append(f"| {family}xx {FAMILIES[family]} | {names} |")
    return "\n".join(rows)


def updated(readme: str) -> str:
    """`readme` with its generated parts as they must be."""
    parts = {
        "sample": f"\n{output(SAMPLE)}\n",
        "why": f"\n{output(ERROR)}\n",
        "rules": f"\n{rules_table()}\n",
        "beliefs": f"{len(all_beliefs())}",
    }

    def part(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->{parts[match[1]]}<!-- /{match[1]} -->"

    return re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", part, readme, flags=re.DOTALL)


def beliefs_page() -> str:
    """The false beliefs, each with the program that refutes it."""
    parts = [
        "# What is not true about autograd",
        "Statements that are often read and are false. Each comes with what holds and a program that shows it, which\n"
        "the tests of gradls run on PyTorch. `gradls explain` searches them:\n"
        '`gradls explain "does clone().mul_() break the graph?"`.',
    ]
    for belief in all_beliefs():
        parts += [f"## {belief.claim[0].upper()}{belief.claim[1:]}?", f"No. {belief.truth}"]
        parts.append(f"```python\n{belief.program}```")
    return "\n\n".join(parts) + "\n"


def gradient_picture() -> str:
    """The gradient picture of the last `backward()` in the sample. Without Graphviz, whose versions differ."""
    path = "samples/lost_gradients.py"
    text = (ROOT / path).read_text(encoding="utf-8")
    session = Session(ROOT)
    session.open(path, text)
    found = picture(session, path, text.count("\n", 0, text.rindex(".backward()")) + 1)
    return svg(found, lay_out(found, graphviz=False), lambda path: path)


def main() -> None:
    (ROOT / "docs" / "beliefs.md").write_text(beliefs_page(), encoding="utf-8")
    (ROOT / "docs" / "gradient.svg").write_text(gradient_picture(), encoding="utf-8")
    file = ROOT / "README.md"
    file.write_text(updated(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
