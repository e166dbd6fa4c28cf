"""docs/rules.md, followed to the letter: the files that it shows are written, the commands that it gives are run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from tests.plugins.environments import Environment

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
_FILE = re.compile(r"^`([^`\n]+)`:\n\n(`{3,})\w+\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Followed:
    """The tutorial in a folder and an environment of its own; `printed` is what each command printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.environment = Environment(folder / "environment")
        for name, _, text in _FILE.findall(TUTORIAL):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.printed: dict[str, str] = {}
        for line in "".join(_COMMANDS.findall(TUTORIAL)).splitlines():
            self.printed[line] = self._run(line)

    def _run(self, line: str) -> str:
        words = shlex.split(line)
        if words[:3] == ["pip", "install", "--editable"]:
            self.environment.install(self.folder / words[3])
            return ""
        if words[0] == "gradls":
            return self.environment.gradls(*words[1:], cwd=self.folder, check=True).stdout
        assert words[0] == "python", f"what is {line!r}?"
        return self.environment.run(*words[1:], cwd=self.folder).stdout


def test_the_tutorial_yields_a_working_rule(tmp_path: Path):
    """One test: most of it is the way there."""
    followed = Followed(tmp_path)
    listed = r"ACME101\s+adam-weight-decay\s+information\s+Adam with weight decay"
    assert re.search(listed, followed.printed["gradls rules"])
    assert "divides the sum" in followed.printed["gradls explain ACME101"]
    assert "train.py:4:13: information ACME101 adam-weight-decay" in followed.printed["gradls check train.py"]
    assert "2 passed" in followed.printed["python -m pytest gradls-acme"]
    _is_configured_and_silenced(followed, tmp_path / "configured")
    _has_its_fix(followed)
    _is_shown_by_the_server(followed)


def _is_configured_and_silenced(followed: Followed, folder: Path) -> None:
    text = (followed.folder / "train.py").read_text(encoding="utf-8")
    folder.mkdir()
    (folder / "gradls.toml").write_text('severity = { adam-weight-decay = "error" }\n', encoding="utf-8")
    (folder / "train.py").write_text(text, encoding="utf-8")
    run = followed.environment.gradls("check", "--format", "json", cwd=folder)
    assert run.returncode == 1, run.stderr
    assert [finding["severity"] for finding in json.loads(run.stdout)["findings"]] == ["error"]
    (folder / "train.py").write_text(text.rstrip() + "  # gradls: ignore[ACME101]\n", encoding="utf-8")
    assert followed.environment.gradls("check", cwd=folder).returncode == 0


def _has_its_fix(followed: Followed) -> None:
    run = followed.environment.gradls("check", "--format", "json", "train.py", cwd=followed.folder)
    (finding,) = json.loads(run.stdout)["findings"]
    ((edit,),) = [fix["edits"] for fix in finding["fixes"]]
    line = (followed.folder / "train.py").read_text(encoding="utf-8").splitlines()[edit["line"] - 1]
    fixed = line[: edit["column"] - 1] + edit["text"] + line[edit["end_column"] - 1 :]
    assert fixed == "optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)"


def _is_shown_by_the_server(followed: Followed) -> None:
    path = followed.folder / "train.py"
    with followed.environment.server() as raw:
        raw.begin(rootUri=path.parent.as_uri())
        raw.open(path.as_uri(), path.read_text(encoding="utf-8"))
        (diagnostic,) = raw.published(1)["diagnostics"]
        assert (diagnostic["code"], diagnostic["range"]["start"]["line"]) == ("ACME101", 3)
