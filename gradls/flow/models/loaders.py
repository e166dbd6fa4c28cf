"""torch.utils.data: datasets and loaders, which give data without a gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.dtypes import of_data
from gradls.flow.models.registry import function
from gradls.flow.values import Class, Host, Instance, Mapping, Sequence, Tensor, Unknown, Value, is_none

if TYPE_CHECKING:
    from gradls.flow.run import Run

DATA = "torch.utils.data."


@function(f"{DATA}TensorDataset")
def tensor_dataset(run: Run, path: str, call: Call) -> Value:
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    instance.data["columns"] = list(call.args)
    return instance


@function(f"{DATA}DataLoader")
def loader(run: Run, path: str, call: Call) -> Value:
    instance = Instance(run.state, run.lib(path), run.at(call.node))
    if "collate_fn" not in call.kwargs:
        instance.data["dataset"] = call.get(0, "dataset")
    size = call.get(1, "batch_size")
    instance.data["one by one"] = size is not None and is_none(size) and "batch_sampler" not in call.kwargs
    return instance


@function(f"{DATA}Subset", f"{DATA}dataset.Subset")
def subset(run: Run, path: str, call: Call) -> Value:
    instance = Instance(run.state, run.lib(f"{DATA}Subset"), run.at(call.node))
    instance.data["whole"] = call.get(0, "dataset")
    return instance


@function(f"{DATA}random_split", f"{DATA}dataset.random_split")
def random_split(run: Run, path: str, call: Call) -> Value:
    lengths = call.get(1, "lengths")
    if isinstance(lengths, Sequence) and lengths.rest is None:
        return Sequence(run.state, "list", tuple(subset(run, path, call) for _ in lengths.items))
    return Sequence(run.state, "list", (), subset(run, path, call))


def is_loader(value: Instance) -> bool:
    return value.path.startswith(DATA)


def element(run: Run, value: Instance) -> Value:
    """What iterating over a dataset or a loader gives."""
    dataset = value.data.get("dataset", value)
    while isinstance(dataset, Instance) and "whole" in dataset.data:
        dataset = dataset.data["whole"]
    if isinstance(dataset, Instance) and "columns" in dataset.data:
        single = bool(value.data.get("one by one"))
        return Sequence(
            run.state, "list", tuple(batch(run, column, single=single) for column in dataset.data["columns"])
        )
    if isinstance(dataset, Instance) and dataset is not value and isinstance(dataset.cls, Class):
        from gradls.flow.classes import iterate

        given = iterate(run, dataset)
        return given if value.data.get("one by one") else batch(run, given, added=1)
    return data(run, value.name)


def data(run: Run, name: str) -> Unknown:
    """Something that comes from a loader."""
    found = run.unknown("data", name)
    found.plain = True
    return found


def batch(run: Run, sample: Value, added: int = 0, single: bool = False) -> Value:
    """Samples put together: a tensor of tensors or numbers, a list of lists, a dictionary of dictionaries. `added`
    dimensions come before those of the sample; of a `single` row of a tensor, none does."""
    if isinstance(sample, Tensor):
        rest = None if sample.shape is None else sample.shape if added else sample.shape[1:]
        shape = None if rest is None else rest if single else (None, *rest)
        flag = False if sample.requires_grad is False else None
        return run.leaf("data", None, requires_grad=flag, dtype=sample.dtype, shape=shape)
    if isinstance(sample, Host) and sample.kind in ("int", "float", "bool", "number"):
        return run.leaf("data", None, dtype=of_data(sample), shape=(None,))
    if isinstance(sample, Sequence) and sample.kind in ("tuple", "list"):
        items = tuple(batch(run, item, added) for item in sample.items)
        rest_of = batch(run, sample.rest, added) if sample.rest is not None else None
        return Sequence(run.state, "list", items, rest_of, sample.names)
    if isinstance(sample, Mapping):
        return Mapping(run.state, {key: batch(run, item, added) for key, item in sample.entries.items()}, sample.rest)
    return data(run, getattr(sample, "name", ""))
