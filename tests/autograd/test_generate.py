"""The stored tables are what the generator makes, and the generator's experiments confirm the formulas."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from gradls.autograd.data import DIRECTORY, records, table  # noqa: E402
from gradls.autograd.generate import build_ops  # noqa: E402
from gradls.autograd.generate.catalogue import catalogue, is_public  # noqa: E402
from gradls.autograd.generate.experiments import Unusable, observe  # noqa: E402
from gradls.autograd.generate.samples import samples  # noqa: E402

VERSION = torch.__version__.partition("+")[0]
TABLES = ("spelling", "modules", "losses", "optimizers", "distributions")


def test_tables_are_stamped_with_one_version() -> None:
    assert {table(name)["torch"] for name in TABLES} | {records("ops")[0]["torch"]} == {VERSION}


def test_the_stored_tables_are_what_the_generator_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-m", "gradls.autograd.generate", str(tmp_path)], check=True)
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    stored = {path.name: path.read_text(encoding="utf-8") for path in Path(DIRECTORY).iterdir()}
    assert made.keys() == stored.keys()
    for name, content in made.items():
        different = set(content.splitlines()) ^ set(stored[name].splitlines())
        assert not different, f"{name}: run python -m gradls.autograd.generate"


def test_formulas_agree_with_experiments_on_pytorchs_own_samples() -> None:
    """What the formulas say that a node saves and frees, on a seventh of the operations and all their samples."""
    warnings.simplefilter("ignore")
    builder = build_ops.Builder()
    counts: Counter[str] = Counter()
    wrong: list[tuple[object, ...]] = []
    for entry in list(catalogue().values())[::7]:
        drafts = [builder._draft(entry, signature) for signature in entry.signatures]
        for sample in samples(entry.spelling):
            index = build_ops.which(drafts, sample)
            if index is None or builder.natives[drafts[index].signature.native or "exp"].composite:
                continue
            facts = drafts[index]
            if not facts.signature.native or facts.signature.native in build_ops.FREES:
                continue
            try:
                seen = observe(entry.call, facts.signature, sample, facts.inplace)
            except Unusable:
                continue
            for (what, gate), saved in seen.saved.items():
                gates = facts.saved.get(what, [])
                counts["saved"] += 1
                if (gates is None or gate in gates) != saved:
                    wrong.append((entry.spelling, what, gate, saved))
            for gate, freed in seen.frees.items():
                counts["frees"] += 1
                if (gate in facts.frees) != freed:
                    wrong.append((entry.spelling, gate, freed))
    assert counts["saved"] > 1000
    assert counts["frees"] > 300
    assert not wrong


def test_every_public_function_that_torch_lets_one_override_is_known() -> None:
    from torch.overrides import get_testing_overrides, resolve_name

    known = set(records("ops")[0]["spellings"])
    missing = []
    for function in get_testing_overrides():
        name = (resolve_name(function) or "").removesuffix(".__get__").replace("torch.functional.", "torch.")
        prefix, _, last = name.rpartition(".")
        places = ("torch", "torch.nn.functional", "torch.linalg", "torch.special", "torch.fft", "torch.Tensor")
        if prefix in places and is_public(last, prefix) and name not in known:
            missing.append(name)
    assert not missing
