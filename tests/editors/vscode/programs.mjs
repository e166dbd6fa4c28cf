// Programs with one mistake each, and what is to become of them.
const HEAD = 'import torch\nfrom torch import nn\n\n';

export const detached = `${HEAD}model = nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(32, 8), torch.randn(32, 2)

optimizer.zero_grad()
prediction = model(x).detach()
loss = (prediction - y).pow(2).mean()
loss.backward()
optimizer.step()
`;

/** What it prints where it is the file at a path. */
export const raised = (path) => `Traceback (most recent call last):
  File "${path}", line 11, in <module>
    loss.backward()
  File "/usr/lib/python3/dist-packages/torch/_tensor.py", line 648, in backward
    torch.autograd.backward(
RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
`;

export const swapped = `${HEAD}model = nn.Linear(8, 3)
criterion = nn.CrossEntropyLoss()
x, labels = torch.randn(32, 8), torch.randint(0, 3, (32,))

loss = criterion(labels, model(x))
loss.backward()
`;

export const stacked = `${HEAD}model = nn.Linear(8, 1)
losses = [model(torch.randn(8)).pow(2).sum() for _ in range(4)]
loss = torch.tensor(losses).mean()
loss.backward()
`;

/** Two mistakes that can be mended safely. */
export const both = `${swapped}
losses = [model(torch.randn(8)).pow(2).sum() for _ in range(4)]
torch.tensor(losses).mean().backward()
`;

export const notebook = (source) => JSON.stringify({
  cells: [
    { cell_type: 'code', execution_count: null, id: 'one', metadata: {}, outputs: [], source: ['%matplotlib inline\n', 'import torch\n', 'from torch import nn'] },
    { cell_type: 'markdown', id: 'two', metadata: {}, source: ['# Training'] },
    { cell_type: 'code', execution_count: null, id: 'three', metadata: {}, outputs: [], source: source.replace(HEAD, '').split(/(?<=\n)/) },
  ],
  metadata: { kernelspec: { display_name: 'Python 3', language: 'python', name: 'python3' }, language_info: { name: 'python' } },
  nbformat: 4,
  nbformat_minor: 5,
});
