"""Knowledge distillation: soft labels of a frozen teacher, hard labels, and matched hidden states."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Output:
    logits: Tensor
    hidden: Tensor
    loss: Tensor | None = None


class Net(nn.Module):
    def __init__(self, hidden: int, classes: int = 4):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Output:
        hidden = self.body(x)
        logits = self.head(hidden)
        loss = F.cross_entropy(logits, labels) if labels is not None else None
        return Output(logits=logits, hidden=hidden, loss=loss)


class Distiller(nn.Module):
    def __init__(self, teacher: Net, student: Net, temperature: float = 2.0, alpha: float = 0.5):
        super().__init__()
        self.teacher = teacher.eval()
        self.student = student
        self.regressor = nn.Linear(8, 16)
        self.temperature = temperature
        self.alpha = alpha
        for p in self.teacher.parameters():
            p.requires_grad_(False)

    def train(self, mode: bool = True):
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with torch.inference_mode():
            guide = self.teacher(x)
        out = self.student(x, labels)
        t = self.temperature
        soft = F.kl_div(
            F.log_softmax(out.logits / t, dim=-1),
            F.softmax(guide.logits.clone() / t, dim=-1),
            reduction="batchmean",
        )
        hint = F.mse_loss(self.regressor(out.hidden), guide.hidden.clone())
        loss = self.alpha * out.loss + (1 - self.alpha) * soft * t * t + 0.1 * hint
        return {"loss": loss, "soft": soft.detach(), "hard": out.loss.detach()}


torch.manual_seed(0)
distiller = Distiller(Net(16), Net(8))
trainable = [p for p in distiller.parameters() if p.requires_grad]
optimizer = torch.optim.RMSprop(trainable, lr=1e-3)
for _ in range(3):
    x, y = torch.randn(5, 6), torch.randint(4, (5,))
    distiller.train()
    result = distiller(x, y)
    optimizer.zero_grad()
    result["loss"].backward()
    optimizer.step()

assert all(torch.isfinite(value) for value in result.values())
assert all(p.grad is not None for p in trainable)
assert all(p.grad is None for p in distiller.teacher.parameters())
