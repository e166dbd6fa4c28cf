"""A sparse mixture of experts: top-k routing and a loss that balances the load."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Expert(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class SparseMoE(nn.Module):
    def __init__(self, dim: int, hidden: int, num_experts: int, top_k: int):
        super().__init__()
        self.num_experts = num_experts
        self.top_k = top_k
        self.gate = nn.Linear(dim, num_experts, bias=False)
        self.experts = nn.ModuleList(Expert(dim, hidden) for _ in range(num_experts))

    def forward(self, hidden_states):
        batch, length, dim = hidden_states.shape
        flat = hidden_states.view(-1, dim)
        router_logits = self.gate(flat)
        routing = F.softmax(router_logits, dim=1, dtype=torch.float)
        weights, selected = torch.topk(routing, self.top_k, dim=-1)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        final = torch.zeros((batch * length, dim), dtype=flat.dtype)
        expert_mask = F.one_hot(selected, num_classes=self.num_experts).permute(2, 1, 0)
        for index, expert in enumerate(self.experts):
            slot, token = torch.where(expert_mask[index])
            if token.numel() == 0:
                continue
            current = expert(flat[token]) * weights[token, slot, None]
            final.index_add_(0, token, current.to(flat.dtype))
        return final.reshape(batch, length, dim), router_logits


def load_balancing_loss(logits, num_experts, top_k):
    weights = torch.softmax(logits, dim=-1)
    _, selected = torch.topk(weights, top_k, dim=-1)
    mask = F.one_hot(selected, num_experts)
    tokens_per_expert = mask.float().mean(dim=0)
    prob_per_expert = weights.mean(dim=0)
    return num_experts * torch.sum(tokens_per_expert * prob_per_expert.unsqueeze(0))


class Model(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.norm = nn.LayerNorm(dim)
        self.moe = SparseMoE(dim, 8, num_experts=3, top_k=2)
        self.head = nn.Linear(dim, vocab)

    def forward(self, tokens):
        x = self.embed(tokens)
        y, router_logits = self.moe(self.norm(x))
        return self.head(x + y), router_logits


torch.manual_seed(0)
model = Model(9, 4)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for _ in range(3):
    tokens = torch.randint(0, 9, (4, 7))
    logits, router_logits = model(tokens[:, :-1])
    ce = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    aux = load_balancing_loss(router_logits, 3, 2)
    loss = ce + 0.01 * aux
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

assert torch.isfinite(loss)
assert all(p.grad is not None for p in model.parameters())
