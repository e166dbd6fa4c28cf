"""Deep Q-learning with replay memory and a target network that follows slowly."""

import random
from collections import deque, namedtuple

import torch
from torch import nn, optim

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))


class ReplayMemory:
    def __init__(self, capacity):
        self.memory = deque(maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return random.sample(self.memory, batch_size)

    def __len__(self):
        return len(self.memory)


class DQN(nn.Module):
    def __init__(self, observations, actions):
        super().__init__()
        self.layer1 = nn.Linear(observations, 16)
        self.layer2 = nn.Linear(16, actions)

    def forward(self, x):
        return self.layer2(torch.relu(self.layer1(x)))


GAMMA, TAU, EPSILON, BATCH = 0.99, 0.05, 0.2, 4
torch.manual_seed(0)
random.seed(0)
policy_net = DQN(3, 2)
target_net = DQN(3, 2)
target_net.load_state_dict(policy_net.state_dict())
optimizer = optim.AdamW(policy_net.parameters(), lr=1e-3, amsgrad=True)
memory = ReplayMemory(50)


def select_action(state):
    if random.random() > EPSILON:
        with torch.no_grad():
            return policy_net(state).max(1).indices.view(1, 1)
    return torch.tensor([[random.randrange(2)]], dtype=torch.long)


def optimize_model():
    if len(memory) < BATCH:
        return None
    transitions = memory.sample(BATCH)
    batch = Transition(*zip(*transitions, strict=True))
    mask = torch.tensor([s is not None for s in batch.next_state], dtype=torch.bool)
    non_final = torch.cat([s for s in batch.next_state if s is not None])
    state_batch = torch.cat(batch.state)
    action_batch = torch.cat(batch.action)
    reward_batch = torch.cat(batch.reward)

    q_values = policy_net(state_batch).gather(1, action_batch)
    next_values = torch.zeros(BATCH)
    with torch.no_grad():
        next_values[mask] = target_net(non_final).max(1).values
    expected = (next_values * GAMMA) + reward_batch
    loss = nn.SmoothL1Loss()(q_values, expected.unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
    optimizer.step()
    return loss.item()


losses = []
state = torch.randn(1, 3)
for step in range(8):
    action = select_action(state)
    next_state = torch.randn(1, 3) if step % 4 != 3 else None
    reward = torch.tensor([1.0 if action.item() == 0 else -1.0])
    memory.push(state, action, next_state, reward)
    state = next_state if next_state is not None else torch.randn(1, 3)
    loss = optimize_model()
    if loss is not None:
        losses.append(loss)
    target_state = target_net.state_dict()
    policy_state = policy_net.state_dict()
    for key in policy_state:
        target_state[key] = policy_state[key] * TAU + target_state[key] * (1 - TAU)
    target_net.load_state_dict(target_state)

assert losses
assert all(value == value for value in losses)
assert all(p.grad is not None for p in policy_net.parameters())
assert all(p.grad is None for p in target_net.parameters())
