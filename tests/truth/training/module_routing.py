"""Modules kept in dictionaries and routed by the name of a modality."""

import torch
from torch import nn


class Fusion(nn.Module):
    def __init__(self, sizes: dict[str, int], dim: int, activation: str = "relu") -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({name: nn.Linear(size, dim) for name, size in sizes.items()})
        self.activations = nn.ModuleDict([["relu", nn.ReLU()], ["silu", nn.SiLU()], ["none", nn.Identity()]])
        self.activation = activation
        self.gates = nn.ParameterDict()
        for name in sizes:
            self.gates[name] = nn.Parameter(torch.ones(dim))
        self.mixers = nn.ModuleDict()
        self.mixers["early"] = nn.Linear(dim, dim)
        self.mixers.update({"late": nn.Linear(dim, dim)})
        self.missing = nn.ParameterList([nn.Parameter(torch.zeros(dim)) for _ in sizes])
        self.head = nn.Linear(dim, 1)

    def encode(self, name: str, x: torch.Tensor) -> torch.Tensor:
        h = self.activations[self.activation](self.encoders[name](x))
        return h * self.gates[name]

    def forward(self, inputs: dict[str, torch.Tensor], route: str = "early") -> torch.Tensor:
        size = next(iter(inputs.values())).shape[0]
        parts = []
        for index, name in enumerate(self.encoders):
            if name in inputs:
                parts.append(self.encode(name, inputs[name]))
            else:
                parts.append(self.missing[index].expand(size, -1))
        fused = torch.stack(parts).mean(dim=0)
        return self.head(self.mixers[route](fused)).squeeze(1)


def main() -> None:
    torch.manual_seed(0)
    sizes = {"image": 5, "text": 3, "audio": 2}
    model = Fusion(sizes, dim=6, activation="silu")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))
    totals: dict[str, float] = {}
    batches = [
        ("early", ("image", "text")),
        ("late", ("text", "audio")),
        ("early", ("image", "audio")),
    ]
    for route, names in batches:
        inputs = {name: torch.randn(4, sizes[name]) for name in names}
        target = torch.randint(0, 2, (4,)).float()
        logits = model(inputs, route=route)
        loss = criterion(logits, target)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()
        totals[route] = totals.get(route, 0.0) + loss.item()

    assert set(totals) == {"early", "late"}
    assert torch.isfinite(loss)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


if __name__ == "__main__":
    main()
