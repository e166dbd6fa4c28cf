"""Parts of the programs that users write: a line each, and those that begin with `|` go on with the part before."""

from __future__ import annotations


def _parts(text: str) -> tuple[str, ...]:
    parts = text.strip("\n").replace("\n| ", "\0").split("\n")
    return tuple("" if part == "-" else part.replace("\0", "\n") for part in parts)


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Parts with an arrow between the two halves."""
    halves = (part.partition(" => ") for part in _parts(text))
    return tuple(("" if first == "-" else first, "" if second == "-" else second) for first, _, second in halves)


MEMBERS = _pairs("""
nn.Linear(3, 3) => x = {}(x)
nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)) => x = x + {}(x)
nn.Linear(3, 3, bias=False) => x = F.linear(x, {}.weight)
nn.Parameter(torch.ones(3)) => x = x * {}.expand(4, 3)
nn.ParameterDict({'scale': torch.ones(3), 'shift': torch.zeros(3)}) => x = x * {0}['scale'] + {0}['shift']
nn.ModuleDict({'a': nn.Linear(3, 3), 'b': nn.Tanh()}) => for key in ('a', 'b'): x = {}[key](x)
nn.ModuleList(nn.Linear(3, 3) for _ in range(2)) => for number, part in enumerate({}): x = part(x) + number
nn.BatchNorm1d(3) => x = {}(x)
nn.Dropout(0.5) => x = {}(x)
nn.Embedding(3, 3) => x = x + {}(torch.tensor([0, 1, 2, 0]))
nn.MultiheadAttention(3, 1) => x = x + {}(x, x, x)[0]
nn.GRU(3, 3) => x, aux = {}(x)
nn.Linear(3, 3) if <b> else nn.Identity() => x = {}(x)
{'a': nn.Parameter(torch.ones(3))} => x = x * {}['a']
""")
"""Parts of a network, and how its forward uses them."""
CLASS = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer('mean', torch.zeros(3))"""
TIES = _parts("""
self.head.weight = self.body.weight
self.head = self.body
self.head.weight.data = self.body.weight.data
self.head = copy.deepcopy(self.body)
freeze(self.body)
self.body.bias.requires_grad_(False)
self.head.load_state_dict(self.body.state_dict())
nn.init.zeros_(self.head.bias)
self.body.weight.data.mul_(0.5)
self.apply(lambda m: m.reset_parameters() if hasattr(m, 'reset_parameters') else None)
""")
"""At the end of its `__init__`."""
DECORATORS = ("@torch.no_grad()", "@torch.enable_grad()", "@torch.autocast('cpu', dtype=torch.bfloat16)")
INSIDE = _parts("""
x = torch.where(x > 0, x, torch.zeros_like(x))
x = x.masked_fill(x > 1, 0.0)
x = x.clone(); x[x > 1] = 0.0
full = torch.zeros(4, 3); full[:, :2] = x[:, :2]; x = full
x = torch.zeros(4, 3).index_put_((torch.arange(4),), x)
x = torch.zeros(4, 3).scatter_(1, torch.tensor([[0], [1], [2], [0]]), x)
one, two = x.chunk(2); x = torch.cat([two, one])
x = torch.stack([row * 2 for row in x])
x = torch.stack(x.unbind(0))
x = x.view(2, 6).reshape(4, 3)
x = x.t().contiguous().t()
x = x.double().to(torch.float32)
x = x.type_as(self.mean)
x = x + self.mean
h = x.relu(); h += x; x = h
x = F.relu(x, inplace=True)
x = F.dropout(x, 0.5, self.training)
with torch.no_grad(): size = x.norm()
| x = x / size
x = x - x.mean(0, keepdim=True).detach()
self.mean.mul_(0.9).add_(x.mean(0).detach(), alpha=0.1)
with torch.no_grad(): self.mean.lerp_(x.mean(0), 0.1)
self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
aux = x
aux = x.tanh()
aux = x.detach()
x = torch.einsum('ij,kj->ik', x, x) @ x
parts = {'one': x, 'two': x.detach()}; x = sum(parts.values())
x = sum(x * k for k in range(2))
if self.training: x = x * 2
x = x.softmax(-1)
x = x + x.sign() * 0.1
x = x.clamp(-1, 1)
x = F.one_hot(x.argmax(-1), 3) + x - x.detach()
x = (x.round() - x).detach() + x
flat = x.reshape(-1); flat.add_(1)
x = x.clone(); x[:, 0] *= 2
part = x[:, :2]; part += 1
h = x.clone().view(12); h[0] = 0; x = h.view(4, 3)
x = x.to(x.dtype); x.mul_(2)
h = x * 1; h.t().add_(x.t()); x = h
h = x * 1; row = h[0]; row.zero_(); x = h + row
h = torch.empty_like(x).copy_(x); x = h
x = x.expand(2, 4, 3).sum(0)
h = torch.zeros(4, 3)
| for i in range(4): h[i] = x[i]
| x = h
rows = [r for r in x]; rows[0] = rows[0] * 2; x = torch.stack(rows)
h = x.detach().clone(); h.requires_grad_(); x = x + h
x = x.contiguous(); x.view(-1)[0] = 0.0
h = x.squeeze().unsqueeze(0)[0]; h[h < 0] *= 0.1; x = h
x = torch.cat([x[:2], x[2:].detach()])
h = x.narrow(0, 0, 2); x = torch.cat([h, h * 2])
x = x.index_select(0, torch.tensor([3, 2, 1, 0]))
x = torch.gather(x, 1, x.argsort(1))
x = F.gumbel_softmax(x, hard=True)
x = x + torch.randn_like(x)
x = torch.utils.checkpoint.checkpoint(torch.tanh, x, use_reentrant=False)
x = F.normalize(x, dim=-1)
mask = torch.ones(4, 3).tril().bool(); x = x.masked_fill(~mask, 0)
""")
"""In its forward."""
WRONG_INSIDE = _parts("""
one, two = x.split(2); one.mul_(2)
for row in x: row.add_(1)
torch.mul(x, 2, out=torch.empty(4, 3))
h = x.exp(); h += 1; x = h
h = x.sigmoid(); x = h * h; h.mul_(2)
self.mean.mul_(0.9).add_(x.mean(0), alpha=0.1)
self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
self.mean = x.mean(0)
x = torch.tensor(x.tolist())
x = x.argmax(-1, keepdim=True).float().expand(4, 3)
if many: x = x.detach()
x = x.numpy()
x = torch.from_numpy(x.detach().numpy())
x.add_(1)
""")
RETURNS = _pairs("""
x => {out} = {net}({x})
| {aux} = {out}
x, aux => {out}, {aux} = {net}({x})
{'out': x, 'aux': aux} => given = {net}({x})
| {out}, {aux} = given['out'], given['aux']
Output(x, aux) => given = {net}({x})
| {out}, {aux} = given.out, given.aux
[x, aux] => {out}, *rest = {net}({x})
| {aux} = rest[-1]
""")
"""What that returns, and how one calls it."""
OBJECTS = """\
net = Net()
teacher = copy.deepcopy(net)
best = net.state_dict()
scale = nn.Parameter(torch.ones(3))
total, losses = 0, []"""
TEACHERS = _parts("""
-
freeze(teacher)
teacher.requires_grad_(False)
teacher.eval()
for p in teacher.parameters(): p.detach_()
""")
CRITERIA = ("MSELoss()", "L1Loss()", "HuberLoss(reduction='sum')", "SmoothL1Loss()")
LOSSES = _parts("""
F.mse_loss(out, y)
F.mse_loss(out, y, reduction='none').mean(1).sum()
F.cross_entropy(out, label)
criterion(out, y)
F.nll_loss(out.log_softmax(-1), label, reduction='sum')
F.binary_cross_entropy_with_logits(out, (y > 0).float())
F.kl_div(out.log_softmax(-1), y.softmax(-1), reduction='batchmean')
(out - y).abs().mean()
F.smooth_l1_loss(out, y)
-F.cosine_similarity(out, y).mean()
F.triplet_margin_loss(out, y, x)
torch.stack([F.mse_loss(a, b) for a, b in zip(out, y)]).mean()
sum(F.mse_loss(a, b) for a, b in zip(out, y))
F.hinge_embedding_loss(out, (y > 0) * 2 - 1)
torch.distributions.Normal(out, 1.0).log_prob(y).mean().neg()
torch.distributions.Categorical(logits=out).log_prob(label).mean()
""")
WRONG_LOSSES = _parts("""
F.mse_loss(out, y, reduction='none')
F.mse_loss(y, out.detach())
torch.tensor(F.mse_loss(out, y).item())
""")
TERMS = _parts("""
-
-
-
 + 0.1 * aux.pow(2).mean()
 + 1e-3 * sum(p.pow(2).sum() for p in net.parameters())
 + 0.1 * penalty(net.body, x)
 + sum(p.norm() for n, p in net.named_parameters() if 'weight' in n)
 + 0.1 * F.mse_loss(aux, out.detach())
 * 2 - aux.mean()
 + F.mse_loss(out, goal.detach())
 + F.mse_loss(out, goal)
""")
SUMS = _parts("""
loss = <l>
loss = <l>
loss = <l>
terms = {'main': <l>, 'other': 0.1 * aux.mean()}
| loss = sum(terms.values())
terms = {'main': <l>, 'other': 0.1 * aux.mean()}
| loss = terms['main']
terms = {'main': <l>, 'other': 0.1 * aux.mean()}
| loss = torch.stack(list(terms.values())).sum()
""")
FREEZES = _parts("""
-
-
freeze(net.body)
net.requires_grad_(False)
| net.head.requires_grad_()
for n, p in net.named_parameters(): p.requires_grad = n.startswith('head')
for p in net.parameters(): p.requires_grad_(False)
| for p in net.head.parameters(): p.requires_grad_(True)
net.body.weight.requires_grad = False
for part in walk(net):
|     if isinstance(part, nn.Linear) and part.bias is not None: part.bias.requires_grad_(False)
freeze(net, many)
dict(net.named_parameters())['body.bias'].requires_grad = False
""")
WRONG_FREEZES = _parts("""
freeze(net)
""")
GIVEN = _parts("""
net.parameters()
net.parameters()
[p for p in net.parameters() if p.requires_grad]
filter(lambda p: p.requires_grad, net.parameters())
[{'params': net.body.parameters(), 'lr': 0.01}, {'params': net.head.parameters()}]
net.head.parameters()
[{'params': [p for n, p in net.named_parameters() if 'bias' not in n], 'weight_decay': 0.1},
|     {'params': [p for n, p in net.named_parameters() if 'bias' in n]}]
list(net.body.parameters()) + list(net.head.parameters())
[*net.parameters(), scale]
{id(p): p for p in net.parameters()}.values()
""")
"""What an optimizer is given."""
KINDS = _parts("""
SGD({}, lr=0.1)
SGD({}, lr=0.1, momentum=0.9)
Adam({}, lr=0.01)
AdamW({})
RMSprop({})
LBFGS(list({}), max_iter=2)
""")
SCHEDULERS = _parts("""
-
-
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9 ** step)
""")
BACKWARDS = _parts("""
loss.backward()
loss.backward()
loss.backward()
torch.autograd.backward(loss)
loss.backward(retain_graph=True)
(loss / 2).backward()
grads = torch.autograd.grad(loss, [p for p in net.parameters() if p.requires_grad], allow_unused=True)
| for p, g in zip([p for p in net.parameters() if p.requires_grad], grads): p.grad = g
""")
WRONG_BACKWARDS = _parts("""
loss.backward()
| aux.sum().backward()
loss.backward()
| loss.backward()
grads = torch.autograd.grad(loss, list(net.parameters()))
| for p, g in zip(net.parameters(), grads): p.grad = g
loss.backward(retain_graph=True)
| aux.sum().backward()
""")
AFTER = _parts("""
-
-
-
nn.utils.clip_grad_norm_(net.parameters(), 1.0)
for p in net.parameters():
|     if p.grad is not None: p.grad.clamp_(-1, 1)
norm = sum(p.grad.norm() for p in net.parameters() if p.grad is not None)
grads = {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
total += loss.item()
losses.append(loss.detach())
losses.append(loss)
""")
"""Between backward and step."""
WRONG_AFTER = _parts("""
total += loss
""")
LATER = _parts("""
-
-
-
blend(teacher, net)
if step == 1: freeze(net.body, False)
if step == 1: freeze(net.body)
teacher.load_state_dict(net.state_dict())
best = copy.deepcopy(net.state_dict())
with torch.no_grad():
|     for p in net.parameters(): p.clamp_(-2, 2)
for p in net.parameters(): p.data.mul_(0.99)
net.eval()
| with torch.no_grad():
|     score = loss_of(x, y, label).item()
| net.train()
with torch.inference_mode():
|     score = net(x)
if many: break
net.load_state_dict(best)
torch.nn.utils.vector_to_parameters(torch.nn.utils.parameters_to_vector(net.parameters()) * 0.99, net.parameters())
print({n: p.grad.abs().mean() for n, p in net.named_parameters() if p.requires_grad})
""")
"""Behind the step."""
WRONG_LATER = _parts("""
for p in net.parameters(): p.mul_(0.99)
""")
LOOPS = _pairs("""
for step in range(3): => x, y, label = inputs[step], targets[step], labels[step]
for step, (x, y, label) in enumerate(zip(inputs, targets, labels)): => -
for step, (x, y, label) in enumerate(DataLoader(TensorDataset(inputs, targets, labels), batch_size=None)): => -
for step, x in enumerate(inputs): => y, label = targets[step], labels[step]
for epoch in range(2):
|     for step in range(2): =>     x, y, label = inputs[step], targets[step], labels[step]
""")
EXTRAS = _pairs("""
memory = torch.zeros(4, 3) => loss = loss + F.mse_loss(out, memory)
| memory = 0.9 * memory + 0.1 * out.detach()
bank = [] => bank.append(out.detach())
| if len(bank) > 1: loss = loss + F.mse_loss(out, bank[-2])
prompt = torch.zeros(3, requires_grad=True) => loss = loss + (net.head(x) + prompt).pow(2).mean()
| with torch.no_grad():
|     if prompt.grad is not None: prompt -= 0.1 * prompt.grad; prompt.grad.zero_()
prompt = torch.zeros(3, requires_grad=True) => if prompt.grad is not None:
|     prompt = (prompt - 0.1 * prompt.grad).detach().requires_grad_()
| loss = loss + (net.head(x) + prompt).pow(2).mean()
critic = nn.Linear(3, 1)
| rival = torch.optim.SGD(critic.parameters(), lr=0.1) => rival.zero_grad()
| (critic(out.detach()).mean() - critic(y).mean() + penalty(critic, x)).backward()
| rival.step()
| loss = loss - critic(out).mean()
- => slow = dict(net.named_parameters())
| grads = torch.autograd.grad(loss, slow.values(), create_graph=True, allow_unused=True)
| fast = {n: p if g is None else p - 0.1 * g for (n, p), g in zip(slow.items(), grads)}
| loss = sum(p.pow(2).sum() for p in fast.values())
| loss = loss + functional_call(net.body, {'weight': fast['body.weight']}, (x,)).mean()
- => near = x.clone().requires_grad_()
| push, = torch.autograd.grad(net.head(net.body(near)).sum(), near)
| loss = loss + net.head(x + 0.1 * push.sign()).mean()
kept = {}
| net.body.register_forward_hook(lambda m, i, o: kept.update(body=o)) => loss = loss + kept['body'].abs().mean()
kept = []
| net.body.register_forward_hook(lambda m, i, o: kept.append(o.detach())) => loss = loss + F.mse_loss(out, kept[-1])
cell, h = nn.GRUCell(3, 3), torch.zeros(4, 3) => h = cell(x, h.detach())
| loss = loss + h.mean()
net.state = None => net.state = out.detach() if net.state is None else 0.5 * net.state + 0.5 * out.detach()
| loss = loss + (out * net.state).mean()
class Reverse(torch.autograd.Function):
|     @staticmethod
|     def forward(ctx, x, rate):
|         ctx.rate = rate
|         return x.view_as(x)
|     @staticmethod
|     def backward(ctx, grad):
|         return -ctx.rate * grad, None => loss = loss + Reverse.apply(out, 0.1).mean()
- => x.requires_grad_()
| slope, = torch.autograd.grad(net.head(x).sum(), x, create_graph=True)
| loss = loss + slope.pow(2).mean()
- => with torch.enable_grad(): loss = loss + 0.1 * sum(map(torch.norm, net.head.parameters()))
half = net.body => loss = loss + (half(x).split(1, dim=-1)[0] * out.unbind(-1)[0].unsqueeze(-1)).mean()
- => loss = torch.where(torch.isfinite(loss), loss, torch.zeros_like(loss))
- => if not torch.isfinite(loss): continue
""")
"""What stands before the loop, and what is done with the loss in it."""
WRONG_EXTRAS = _pairs("""
memory = torch.zeros(4, 3) => loss = loss + F.mse_loss(out, memory)
| memory = 0.9 * memory + 0.1 * out
bank = [] => bank.append(out)
| if len(bank) > 1: loss = loss + F.mse_loss(out, bank[-2])
prompt = torch.zeros(3, requires_grad=True) => if prompt.grad is not None: prompt = prompt - 0.1 * prompt.grad
| loss = loss + (net.head(x) + prompt).pow(2).mean()
features = net.body(inputs[0]) => loss = loss + features.mean()
- => loss = loss + F.mse_loss(out, net(x.numpy()))
cell, h = nn.GRUCell(3, 3), torch.zeros(4, 3) => h = cell(x, h)
| loss = loss + h.mean()
- => optimizer.step()
- => near = x.clone()
| push, = torch.autograd.grad(net.head(near).sum(), near)
- => net.body.weight += 0.1
- => net.body.weight.data += 0.1
- => with torch.no_grad(): net.body.weight += 0.1
kept = []
| net.body.register_forward_hook(lambda m, i, o: kept.append(o)) => loss = loss + sum(each.mean() for each in kept)
critic = nn.Linear(3, 1)
| rival = torch.optim.SGD(critic.parameters(), lr=0.1) => rival.zero_grad()
| critic(out).mean().backward()
| rival.step()
| loss = loss - critic(out).mean()
- => loss = nn.Parameter(loss)
- => loss.requires_grad_(False)
- => copied = copy.deepcopy(out)
""")
AROUND = (
    ("def train():\n    global total, best, teacher", 1, "train()"),
    (
        "class Trainer:\n    def __init__(self, net):\n        self.net = net\n    @property\n    def trained(self):\n"
        "        return [p for p in self.net.parameters() if p.requires_grad]\n    def fit(self):\n"
        "        global total, best, teacher",
        2,
        "trainer = Trainer(net)\ntrainer.fit()\nknown = trainer.trained",
    ),
)
"""What may stand around the loop, and how it is run then."""
ORDERS = _parts("""
zero loss back after step later
loss zero back after step later
loss back after step zero later
loss back zero step later
loss later back step
loss step back zero
""")
ZEROS = _parts("""
optimizer.zero_grad()
net.zero_grad()
optimizer.zero_grad(set_to_none=False)
for p in net.parameters(): p.grad = None
""")
CLOSURES = _parts("""
def closure():
|     optimizer.zero_grad()
|     loss = loss_of(x, y, label)
|     loss.backward()
|     return loss
| optimizer.step(closure)
def closure():
|     optimizer.zero_grad()
|     return loss_of(x, y, label)
| optimizer.step(closure)
""")
SCALED = (
    "scaler = torch.amp.GradScaler('cpu', enabled=<b>)\nscaler.scale(loss).backward()",
    "scaler.step(optimizer)\nscaler.update()",
)
BEHIND = _parts("""
out = net(inputs[0])
with torch.no_grad():
|     out = net(inputs[0])
net.eval()
| loss = loss_of(inputs[0], targets[0], labels[0])
final = torch.stack(losses).mean() if losses else None
if total: total.backward()
shown = [p.detach().numpy() for p in net.parameters()]
shown = [p.numpy() for p in net.parameters()]
""")
