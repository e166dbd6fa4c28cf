"""A classifier trained and evaluated with data loaders."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split


class Classifier(nn.Module):
    def __init__(self, features: int, hidden: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x):
        x = self.encoder(x)
        x = self.dropout(x)
        return self.head(x)


def train_epoch(model, loader, optimizer, scheduler, device):
    model.train()
    total, count = 0.0, 0
    for inputs, targets in loader:
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad(set_to_none=True)
        logits = model(inputs)
        loss = F.cross_entropy(logits, targets, label_smoothing=0.1)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimizer.step()
        total += loss.item() * inputs.size(0)
        count += inputs.size(0)
    scheduler.step()
    return total / count


@torch.no_grad()
def evaluate(model, loader, device):
    model.eval()
    correct, seen = 0, 0
    for inputs, targets in loader:
        inputs, targets = inputs.to(device), targets.to(device)
        predicted = model(inputs).argmax(dim=1)
        correct += (predicted == targets).sum().item()
        seen += targets.numel()
    return correct / seen


def main():
    torch.manual_seed(0)
    device = torch.device("cpu")
    features = torch.randn(24, 6)
    labels = (features[:, 0] > 0).long() + (features[:, 1] > 0).long()
    train_set, valid_set = random_split(TensorDataset(features, labels), [16, 8])
    train_loader = DataLoader(train_set, batch_size=8, shuffle=True, drop_last=True)
    valid_loader = DataLoader(valid_set, batch_size=4)

    model = Classifier(6, 8, 3).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
    history = []
    for epoch in range(2):
        loss = train_epoch(model, train_loader, optimizer, scheduler, device)
        accuracy = evaluate(model, valid_loader, device)
        history.append({"epoch": epoch, "loss": loss, "accuracy": accuracy})

    assert all(entry["loss"] == entry["loss"] for entry in history)
    assert 0.0 <= history[-1]["accuracy"] <= 1.0
    assert all(parameter.grad is not None for parameter in model.parameters())


if __name__ == "__main__":
    main()
