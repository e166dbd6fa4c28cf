"""Fine-tuning: a frozen lower half, two learning rates, no decay on norms and biases."""

import torch
from torch import nn


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.layer1 = self._make_layer(4, 4)
        self.layer2 = self._make_layer(4, 8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 10)

    def _make_layer(self, inputs, outputs):
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x):
        x = self.stem(x)
        x = self.layer2(self.layer1(x))
        x = self.pool(x).flatten(1)
        return self.fc(x)


def freeze(module):
    for parameter in module.parameters():
        parameter.requires_grad = False
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.eval()


def parameter_groups(model, lr, head_lr):
    decay, no_decay, head = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith("fc."):
            head.append(parameter)
        elif parameter.ndim <= 1 or name.endswith(".bias"):
            no_decay.append(parameter)
        else:
            decay.append(parameter)
    return [
        {"params": decay, "lr": lr, "weight_decay": 1e-4},
        {"params": no_decay, "lr": lr, "weight_decay": 0.0},
        {"params": head, "lr": head_lr},
    ]


torch.manual_seed(0)
pretrained = Backbone()
state = {key: value.clone() for key, value in pretrained.state_dict().items() if not key.startswith("fc")}
model = Backbone()
missing, unexpected = model.load_state_dict(state, strict=False)
assert set(missing) == {"fc.weight", "fc.bias"}
assert not unexpected
model.fc = nn.Linear(model.fc.in_features, 3)
freeze(model.stem)
freeze(model.layer1)
optimizer = torch.optim.SGD(parameter_groups(model, 1e-3, 1e-2), lr=1e-3, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
criterion = nn.CrossEntropyLoss()

for _ in range(2):
    images, labels = torch.randn(4, 1, 6, 6), torch.randint(0, 3, (4,))
    with torch.set_grad_enabled(True):
        outputs = model(images)
        _, preds = torch.max(outputs, 1)
        loss = criterion(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    corrects = torch.sum(preds == labels.data)
    scheduler.step()

assert torch.isfinite(loss)
assert 0 <= int(corrects) <= 4
for name, parameter in model.named_parameters():
    frozen = name.startswith(("stem", "layer1"))
    assert (parameter.grad is None) == frozen, name
assert torch.equal(model.stem.weight, pretrained.stem.weight)
