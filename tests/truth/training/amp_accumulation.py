"""Mixed precision with loss scaling, gradient accumulation and clipping."""

import torch
from torch import nn
from torch.amp import GradScaler, autocast


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.GroupNorm(2, 4),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
        )
        self.classifier = nn.Linear(4, 3)

    def forward(self, x):
        x = self.features(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)


def batches(count):
    for _ in range(count):
        yield torch.randn(4, 1, 6, 6), torch.randint(0, 3, (4,))


def train(model, optimizer, scaler, steps, accumulation=2):
    model.train()
    criterion = nn.CrossEntropyLoss()
    running = torch.zeros(())
    optimizer.zero_grad(set_to_none=True)
    for index, (images, labels) in enumerate(batches(steps)):
        with autocast(device_type="cpu", dtype=torch.bfloat16):
            logits = model(images)
            loss = criterion(logits, labels) / accumulation
        scaler.scale(loss).backward()
        running += loss.detach().float() * accumulation
        if (index + 1) % accumulation == 0 or index + 1 == steps:
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
    return running / steps, norm


def main():
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    scaler = GradScaler("cpu", init_scale=16.0)
    before = [p.detach().clone() for p in model.parameters()]
    average, norm = train(model, optimizer, scaler, steps=5)
    assert torch.isfinite(average)
    assert torch.isfinite(norm)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
    model.load_state_dict(checkpoint["model"])


if __name__ == "__main__":
    main()
