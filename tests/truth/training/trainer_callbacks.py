"""A trainer with callbacks: logging, early stopping, an averaged copy of the weights, checkpoints in memory."""

import copy
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Callback:
    def on_fit_start(self, trainer):
        pass

    def on_batch_end(self, trainer, loss):
        pass

    def on_epoch_end(self, trainer, metrics):
        pass


class LossLogger(Callback):
    def __init__(self):
        self.losses = []

    def on_batch_end(self, trainer, loss):
        self.losses.append(loss.item())


class EMAWeights(Callback):
    def __init__(self, decay):
        self.decay = decay
        self.shadow = {}

    def on_fit_start(self, trainer):
        self.shadow = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}

    @torch.no_grad()
    def on_batch_end(self, trainer, loss):
        for name, p in trainer.model.named_parameters():
            self.shadow[name].lerp_(p, 1 - self.decay)


class EarlyStopping(Callback):
    def __init__(self, patience):
        self.patience, self.best, self.bad, self.state = patience, math.inf, 0, None

    def on_epoch_end(self, trainer, metrics):
        if metrics["valid"] < self.best:
            self.best, self.bad = metrics["valid"], 0
            self.state = copy.deepcopy(trainer.model.state_dict())
        else:
            self.bad += 1
            trainer.should_stop = self.bad >= self.patience


class Trainer:
    def __init__(self, model, criterion, optimizer, callbacks=()):
        self.model = model
        self.criterion = criterion
        self.optimizer = optimizer
        self.callbacks = list(callbacks)
        self.should_stop = False

    def _call(self, event, *args):
        for callback in self.callbacks:
            getattr(callback, event)(self, *args)

    def _run_batch(self, batch):
        x, y = batch
        return self.criterion(self.model(x), y)

    def train_epoch(self, loader):
        self.model.train()
        for batch in loader:
            loss = self._run_batch(batch)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self._call("on_batch_end", loss)

    def validate(self, loader):
        self.model.eval()
        with torch.no_grad():
            return sum(self._run_batch(batch).item() for batch in loader) / len(loader)

    def fit(self, train_loader, valid_loader, epochs):
        self._call("on_fit_start")
        for _ in range(epochs):
            self.train_epoch(train_loader)
            self._call("on_epoch_end", {"valid": self.validate(valid_loader)})
            if self.should_stop:
                break


torch.manual_seed(0)
x = torch.randn(12, 3)
y = x @ torch.tensor([[1.0], [-2.0], [0.5]])
train_loader = DataLoader(TensorDataset(x[:8], y[:8]), batch_size=4, shuffle=True)
valid_loader = DataLoader(TensorDataset(x[8:], y[8:]), batch_size=4)
model = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))
logger, ema, stopping = LossLogger(), EMAWeights(0.9), EarlyStopping(2)
trainer = Trainer(model, nn.MSELoss(), torch.optim.Adam(model.parameters(), lr=1e-2), [logger, ema, stopping])
trainer.fit(train_loader, valid_loader, epochs=2)
assert len(logger.losses) == 4
assert all(map(math.isfinite, logger.losses))
assert all(p.grad is not None for p in model.parameters())
assert not any(value.requires_grad for value in ema.shadow.values())
model.load_state_dict(stopping.state)
