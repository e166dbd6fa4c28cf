"""A denoising diffusion model: buffers of schedules, sinusoidal steps, an averaged model for sampling."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def extract(a, t, shape):
    out = a.gather(-1, t)
    return out.reshape(t.shape[0], *((1,) * (len(shape) - 1)))


class SinusoidalPosEmb(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, t):
        half = self.dim // 2
        scale = math.log(10000) / (half - 1)
        freqs = torch.exp(torch.arange(half, device=t.device) * -scale)
        angles = t[:, None] * freqs[None, :]
        return torch.cat((angles.sin(), angles.cos()), dim=-1)


class Denoiser(nn.Module):
    def __init__(self, dim, hidden=8):
        super().__init__()
        self.time_mlp = nn.Sequential(SinusoidalPosEmb(hidden), nn.Linear(hidden, hidden), nn.SiLU())
        self.inp = nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, dim)

    def forward(self, x, t):
        h = self.inp(x)
        h = F.silu(h + self.time_mlp(t))
        return self.out(h)


class Diffusion(nn.Module):
    def __init__(self, model, timesteps=10):
        super().__init__()
        self.model = model
        self.timesteps = timesteps
        betas = torch.linspace(1e-4, 0.2, timesteps)
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        self.register_buffer("betas", betas)
        self.register_buffer("sqrt_ac", alphas_cumprod.sqrt())
        self.register_buffer("sqrt_one_minus_ac", (1.0 - alphas_cumprod).sqrt())

    def q_sample(self, x_start, t, noise):
        mean = extract(self.sqrt_ac, t, x_start.shape) * x_start
        return mean + extract(self.sqrt_one_minus_ac, t, x_start.shape) * noise

    def forward(self, x):
        t = torch.randint(0, self.timesteps, (x.shape[0],), device=x.device).long()
        noise = torch.randn_like(x)
        predicted = self.model(self.q_sample(x, t, noise), t)
        return F.mse_loss(predicted, noise)

    @torch.inference_mode()
    def sample(self, shape):
        img = torch.randn(shape)
        for i in reversed(range(self.timesteps)):
            t = torch.full((shape[0],), i, dtype=torch.long)
            eps = self.model(img, t)
            img = (img - self.betas[i] / self.sqrt_one_minus_ac[i] * eps) / (1.0 - self.betas[i]).sqrt()
            if i > 0:
                img += self.betas[i].sqrt() * torch.randn_like(img)
        return img


torch.manual_seed(0)
diffusion = Diffusion(Denoiser(2))
ema = AveragedModel(diffusion, multi_avg_fn=get_ema_multi_avg_fn(0.9))
optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-3)
accumulate = 2
for _step in range(2):
    total = 0.0
    for _ in range(accumulate):
        loss = diffusion(torch.randn(6, 2)) / accumulate
        total += loss.item()
        loss.backward()
    nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    ema.update_parameters(diffusion)

assert math.isfinite(total)
assert ema.module.sample((3, 2)).shape == (3, 2)
diffusion(torch.randn(6, 2)).backward()
assert all(p.grad is not None for p in diffusion.parameters())
