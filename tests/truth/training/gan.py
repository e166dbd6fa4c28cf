"""A generative adversarial network, discriminator and generator in turn."""

import torch
from torch import nn, optim

torch.manual_seed(1)
LATENT = 4
BATCH = 8


class Generator(nn.Module):
    def __init__(self, latent, out):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(latent, 16, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(True),
            nn.Linear(16, out),
            nn.Tanh(),
        )

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.main = nn.Sequential(
            nn.Linear(features, 16),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Dropout(0.3),
            nn.Linear(16, 1),
        )

    def forward(self, x):
        return self.main(x).view(-1)


def weights_init(module):
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm1d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


net_g = Generator(LATENT, 6)
net_d = Discriminator(6)
net_g.apply(weights_init)
net_d.apply(weights_init)
criterion = nn.BCEWithLogitsLoss()
opt_d = optim.Adam(net_d.parameters(), lr=2e-4, betas=(0.5, 0.999))
opt_g = optim.Adam(net_g.parameters(), lr=2e-4, betas=(0.5, 0.999))
fixed_noise = torch.randn(4, LATENT)
samples = []

for _step in range(3):
    real = torch.tanh(torch.randn(BATCH, 6))

    opt_d.zero_grad()
    label = torch.full((BATCH,), 1.0)
    err_real = criterion(net_d(real), label)
    err_real.backward()
    noise = torch.randn(BATCH, LATENT)
    fake = net_g(noise)
    label.fill_(0.0)
    err_fake = criterion(net_d(fake.detach()), label)
    err_fake.backward()
    err_d = err_real + err_fake
    opt_d.step()

    opt_g.zero_grad()
    label.fill_(1.0)
    err_g = criterion(net_d(fake), label)
    err_g.backward()
    opt_g.step()

    with torch.no_grad():
        samples.append(net_g(fixed_noise).cpu())

assert torch.isfinite(err_d)
assert torch.isfinite(err_g)
assert all(p.grad is not None for p in net_g.parameters())
assert all(p.grad is not None for p in net_d.parameters())
assert len(samples) == 3
assert not samples[0].requires_grad
