"""Advantage actor-critic on a toy environment, one update an episode."""

from collections import namedtuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical

SavedAction = namedtuple("SavedAction", ["log_prob", "value"])


class Corridor:
    """Walk right to the end."""

    def __init__(self, length=4):
        self.length = length
        self.position = 0

    def reset(self):
        self.position = 0
        return self._state()

    def _state(self):
        state = torch.zeros(self.length)
        state[self.position] = 1.0
        return state

    def step(self, action):
        self.position = max(0, min(self.length - 1, self.position + (1 if action == 1 else -1)))
        done = self.position == self.length - 1
        return self._state(), 1.0 if done else -0.1, done


class Policy(nn.Module):
    def __init__(self, states, actions):
        super().__init__()
        self.affine = nn.Linear(states, 16)
        self.action_head = nn.Linear(16, actions)
        self.value_head = nn.Linear(16, 1)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x):
        x = F.relu(self.affine(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def select_action(model, state):
    probs, value = model(state)
    dist = Categorical(probs)
    action = dist.sample()
    model.saved_actions.append(SavedAction(dist.log_prob(action), value))
    return action.item()


def finish_episode(model, optimizer, gamma=0.99):
    ret = 0.0
    returns = []
    for reward in model.rewards[::-1]:
        ret = reward + gamma * ret
        returns.insert(0, ret)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std(unbiased=False) + 1e-6)
    policy_losses, value_losses = [], []
    for (log_prob, value), target in zip(model.saved_actions, returns, strict=True):
        advantage = target - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, target.view(1)))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    model.rewards.clear()
    model.saved_actions.clear()
    return loss.item()


torch.manual_seed(0)
env = Corridor()
policy = Policy(4, 2)
optimizer = torch.optim.Adam(policy.parameters(), lr=3e-2)
losses = []
for _ in range(3):
    state = env.reset()
    for _ in range(6):
        action = select_action(policy, state)
        state, reward, done = env.step(action)
        policy.rewards.append(reward)
        if done:
            break
    losses.append(finish_episode(policy, optimizer))
assert len(losses) == 3
assert all(abs(loss) < 1e4 for loss in losses)
assert all(p.grad is not None for p in policy.parameters())
