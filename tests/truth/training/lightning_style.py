"""A module with `training_step` and `configure_optimizers`, driven by a small trainer of its own."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class LitModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.logged = {}

    def log(self, name, value, prog_bar=False):
        self.logged.setdefault(name, []).append(value.detach() if isinstance(value, torch.Tensor) else value)

    def log_dict(self, values):
        for name, value in values.items():
            self.log(name, value)


class LitAutoEncoder(LitModule):
    def __init__(self, inputs=6, latent=2, lr=1e-3):
        super().__init__()
        self.lr = lr
        self.encoder = nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 8), nn.ReLU(), nn.Linear(8, inputs))
        self.classifier = nn.Linear(latent, 2)

    def forward(self, x):
        return self.encoder(x)

    def _shared_step(self, batch, stage):
        x, y = batch
        z = self(x)
        reconstruction = F.mse_loss(self.decoder(z), x)
        logits = self.classifier(z)
        classification = F.cross_entropy(logits, y)
        accuracy = (logits.argmax(-1) == y).float().mean()
        loss = reconstruction + 0.1 * classification
        self.log_dict({f"{stage}/loss": loss, f"{stage}/accuracy": accuracy})
        return loss

    def training_step(self, batch, batch_idx):
        loss = self._shared_step(batch, "train")
        if batch_idx % 2 == 0:
            return {"loss": loss, "kind": "dict"}
        return loss

    def validation_step(self, batch, batch_idx):
        self._shared_step(batch, "valid")

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
        return {"optimizer": optimizer, "lr_scheduler": scheduler, "monitor": "valid/loss"}


class Trainer:
    def __init__(self, max_epochs, gradient_clip_val=None):
        self.max_epochs = max_epochs
        self.gradient_clip_val = gradient_clip_val

    def fit(self, module, train_loader, valid_loader):
        config = module.configure_optimizers()
        optimizer, scheduler = config["optimizer"], config["lr_scheduler"]
        for _ in range(self.max_epochs):
            module.train()
            for batch_idx, batch in enumerate(train_loader):
                output = module.training_step(batch, batch_idx)
                loss = output["loss"] if isinstance(output, dict) else output
                optimizer.zero_grad()
                loss.backward()
                if self.gradient_clip_val is not None:
                    nn.utils.clip_grad_norm_(module.parameters(), self.gradient_clip_val)
                optimizer.step()
            module.eval()
            with torch.no_grad():
                for batch_idx, batch in enumerate(valid_loader):
                    module.validation_step(batch, batch_idx)
            scheduler.step(module.logged[config["monitor"]][-1])


torch.manual_seed(0)
points = torch.randn(16, 6)
dataset = TensorDataset(points, (points[:, 0] > 0).long())
train_loader, valid_loader = DataLoader(dataset, batch_size=8, shuffle=True), DataLoader(dataset, batch_size=16)
module = LitAutoEncoder()
Trainer(max_epochs=2, gradient_clip_val=1.0).fit(module, train_loader, valid_loader)
assert len(module.logged["train/loss"]) == 4
assert len(module.logged["valid/accuracy"]) == 2
assert all(torch.isfinite(v) and not v.requires_grad for values in module.logged.values() for v in values)
assert all(p.grad is not None for p in module.parameters())
