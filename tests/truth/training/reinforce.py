"""REINFORCE with a baseline and an entropy bonus, a Gaussian policy with a free deviation."""

import torch
from torch import nn
from torch.distributions import Normal


class GaussianPolicy(nn.Module):
    def __init__(self, obs, act):
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(obs, 16), nn.Tanh(), nn.Linear(16, act))
        self.log_std = nn.Parameter(torch.full((act,), -0.5))

    def dist(self, obs):
        return Normal(self.mean(obs), self.log_std.exp().expand(obs.shape[:-1] + self.log_std.shape))


class PointMass:
    def reset(self):
        self.x = torch.randn(2)
        return self.x.clone()

    def step(self, action):
        self.x = self.x + 0.1 * action
        return self.x.clone(), -self.x.norm().item()


def discounted(rewards, gamma=0.9):
    out, running = [], 0.0
    for r in reversed(rewards):
        running = r + gamma * running
        out.append(running)
    return torch.tensor(out[::-1])


@torch.no_grad()
def rollout(env, policy, horizon):
    observations, actions, rewards = [], [], []
    obs = env.reset()
    for _ in range(horizon):
        action = policy.dist(obs).sample()
        observations.append(obs)
        actions.append(action)
        obs, reward = env.step(action)
        rewards.append(reward)
    return torch.stack(observations), torch.stack(actions), discounted(rewards)


torch.manual_seed(0)
env = PointMass()
policy = GaussianPolicy(2, 2)
baseline = nn.Linear(2, 1)
optimizer = torch.optim.Adam([*policy.parameters(), *baseline.parameters()], lr=1e-2)
for _ in range(3):
    observations, actions, returns = rollout(env, policy, 5)
    values = baseline(observations).squeeze(-1)
    advantages = (returns - values).detach()
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    dist = policy.dist(observations)
    log_probs = dist.log_prob(actions).sum(-1)
    policy_loss = -(log_probs * advantages).mean()
    value_loss = nn.functional.mse_loss(values, returns)
    loss = policy_loss + 0.5 * value_loss - 0.01 * dist.entropy().sum(-1).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

assert torch.isfinite(loss)
assert all(p.grad is not None for p in policy.parameters())
assert all(p.grad is not None for p in baseline.parameters())
