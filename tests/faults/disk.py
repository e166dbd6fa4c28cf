"""What gradls keeps on disk, damaged in any way: what is read of it is right, or nothing.

python -m tests.faults.disk --seconds 600 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import parso
from parso import cache as parso_cache

from gradls.flow.names import Answer, Question
from gradls.resolve.cache import Cache
from gradls.resolve.known import Key
from gradls.resolve.trees import Trees
from gradls.workspace.looked import Disk, digest
from gradls.workspace.results import FILE, Result, Results
from tests.resolve.conftest import MODULE, wait_until


def damaged(data: bytes, chance: random.Random) -> bytes:
    """What a disk may make of a file."""
    at = chance.randrange(len(data))
    size = chance.choice([1, 16, 512, 4096])
    if chance.random() < 0.6:
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    return chance.choice(
        [data[:at], data[:at] + bytes(len(data[at : at + size])) + data[at + size :], data[at:], data[:at] + data[:at]]
    )


class Answers:
    """A file with answers, and what they are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder / "answers", folder / "project"
        self.folder.mkdir()
        self.kept: dict[Key, Answer | None] = {}
        for number in range(30):
            key = Key(str(self.root / "package"), Question(f"module{number}", f"Name{number}", number % 2 == 0))
            self.kept[key] = Answer("class", f"module{number}.Name{number}", (MODULE,)) if number % 5 else None
        opened = self.open()
        opened.store((key, answer, ()) for key, answer in self.kept.items())
        opened.close()
        (self.file,) = self.folder.glob("*.sqlite")
        self.data = self.file.read_bytes()

    def open(self) -> Cache:
        return Cache(self.folder, self.root, "owner", "version")

    def survive(self, data: bytes) -> int:
        """Let the file be `data`: how many answers are there, all of which are right. New ones can be kept."""
        self.file.write_bytes(data)
        opened = self.open()
        found = opened.load(self.kept)
        assert all(found[key][0] == self.kept[key] for key in found)
        opened.store([(key, answer, ()) for key, answer in self.kept.items()])
        opened.close()
        return len(found)


class Reports:
    """A file with reports, and what they are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder / "results", folder / "project"
        self.folder.mkdir()
        self.root.mkdir()
        (self.root / "a.py").write_bytes(b"x = 1\n")
        self.looked = {"a.py": digest(b"x = 1\n"), "b.py": "absent"}
        self.kept = {f"key{number}": {"findings": [number] * number} for number in range(30)}
        opened = Results(self.folder)
        opened.keep([Result(key, self.looked, content) for key, content in self.kept.items()])
        opened.close()
        self.file = self.folder / FILE
        self.data = self.file.read_bytes()

    def survive(self, data: bytes) -> int:
        """Let the file be `data`: how many reports are there, all of which are right. New ones can be kept."""
        self.file.write_bytes(data)
        opened = Results(self.folder)
        found = {key: opened.find(key, str(self.root), Disk()) for key in self.kept}
        assert all(found[key] in (content, None) for key, content in self.kept.items())
        opened.keep([Result(key, self.looked, content) for key, content in self.kept.items()])
        opened.close()
        return sum(content is not None for content in found.values())


TEXT = "class Net:\n    def forward(self, x):\n        return x\n"


class Tree:
    """A file, and the tree that is kept of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "net.py"
        self.path.write_text(TEXT, encoding="utf-8")
        os.utime(self.path, (1e9, 1e9))
        assert wait_until(lambda: self.save(folder / "trees"))
        (self.file,) = (folder / "trees").rglob("*.pkl")
        self.data, self.trees = self.file.read_bytes(), Trees(folder / "trees")

    def save(self, folder: Path) -> bool:
        """Whether it is kept: the file was not made just now."""
        trees = Trees(folder)
        trees.last_modified(self.path)
        trees.save("grammar", self.path, parso_cache._NodeCacheItem(parso.parse(TEXT), TEXT.splitlines(True), 1.0))
        return any(folder.rglob("*.pkl"))

    def load(self) -> str | None:
        number = self.trees.last_modified(self.path)
        found = self.trees.load("grammar", self.path, number or 0.0)
        return found.get_code() if found is not None else None

    def survive(self, data: bytes) -> int:
        """Let the file be `data`: whether the tree is there, which is right."""
        self.file.write_bytes(data)
        found = self.load()
        assert found == (TEXT if data == self.data else None)
        return found is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance, until, done = random.Random(given.seed), time.monotonic() + given.seconds, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        kept = Answers(Path(folder)), Reports(Path(folder)), Tree(Path(folder))
        while time.monotonic() < until:
            for each in kept:
                done[f"{type(each).__name__} read"] += each.survive(damaged(each.data, chance))
            done["damaged"] += len(kept)
    print(json.dumps(done, indent=1))


if __name__ == "__main__":
    main()
