"""A Wasserstein GAN whose critic pays for the norm of its gradient."""

import torch
from torch import autograd, nn

torch.manual_seed(0)
LAMBDA, CRITIC_ITERS, LATENT = 10.0, 2, 4


def block(inputs, outputs, normalize=True):
    layers = [nn.Linear(inputs, outputs)]
    if normalize:
        layers.append(nn.LayerNorm(outputs))
    layers.append(nn.LeakyReLU(0.2))
    return layers


generator = nn.Sequential(*block(LATENT, 8, normalize=False), *block(8, 8), nn.Linear(8, 2))
critic = nn.Sequential(*block(2, 8, normalize=False), nn.Linear(8, 1))
optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
optimizer_c = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))


def gradient_penalty(critic, real, fake):
    alpha = torch.rand(real.size(0), 1)
    alpha = alpha.expand(real.size())
    interpolates = alpha * real + (1 - alpha) * fake
    interpolates.requires_grad_(True)
    scores = critic(interpolates)
    gradients = autograd.grad(
        outputs=scores,
        inputs=interpolates,
        grad_outputs=torch.ones_like(scores),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def data():
    while True:
        yield torch.randn(6, 2) * 0.1 + 1.0


batches = data()
for _ in range(2):
    for p in critic.parameters():
        p.requires_grad_(True)
    for _ in range(CRITIC_ITERS):
        real = next(batches)
        optimizer_c.zero_grad()
        with torch.no_grad():
            fake = generator(torch.randn(real.size(0), LATENT))
        d_real = critic(real).mean()
        d_fake = critic(fake).mean()
        penalty = gradient_penalty(critic, real.data, fake.data)
        d_cost = d_fake - d_real + LAMBDA * penalty
        d_cost.backward()
        optimizer_c.step()
        wasserstein = (d_real - d_fake).item()

    for p in critic.parameters():
        p.requires_grad_(False)
    optimizer_g.zero_grad()
    fake = generator(torch.randn(6, LATENT))
    g_cost = -critic(fake).mean()
    g_cost.backward()
    optimizer_g.step()

assert torch.isfinite(d_cost)
assert torch.isfinite(g_cost)
assert wasserstein == wasserstein
assert all(p.grad is not None for p in generator.parameters())
assert all(p.grad is not None for p in list(critic.parameters())[:-1])
