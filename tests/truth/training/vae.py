"""A variational autoencoder with the reparametrisation trick and a warmed-up KL term."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class VAE(nn.Module):
    def __init__(self, features=10, hidden=12, latent=3):
        super().__init__()
        self.fc1 = nn.Linear(features, hidden)
        self.fc_mu = nn.Linear(hidden, latent)
        self.fc_logvar = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, features)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu, logvar):
        if not self.training:
            return mu
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return mu + eps * std

    def decode(self, z):
        h = F.relu(self.fc3(z))
        return self.fc4(h)

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 10))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar

    @torch.no_grad()
    def sample(self, n):
        z = torch.randn(n, self.fc_mu.out_features)
        return torch.sigmoid(self.decode(z))


def loss_function(recon, x, mu, logvar, beta):
    bce = F.binary_cross_entropy_with_logits(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (bce + beta * kld) / x.shape[0], {"bce": bce.item(), "kld": kld.item()}


def main():
    torch.manual_seed(0)
    model = VAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    data = torch.rand(12, 2, 5)
    logs = []
    model.train()
    for epoch in range(3):
        beta = min(1.0, (epoch + 1) / 3)
        for batch in data.split(6):
            flat = batch.flatten(1)
            recon, mu, logvar = model(batch)
            loss, parts = loss_function(recon, flat, mu, logvar, beta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            logs.append(parts)
    model.eval()
    images = model.sample(2)
    assert images.shape == (2, 10)
    assert not images.requires_grad
    assert torch.isfinite(loss)
    assert len(logs) == 6
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name


main()
