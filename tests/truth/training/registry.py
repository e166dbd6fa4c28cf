"""Models, losses and optimizers picked by name from a registry and a configuration."""

import torch
from torch import nn

MODELS = {}


def register(name):
    def decorate(cls):
        MODELS[name] = cls
        return cls

    return decorate


class Base(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config

    def features(self, x):
        raise NotImplementedError

    def forward(self, x):
        return self.head(self.features(x))


@register("mlp")
class MLP(Base):
    def __init__(self, config):
        super().__init__(config)
        layers = []
        width = config["inputs"]
        for hidden in config["hidden"]:
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, config["outputs"])

    def features(self, x):
        return self.body(x)


@register("conv")
class Conv(Base):
    def __init__(self, config):
        super().__init__(config)
        self.conv = nn.Conv1d(1, config["channels"], kernel_size=3)
        self.head = nn.Linear(config["channels"], config["outputs"])

    def features(self, x):
        return self.conv(x.unsqueeze(1)).amax(dim=-1)


LOSSES = {"mse": nn.MSELoss, "huber": nn.HuberLoss, "l1": nn.L1Loss}


def build_model(config):
    config = dict(config)
    return MODELS[config.pop("name")](config)


def build_optimizer(name, parameters, **options):
    return getattr(torch.optim, name)(parameters, **options)


def run(config, steps=2):
    torch.manual_seed(config.get("seed", 0))
    model = build_model(config["model"])
    criterion = LOSSES[config["loss"]]()
    optimizer = build_optimizer(config["optimizer"]["name"], model.parameters(), lr=config["optimizer"]["lr"])
    for _ in range(steps):
        x = torch.randn(5, 6)
        y = torch.cat([x.sum(1, keepdim=True), x.prod(1, keepdim=True)], dim=1)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, loss


CONFIGS = [
    {
        "model": {"name": "mlp", "inputs": 6, "hidden": [8, 4], "outputs": 2},
        "loss": "huber",
        "optimizer": {"name": "Adam", "lr": 1e-3},
    },
    {
        "model": {"name": "conv", "channels": 3, "outputs": 2},
        "loss": "mse",
        "optimizer": {"name": "SGD", "lr": 1e-2},
        "seed": 1,
    },
]
for config in CONFIGS:
    model, loss = run(config)
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in model.parameters())
assert sorted(MODELS) == ["conv", "mlp"]
