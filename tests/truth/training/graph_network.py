"""A graph network: messages along edges, summed with index_add, attention with scatter."""

import torch
import torch.nn.functional as F
from torch import nn


def scatter_softmax(scores, index, size):
    highest = torch.full((size, scores.size(1)), float("-inf"))
    highest = highest.scatter_reduce(0, index.unsqueeze(1).expand_as(scores), scores.detach(), reduce="amax")
    exp = (scores - highest[index]).exp()
    total = torch.zeros(size, scores.size(1)).index_add(0, index, exp)
    return exp / (total[index] + 1e-16)


class GCNLayer(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x, edge_index):
        row, col = edge_index
        degree = torch.zeros(x.size(0)).scatter_add_(0, col, torch.ones(col.size(0)))
        norm = degree.clamp(min=1).pow(-0.5)
        weight = norm[row] * norm[col]
        messages = self.linear(x)[row] * weight.unsqueeze(-1)
        out = torch.zeros(x.size(0), messages.size(1))
        out.index_add_(0, col, messages)
        return out + self.bias


class GATLayer(nn.Module):
    def __init__(self, inputs, outputs, heads):
        super().__init__()
        self.heads, self.outputs = heads, outputs
        self.lin = nn.Linear(inputs, heads * outputs, bias=False)
        self.att_src = nn.Parameter(torch.empty(1, heads, outputs))
        self.att_dst = nn.Parameter(torch.empty(1, heads, outputs))
        nn.init.xavier_uniform_(self.att_src)
        nn.init.xavier_uniform_(self.att_dst)

    def forward(self, x, edge_index):
        src, dst = edge_index
        h = self.lin(x).view(-1, self.heads, self.outputs)
        alpha = (h * self.att_src).sum(-1)[src] + (h * self.att_dst).sum(-1)[dst]
        alpha = scatter_softmax(F.leaky_relu(alpha, 0.2), dst, x.size(0))
        messages = h[src] * alpha.unsqueeze(-1)
        return torch.zeros_like(h).index_add(0, dst, messages).flatten(1)


class GNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = GCNLayer(4, 8)
        self.conv2 = GATLayer(8, 3, heads=2)
        self.out = nn.Linear(6, 2)

    def forward(self, x, edge_index):
        x = F.dropout(F.elu(self.conv1(x, edge_index)), p=0.2, training=self.training)
        return self.out(self.conv2(x, edge_index)).log_softmax(dim=-1)


torch.manual_seed(0)
x = torch.randn(6, 4)
edge_index = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 2], [1, 2, 3, 4, 5, 0, 3, 5]])
y = torch.tensor([0, 1, 0, 1, 0, 1])
train_mask = torch.tensor([True, True, True, True, False, False])
model = GNN()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for _ in range(3):
    model.train()
    optimizer.zero_grad()
    out = model(x, edge_index)
    loss = F.nll_loss(out[train_mask], y[train_mask])
    loss.backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    pred = model(x, edge_index).argmax(dim=1)
    accuracy = float((pred[~train_mask] == y[~train_mask]).float().mean())
assert torch.isfinite(loss)
assert 0 <= accuracy <= 1
assert all(p.grad is not None for p in model.parameters())
