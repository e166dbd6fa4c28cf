"""Linear and two-layer regression with gradient descent by hand."""

import torch

torch.manual_seed(0)


def init(shape, std=0.1):
    return (torch.randn(shape) * std).requires_grad_()


def log_softmax(x):
    return x - x.exp().sum(-1).log().unsqueeze(-1)


def model(xb, weights, bias):
    return log_softmax(xb @ weights + bias)


def nll(inputs, target):
    return -inputs[range(target.shape[0]), target].mean()


def accuracy(out, yb):
    preds = torch.argmax(out, dim=1)
    return (preds == yb).float().mean()


def sgd(params, lr, batch_size=1):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


x_train = torch.randn(12, 4)
y_train = (x_train.sum(dim=1) > 0).long()
weights = torch.randn(4, 2) / 2.0
weights.requires_grad_()
bias = torch.zeros(2, requires_grad=True)
lr = 0.5

for _epoch in range(2):
    for i in range(0, 12, 6):
        xb, yb = x_train[i : i + 6], y_train[i : i + 6]
        pred = model(xb, weights, bias)
        loss = nll(pred, yb)
        loss.backward()
        with torch.no_grad():
            weights -= weights.grad * lr
            bias -= bias.grad * lr
            weights.grad.zero_()
            bias.grad.zero_()
assert torch.isfinite(loss)
assert 0 <= accuracy(model(x_train, weights, bias), y_train).item() <= 1

w1, b1 = init((4, 8)), torch.zeros(8, requires_grad=True)
w2, b2 = init((8, 1)), torch.zeros(1, requires_grad=True)
params = [w1, b1, w2, b2]
velocity = [torch.zeros_like(p) for p in params]
target = x_train.pow(2).sum(dim=1, keepdim=True)
history = []
for _epoch in range(2):
    hidden = (x_train @ w1 + b1).clamp(min=0)
    out = hidden @ w2 + b2
    loss = ((out - target) ** 2).mean() + 1e-3 * sum(p.square().sum() for p in (w1, w2))
    loss.backward()
    sgd(params, lr=0.01)
    history.append(loss.item())
for _epoch in range(2):
    out = torch.relu(x_train @ w1 + b1) @ w2 + b2
    grads = torch.autograd.grad((out - target).pow(2).mean(), params)
    with torch.no_grad():
        for p, g, v in zip(params, grads, velocity, strict=True):
            v.mul_(0.9).add_(g)
            p.sub_(0.01 * v)
assert all(p.is_leaf and p.requires_grad for p in params)
assert len(history) == 2
assert all(p.grad is not None and not p.grad.any() for p in params)
