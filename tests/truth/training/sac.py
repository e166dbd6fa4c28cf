"""Soft actor-critic: a reparametrised squashed policy, twin critics, a learned temperature."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal


def mlp(sizes, activation=nn.ReLU):
    layers = []
    for i in range(len(sizes) - 1):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if i < len(sizes) - 2:
            layers.append(activation())
    return nn.Sequential(*layers)


class Actor(nn.Module):
    def __init__(self, obs, act):
        super().__init__()
        self.net = mlp([obs, 16, 2 * act])

    def forward(self, obs):
        mean, log_std = self.net(obs).chunk(2, dim=-1)
        log_std = torch.clamp(log_std, -5, 2)
        dist = Normal(mean, log_std.exp())
        raw = dist.rsample()
        action = torch.tanh(raw)
        log_prob = dist.log_prob(raw) - torch.log(1 - action.pow(2) + 1e-6)
        return action, log_prob.sum(dim=-1)


class TwinCritic(nn.Module):
    def __init__(self, obs, act):
        super().__init__()
        self.q1 = mlp([obs + act, 16, 1])
        self.q2 = mlp([obs + act, 16, 1])

    def forward(self, obs, action):
        both = torch.cat([obs, action], dim=-1)
        return self.q1(both).squeeze(-1), self.q2(both).squeeze(-1)


class SAC:
    def __init__(self, obs, act, gamma=0.99, tau=0.01):
        self.gamma, self.tau = gamma, tau
        self.actor = Actor(obs, act)
        self.critic = TwinCritic(obs, act)
        self.critic_target = deepcopy(self.critic).requires_grad_(False)
        self.log_alpha = torch.zeros(1, requires_grad=True)
        self.target_entropy = -float(act)
        self.actor_opt = torch.optim.Adam(self.actor.parameters(), lr=3e-4)
        self.critic_opt = torch.optim.Adam(self.critic.parameters(), lr=3e-4)
        self.alpha_opt = torch.optim.Adam([self.log_alpha], lr=3e-4)

    @property
    def alpha(self):
        return self.log_alpha.exp()

    def update(self, obs, action, reward, next_obs, done):
        with torch.no_grad():
            next_action, next_log_prob = self.actor(next_obs)
            q1, q2 = self.critic_target(next_obs, next_action)
            target = torch.min(q1, q2) - self.alpha * next_log_prob
            backup = reward + self.gamma * (1 - done) * target
        q1, q2 = self.critic(obs, action)
        critic_loss = F.mse_loss(q1, backup) + F.mse_loss(q2, backup)
        self.critic_opt.zero_grad()
        critic_loss.backward()
        self.critic_opt.step()

        for p in self.critic.parameters():
            p.requires_grad = False
        new_action, log_prob = self.actor(obs)
        q1, q2 = self.critic(obs, new_action)
        actor_loss = (self.alpha.detach() * log_prob - torch.min(q1, q2)).mean()
        self.actor_opt.zero_grad()
        actor_loss.backward()
        self.actor_opt.step()
        for p in self.critic.parameters():
            p.requires_grad = True

        alpha_loss = -(self.log_alpha * (log_prob + self.target_entropy).detach()).mean()
        self.alpha_opt.zero_grad()
        alpha_loss.backward()
        self.alpha_opt.step()
        with torch.no_grad():
            for p, target_p in zip(self.critic.parameters(), self.critic_target.parameters(), strict=True):
                target_p.mul_(1 - self.tau).add_(self.tau * p)
        return critic_loss.item(), actor_loss.item(), alpha_loss.item()


torch.manual_seed(0)
agent = SAC(3, 2)
for _ in range(2):
    batch = (torch.randn(4, 3), torch.rand(4, 2) * 2 - 1, torch.randn(4), torch.randn(4, 3), torch.zeros(4))
    figures = agent.update(*batch)
assert all(value == value for value in figures)
assert all(p.grad is not None for p in (*agent.actor.parameters(), *agent.critic.parameters(), agent.log_alpha))
assert all(p.grad is None for p in agent.critic_target.parameters())
