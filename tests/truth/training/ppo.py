"""Proximal policy optimisation: a rollout without gradients, generalised advantages, minibatch epochs."""

import numpy as np
import torch
import torch.nn as nn
from torch.distributions.categorical import Categorical


def layer_init(layer, std=np.sqrt(2), bias_const=0.0):  # noqa: B008
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias_const)
    return layer


class Agent(nn.Module):
    def __init__(self, obs, actions):
        super().__init__()
        self.critic = nn.Sequential(layer_init(nn.Linear(obs, 8)), nn.Tanh(), layer_init(nn.Linear(8, 1), std=1.0))
        self.actor = nn.Sequential(layer_init(nn.Linear(obs, 8)), nn.Tanh(), layer_init(nn.Linear(8, actions), 0.01))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        probs = Categorical(logits=self.actor(x))
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action), probs.entropy(), self.critic(x)


torch.manual_seed(0)
np.random.seed(0)
STEPS, ENVS, OBS, CLIP = 4, 2, 3, 0.2
agent = Agent(OBS, 2)
optimizer = torch.optim.Adam(agent.parameters(), lr=2.5e-4, eps=1e-5)
obs = torch.zeros((STEPS, ENVS, OBS))
actions = torch.zeros((STEPS, ENVS))
logprobs = torch.zeros((STEPS, ENVS))
rewards = torch.zeros((STEPS, ENVS))
values = torch.zeros((STEPS, ENVS))
next_obs = torch.randn(ENVS, OBS)

for update in range(1, 3):
    optimizer.param_groups[0]["lr"] = (1.0 - (update - 1.0) / 2) * 2.5e-4
    for step in range(STEPS):
        obs[step] = next_obs
        with torch.no_grad():
            action, logprob, _, value = agent.get_action_and_value(next_obs)
            values[step] = value.flatten()
        actions[step] = action
        logprobs[step] = logprob
        next_obs = torch.Tensor(np.random.randn(ENVS, OBS))
        rewards[step] = torch.tensor(np.random.rand(ENVS)).view(-1)

    with torch.no_grad():
        next_value = agent.get_value(next_obs).reshape(1, -1)
        advantages = torch.zeros_like(rewards)
        lastgaelam = 0
        for t in reversed(range(STEPS)):
            nextvalues = next_value if t == STEPS - 1 else values[t + 1]
            delta = rewards[t] + 0.99 * nextvalues - values[t]
            advantages[t] = lastgaelam = delta + 0.99 * 0.95 * lastgaelam
        returns = advantages + values

    b_obs, b_logprobs = obs.reshape((-1, OBS)), logprobs.reshape(-1)
    b_actions, b_advantages, b_returns = actions.reshape(-1), advantages.reshape(-1), returns.reshape(-1)
    b_inds = np.arange(STEPS * ENVS)
    for _epoch in range(2):
        np.random.shuffle(b_inds)
        for start in range(0, STEPS * ENVS, 4):
            mb_inds = b_inds[start : start + 4]
            _, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs[mb_inds], b_actions.long()[mb_inds])
            logratio = newlogprob - b_logprobs[mb_inds]
            ratio = logratio.exp()
            with torch.no_grad():
                approx_kl = ((ratio - 1) - logratio).mean()
            mb_advantages = b_advantages[mb_inds]
            mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
            pg_loss1 = -mb_advantages * ratio
            pg_loss2 = -mb_advantages * torch.clamp(ratio, 1 - CLIP, 1 + CLIP)
            pg_loss = torch.max(pg_loss1, pg_loss2).mean()
            v_loss = 0.5 * ((newvalue.view(-1) - b_returns[mb_inds]) ** 2).mean()
            loss = pg_loss - 0.01 * entropy.mean() + v_loss * 0.5
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()

assert torch.isfinite(loss)
assert torch.isfinite(approx_kl)
assert all(p.grad is not None for p in agent.parameters())
