"""What stands in real repositories, is right there, and was once reported; and what is wrong and looks alike."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.flow.names import NoNames
from gradls.flow.run import Run
from gradls.flow.statements import exec_block
from gradls.syntax.source import Source
from tests.rules.reported import IMPORTS, check_error, check_right, reported

RIGHT = [
    (
        "GRD526",
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.mean = torch.randn(3, 2)
                self.mean[0] += 1
                self.mean = nn.Parameter(self.mean)

            def forward(self, x):
                return (x - self.mean).pow(2).sum()

        net = Net()
        net(torch.randn(2)).backward()
        assert net.mean.grad is not None
        """,
    ),
    (
        "GRD607",
        """
        class Agent:
            def __init__(self):
                self.actor = nn.Linear(3, 3)
                self.actor_optimizer = torch.optim.SGD(self.actor.parameters(), lr=0.1)
                self.critic, self.target = nn.Linear(3, 1), nn.Linear(3, 1)
                self.critic_optimizer = torch.optim.SGD(self.critic.parameters(), lr=0.1)

            def update(self, state):
                self.critic_optimizer.zero_grad()
                F.mse_loss(self.critic(state), 1 + self.target(state)).backward()
                self.critic_optimizer.step()
                self.actor_optimizer.zero_grad()
                (-self.critic(self.actor(state)).mean()).backward()
                self.actor_optimizer.step()

        agent = Agent()
        for _ in range(2):
            agent.update(torch.randn(4, 3))
        """,
    ),
    (
        "GRD311",
        """
        def model(x, w, b):
            return w * x + b

        stacked = torch.stack([torch.ones(())] * 2).requires_grad_()
        for weights in (torch.tensor([1.0, 0.0], requires_grad=True), stacked):
            for _ in range(3):
                weights.grad = None
                model(torch.arange(3.0), *weights).mean().backward()
                with torch.no_grad():
                    weights -= 0.1 * weights.grad
        """,
    ),
    (
        "GRD501",
        """
        class Inception(nn.Module):
            def __init__(self):
                super().__init__()
                branches = [nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Sequential(nn.Tanh(), nn.Linear(3, 3))]
                for number, branch in enumerate(branches):
                    for name, layer in branch.named_children():
                        self.add_module(f"{number}_{name}", layer)
                self.branches = branches

            def forward(self, x):
                return sum(branch(x) for branch in self.branches)

        net = Inception()
        net(torch.randn(2, 3)).sum().backward()
        assert len(list(net.parameters())) == 4
        """,
    ),
    (
        "GRD202",
        """
        first, second = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
        optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()])
        for _ in range(3):
            x = torch.randn(8, 3)
            one, other = first(x).pow(2).mean(), second(x).pow(2).mean()
            optimizer.zero_grad()
            one.backward()
            optimizer.step()
            optimizer.zero_grad()
            other.backward()
            optimizer.step()
        """,
    ),
    (
        "GRD526",
        """
        device = torch.device("cpu")

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 3)
                self.scale = torch.sqrt(torch.FloatTensor([3])).to(device)

            def forward(self, x):
                return self.layer(x) * self.scale

        Net().to(device)(torch.ones(2, 3)).sum().backward()
        """,
    ),
    (
        "GRD119",
        """
        embed = nn.Embedding(5, 3)
        length = embed.weight.pow(2).sum(dim=1).sqrt()
        print(length.topk(2))
        embed(torch.tensor([1])).sum().backward()
        """,
    ),
    (
        "GRD701",
        """
        class Value:
            def __init__(self, data, children=()):
                self.data, self.grad, self.children = data, 0.0, set(children)

            def __rmul__(self, other):
                return Value(self.data * other, (self,))

            def backward(self):
                self.grad = 1.0

        def trace(root):
            edges = set()
            for child in root.children:
                edges.add((child, root))
            return edges

        o = 2 * Value(3.0) * unknown()
        o.backward()
        trace(o)
        """,
    ),
    (
        "GRD303",
        """
        class Reward(nn.Module):
            def loss(self, state):
                pass

        def train(reward):
            optimizer = torch.optim.SGD(reward.parameters(), lr=0.1) if list(reward.parameters()) else None
            for i in range(100):
                if (i + 1) % 7 == 0 and optimizer is not None:
                    reward.loss(i).backward()

        train(Reward())
        """,
    ),
    ("GRD406", "weights = F.softmax()"),
    (
        "GRD110",
        """
        model = something()
        prediction = torch.func.functional_call(model, dict(model.named_parameters()), (torch.ones(2),))
        prediction.sum().backward()
        """,
    ),
    (
        "GRD316",
        """
        def plain(value):
            if value.shape == () or len(value) == 1:
                return float(value.item())
            return value.tolist()

        assert plain(torch.ones(3)) == [1.0, 1.0, 1.0]
        """,
    ),
    *(
        (
            code,
            """
            model = models.densenet121(pretrained=True)
            for param in model.parameters():
                param.requires_grad = False
            model.classifier = nn.Sequential(nn.Linear(1024, 256), nn.LogSoftmax(dim=1))
            optimizer = torch.optim.Adam(model.classifier.parameters(), lr=0.003)
            for x, y in [(torch.randn(2, 3, 64, 64), torch.tensor([1, 0]))]:
                loss = nn.NLLLoss()(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            """,
        )
        for code in ("GRD611", "GRD520")
    ),
    (
        "GRD513",
        """
        class Base(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("best", torch.zeros(2))

        class Small(Base):
            @property
            def best(self):
                return super().best

        Small()
        """,
    ),
    (
        "GRD504",
        """
        class Kernel(nn.Module):
            stationary = False

        class Grid(Kernel):
            def __init__(self, kernel: Kernel):
                if not kernel.stationary:
                    raise ValueError
                super().__init__()

        class Interpolated(Grid):
            def __init__(self, kernel: Kernel):
                super().__init__(kernel)
                self.register_buffer("seen", torch.tensor(False))
        """,
    ),
    (
        "GRD902",
        """
        def solved(covariance, right):
            if right.dim() > 1:
                covariance = covariance.evaluate()
            return covariance.detach().solve(right)
        """,
    ),
    (
        "GRD902",
        """
        rows = torch.randn(3).new_zeros(size=(3, 4))[:2]
        """,
    ),
    (
        "GRD509",
        """
        class Positions(nn.Module):
            def forward(self, x):
                return x

        class Renamed(nn.Module):
            def __new__(cls):
                return Positions()

        Renamed()(torch.ones(3))
        """,
    ),
    (
        "GRD110",
        """
        class Named(torch.distributions.Normal):
            name = "normal"

        scale = torch.ones(3, requires_grad=True)
        Named(torch.zeros(3), scale).rsample().sum().backward()
        """,
    ),
    (
        "GRD902",
        """
        lengths = torch.tensor([2, 3])
        words = torch.LongTensor(lengths.max(), 4).fill_(1)
        first = words[0]
        buffer = torch.LongTensor()
        none = buffer[:0]
        """,
    ),
    (
        "GRD109",
        """
        x = torch.tensor(0.0, requires_grad=True)
        opt = torch.optim.Adam([x])
        for gradient in (1.0, 2.0):
            opt.zero_grad()
            x.backward(torch.tensor(gradient))
            opt.step()
        """,
    ),
    (
        "GRD109",
        """
        def test_of_the_derivative(function, value):
            zero = torch.tensor(value, requires_grad=True)
            zero.backward()
            assert zero.grad == 1
        """,
    ),
    (
        "GRD109",
        """
        def minimize(function, start):
            x = start.exp().detach().clone().requires_grad_(True)
            opt = torch.optim.LBFGS([x])

            def closure():
                opt.zero_grad()
                y = function(x)
                torch.autograd.backward(x, torch.autograd.grad(y, x, retain_graph=True))
                return y

            opt.step(closure)
        """,
    ),
    (
        "GRD111",
        """
        critic = nn.Linear(3, 1)
        opt = torch.optim.Adam(critic.parameters())
        real = torch.randn(8, 3, requires_grad=True)
        valid = torch.ones(8, 1, requires_grad=False)
        F.mse_loss(critic(real), valid).backward()
        opt.step()
        """,
    ),
    (
        "GRD114",
        """
        class Table(nn.Module):
            def __init__(self):
                super().__init__()
                self.positions = nn.Embedding(64, 8)

            def crop(self, size):
                self.positions.weight = nn.Parameter(self.positions.weight[:size])
        """,
    ),
    (
        "GRD607",
        """
        class Explainer:
            def train(self, model, x, target):
                net = nn.Linear(3, 3)
                optimizer = torch.optim.Adam(self.weights)
                self.multiplier = torch.tensor(1.0, requires_grad=True)
                other = torch.optim.RMSprop([self.multiplier])
                optimizer.zero_grad()
                other.zero_grad()
                loss = (net(x) - target).mean() * F.softplus(self.multiplier)
                loss.backward()
                optimizer.step()
                other.step()
        """,
    ),
    (
        "GRD607",
        """
        def train(x, parameters):
            head, other = nn.Linear(3, 1), nn.Linear(3, 1)
            first = torch.optim.SGD(other.parameters(), lr=0.1)
            second = torch.optim.SGD(parameters, lr=0.1)
            head(x).sum().backward()
            first.step()
            second.step()
        """,
    ),
    (
        "GRD706",
        """
        from elsewhere import Hook

        class Skip(Hook):
            def new_forward(self, x):
                return F.dropout(x, p=self.rate)
        """,
    ),
    (
        "GRD801",
        """
        import extension

        class Fn(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return extension.forward(x)

            @staticmethod
            def backward(ctx, gradient):
                return extension.backward(*ctx.saved_tensors, gradient)

        Fn.apply(torch.randn(3, requires_grad=True)).sum().backward()
        """,
    ),
    (
        "GRD513",
        """
        from einops import rearrange
        from lightning.pytorch.core.module import LightningModule

        class Child(LightningModule):
            def forward(self, x):
                return x

        class Scripted(torch.jit.ScriptModule):
            pass

        class Net(nn.Module):
            def __init__(self, size, split):
                super().__init__()
                places = rearrange(torch.arange(size), "n -> () n ()")
                self.register_buffer("mask", ((places >= split) & (places < size)) | (places == size))
                self.children_ = nn.Sequential(Child(), Scripted())
        """,
    ),
    (
        "GRD504",
        """
        class Base(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.linear = nn.Linear(size, size)

        class Offline(Base):
            pass

        class Quantile(Base):
            def __init__(self, size):
                super().__init__(size)
                self.tau = nn.Parameter(torch.ones(size))

        class Both(Offline, Quantile):
            def __init__(self, size):
                Quantile.__init__(self, size)
                self.head = nn.Linear(size, 1)

        Both(3)
        """,
    ),
    (
        "GRD504",
        """
        class Base(nn.Module):
            def __init__(self):
                super().__init__()

        class Net(Base):
            def __init__(self):
                Base.__init__(self)
                self.linear = nn.Linear(3, 1)

        Net()
        """,
    ),
    (
        "GRD505",
        """
        class Learner(nn.Module):
            def __init__(self):
                super().__init__()
                self.vars = nn.ParameterList([nn.Parameter(torch.ones(3))])

            def parameters(self):
                return self.vars

        torch.optim.Adam(Learner().parameters(), lr=0.1)
        """,
    ),
    *(
        (
            code,
            f"""
            class Adaptive(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.bias = None

                def forward(self, x):
                    return x + self.bias

            class Decoder(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.model = nn.Sequential(nn.Linear(3, 3), Adaptive())
                    self.mlp = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))

                def forward(self, x, style):
                    bias = self.mlp(style)
                    for m in self.modules():
                        if {test}:
                            m.bias = bias
                    return self.model(x)

            decoder = Decoder()
            opt = torch.optim.SGD(decoder.parameters(), lr=0.1)
            for _ in range(3):
                opt.zero_grad()
                decoder(torch.randn(4, 3), torch.randn(4, 3)).mean().backward()
                opt.step()
            """,
        )
        for code in ("GRD301", "GRD508", "GRD520")
        for test in (
            "m.__class__.__name__ == 'Adaptive'",
            "type(m).__name__.find('Adaptive') != -1",
            "m._get_name().startswith('Adap')",
        )
    ),
    (
        "GRD316",
        """
        from numbers import Number

        def prior(scale):
            if isinstance(scale, Number):
                scale = torch.tensor(float(scale))
            return scale

        def selected(target):
            if torch.numel(target) == 1 or target.numel() == 1 or target.dim() == 0:
                return target.item()
            return target

        prior(torch.tensor([0.1, 0.25]))
        prior(0.1).item()
        selected(torch.tensor([1, 2, 3]))
        """,
    ),
    (
        "GRD304",
        """
        def for_gradcheck(tensor, requires_grad=True):
            if tensor.is_floating_point():
                return tensor.requires_grad_(requires_grad)
            return tensor

        for_gradcheck(torch.zeros(3, dtype=torch.int64))
        """,
    ),
    (
        "GRD316",
        """
        def bounds(factor):
            if factor.dim() == 0:
                if factor < 0:
                    raise ValueError(factor)
            if 0 < factor.ndim < 3 and factor.dim() == 2 == factor.ndim:
                factor = factor.item()
            return factor

        bounds(torch.tensor([0.5, 1.5]))
        """,
    ),
    (
        "GRD518",
        """
        class Decoder(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(8, 4)

            def forward(self, z):
                stroke = z.new_zeros(5).new_tensor([0, 0, 1, 0, 0])
                start = torch.cat([torch.tensor([0, 0, 1, 0, 0]), z])
                return self.lstm(stroke.view(1, 1, -1)), self.lstm(start.view(1, 1, -1))
        """,
    ),
    (
        "GRD709",
        """
        def test_predictions(model, test_x, test_y):
            model.eval()
            predictions = model(test_x)
            assert (predictions - test_y).abs().mean().item() < 0.1
        """,
    ),
    (
        "GRD504",
        """
        from lightning.pytorch.core.module import LightningModule

        class Child(LightningModule):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(1, 1)
        """,
    ),
    (
        "GRD601",
        """
        def run(model, loss_of, optimizer, data):
            for x in data:
                loss = loss_of(model(x))
                optimizer.backward(loss)
                optimizer.step()
        """,
    ),
]


@pytest.mark.parametrize(("code", "snippet"), RIGHT)
def test_silent(code: str, snippet: str) -> None:
    assert reported(code, snippet) == []


@pytest.mark.parametrize(
    ("code", "snippet", "severity"),
    [
        ("GRD109", "loss = torch.tensor(measure(), requires_grad=True)\nloss.backward()", "warning"),
        (
            "GRD607",
            "head, other = nn.Linear(3, 1), nn.Linear(3, 1)\nopt = torch.optim.SGD(other.parameters(), lr=0.1)\n"
            "head(torch.randn(8, 3)).sum().backward()\nopt.step()",
            "warning",
        ),
        ("GRD706", "class Net(nn.Module):\n    def encode(self, x):\n        return F.dropout(x)", "information"),
    ],
)
def test_reported(code: str, snippet: str, severity: str) -> None:
    assert [found for found, _ in reported(code, snippet)] == [severity]


DROPOUT = """
class Net(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.linear, self.rate = nn.Linear(3, 3), rate
        self.drop = {layer}

    def forward(self, x):
        return {call}

net = Net({rate})
net.{mode}()
net(torch.randn(8, 3)).sum().backward()
"""
LAYER, ALPHA = "nn.Dropout(rate, inplace=True)", "nn.AlphaDropout(rate, inplace=True)"
OF_LAYER = "self.drop(self.linear(x).softmax(-1))"
OF_FUNCTION = "F.dropout(self.linear(x).softmax(-1), self.rate, self.training, inplace=True)"


@pytest.mark.parametrize(
    ("layer", "call", "rate", "mode", "severities"),
    [
        (LAYER, OF_LAYER, "0.5", "train", ["error"]),
        (LAYER, OF_LAYER, "0.0", "train", []),
        (LAYER, OF_LAYER, "0.5", "eval", []),
        (ALPHA, OF_LAYER, "0.5", "train", []),
        ("None", OF_FUNCTION, "0.5", "train", ["error"]),
        ("None", OF_FUNCTION, "0.0", "train", []),
        ("None", OF_FUNCTION, "0.5", "eval", []),
        (LAYER, OF_LAYER, "rate_of(data)", "train", ["information"]),
        ("None", OF_FUNCTION, "rate_of(data)", "train", ["information"]),
    ],
)
def test_dropout_that_writes(layer: str, call: str, rate: str, mode: str, severities: list[str]) -> None:
    found = reported("GRD201", DROPOUT.format(layer=layer, call=call, rate=rate, mode=mode))
    assert [severity for severity, _ in found] == severities


FROZEN = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x):
        {cut}
        return self.head(features)

net = Net()
opt = torch.optim.SGD({given}, lr=0.1)
for _ in range(3):
    opt.zero_grad()
    net(torch.randn(8, 3)).pow(2).mean().backward()
    opt.step()
"""
WHOLE, PARTS = "net.parameters()", "[*net.backbone.parameters(), *net.head.parameters()]"


@pytest.mark.parametrize(
    ("code", "cut", "given", "severity"),
    [
        ("GRD106", "with torch.no_grad(): features = self.backbone(x)", WHOLE, "information"),
        ("GRD106", "with torch.no_grad(): features = self.backbone(x)", PARTS, "warning"),
        ("GRD101", "features = self.backbone(x).detach()", WHOLE, "information"),
        ("GRD101", "features = self.backbone(x).detach()", PARTS, "warning"),
        ("GRD102", "features = torch.tensor(self.backbone(x).tolist())", WHOLE, "warning"),
    ],
)
def test_a_part_behind_a_deliberate_cut(code: str, cut: str, given: str, severity: str) -> None:
    found = [s for rule in (code, "GRD104") for s, _ in reported(rule, FROZEN.format(cut=cut, given=given))]
    assert found == [severity]


def test_a_term_of_the_loss_is_no_part_of_the_model() -> None:
    snippet = """
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    loss = net(torch.randn(8, 3)).pow(2).mean().detach() + net[0].weight.pow(2).sum()
    loss.backward()
    opt.step()
    """
    assert [severity for severity, _ in reported("GRD101", snippet)] == ["warning"]


LONG = """
net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(opt, 10)
for _ in range(3):
    opt.zero_grad()
    (net[1](net[0](torch.randn(8, 3)).detach()).mean()).backward()
    opt.step()
for _ in range(2):
    net(torch.randn(8, 3)).mean().backward()
    scheduler.step()
"""


@pytest.mark.parametrize("code", ["GRD101", "GRD613"])
def test_what_did_not_happen_is_only_known_of_what_was_followed(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = LONG[: LONG.index("for _ in range(2)")]
    assert len(reported(code, first)) == 1
    assert reported(code, LONG) == []
    monkeypatch.setattr("gradls.flow.roots.MOST_STEPS", _steps(first) + 2)
    assert reported(code, LONG) == []


def _steps(snippet: str) -> int:
    """How many steps the engine takes for a snippet."""
    run = Run(Source.read(IMPORTS + textwrap.dedent(snippet), "snippet.py"), NoNames())
    exec_block(run, run.source.tree.body)
    return run.steps


def test_init_of_a_base_by_its_name() -> None:
    snippet = """
    class Base(nn.Module):
        pass

    class Net(Base):
        def __init__(self):
            Base.__init__(self)
            self.linear = nn.Linear(3, 1)
    """
    assert reported("GRD504", snippet) == []


@pytest.mark.parametrize(
    ("expression", "dtype"),
    [
        ("torch.zeros(3).new_tensor([0, 1])", "float"),
        ("torch.ones(3, dtype=torch.int8).new_tensor([0.5])", "int"),
        ("torch.cat([torch.tensor([1]), torch.zeros(3)])", "float"),
        ("torch.stack((torch.tensor(1), torch.tensor(2)))", "int"),
        ("torch.cat([torch.tensor([1]), something])", None),
        ("torch.stack([])", None),
        ("torch.stack([item for item in [] if something])", None),
    ],
)
def test_dtypes_of_what_is_put_together(expression: str, dtype: str | None) -> None:
    source = Source.read(f"{IMPORTS}result = {expression}\nresult\n", "snippet.py")
    states = {source.segment(state.node): state.dtype for state in analyze(source).states}
    assert states.get("result") == dtype


def test_an_object_of_which_the_constructor_was_not_followed_may_hold_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snippet = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 1)

    torch.optim.SGD(Net().parameters(), lr=0.1)
    """
    monkeypatch.setattr("gradls.flow.calls.MOST_CALLS_DEEP", 0)
    assert reported("GRD505", snippet) == []


def test_tensors_that_are_made_of_tensors_by_their_type() -> None:
    check_right(IMPORTS + "w = torch.ones(3, requires_grad=True)\ntorch.Tensor(w * 2).sum().backward()\n")
    check_right(
        IMPORTS + "w = torch.ones(3, requires_grad=True)\ntorch.FloatTensor(2 * torch.Tensor(w)).sum().backward()\n"
    )
    assert reported("GRD110", "def back(given):\n    torch.Tensor(given[0]).backward()") == []
    lost = "w = torch.ones((), requires_grad=True)\ntorch.Tensor([w * 2]).sum().backward()"
    assert [severity for severity, _ in reported("GRD102", lost)] == ["error"]


def test_the_flag_of_a_subclass_that_is_made() -> None:
    check_right(
        IMPORTS + "torch.Tensor._make_subclass(nn.Parameter, torch.ones(3), require_grad=True).sum().backward()\n"
    )


def test_a_step_of_a_scaler_that_hands_its_arguments_on() -> None:
    text = """
    class Optimizer:
        def __init__(self, optimizer):
            self.optimizer, self.scaler = optimizer, torch.amp.GradScaler()

        def backward(self, loss):
            self.scaler.scale(loss).backward()

        def step(self, *args):
            self.scaler.step(self.optimizer, {})
    """
    assert reported("GRD610", text.format("*args")) == []
    assert [severity for severity, _ in reported("GRD610", text.format("args, *args"))] == []


def test_a_backward_of_an_optimizer_that_only_some_callers_give() -> None:
    text = """
    from zero import Zero, build

    def run(model, data, optimizer=None):
        loss = model(data).mean()
        {}
            optimizer.backward(loss)
        else:
            loss.backward()

    zero, optimizer = build()
    run(zero, torch.randn(3), optimizer)
    run(build()[0], torch.randn(3))
    """
    assert reported("GRD303", text.format("if isinstance(model, Zero):")) == []
    assert [severity for severity, _ in reported("GRD303", text.format("if data is not None:"))] == ["error"]


TWINS = """
def update(critic, optimizer, state, target):
    first, second = critic(state)
    optimizer.zero_grad()
    F.mse_loss(first, target).backward()
    F.mse_loss({}, target).backward()
    optimizer.step()
"""


@pytest.mark.parametrize(("which", "found"), [("second", 0), ("first", 1), ("first + second", 1)])
def test_parts_of_what_an_unknown_model_gives(which: str, found: int) -> None:
    """Two critics in one module have graphs of their own."""
    assert len(reported("GRD301", TWINS.format(which))) == found


def test_a_search_writes_to_parameters_without_gradient() -> None:
    program = """
    layers = nn.ModuleList([nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)) for _ in range(2)])
    optimizer = torch.optim.LBFGS(layers.parameters())
    x = torch.randn(8, 3)
    other = layers[1](x).pow(2).mean()
    def closure():
        optimizer.zero_grad()
        loss = layers[0](x).pow(2).mean()
        loss.backward()
        return loss
    optimizer.step(closure)
    other.backward()  # raises RuntimeError: modified by an inplace operation
    """
    check_error("GRD202", IMPORTS + textwrap.dedent(program))


@pytest.mark.parametrize(("use", "severity"), [("", "information"), ("Norm()(torch.randn(2, 3))", "error")])
def test_statistics_that_are_parameters(use: str, severity: str) -> None:
    """Who calls this may have gradients off."""
    text = """
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.var = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(3))

        def forward(self, x):
            return F.batch_norm(x, self.mean, self.var)

    """
    assert [found for found, _ in reported("GRD317", textwrap.dedent(text) + use)] == [severity]


@pytest.mark.parametrize(("again", "found"), [("model.train()", 0), ("model.zero_grad()", 1)])
def test_the_mode_of_an_unknown_model_within_a_wrapper(again: str, found: int) -> None:
    text = """
    def validate(model):
        model.eval()
        with torch.no_grad():
            return model(torch.randn(8, 3)).mean().item()

    def train(make, loader):
        model = nn.DataParallel(make())
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for number, (x, y) in enumerate(loader):
            loss = F.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if number % 10 == 9:
                validate(model.module)
                {}
    """
    assert len(reported("GRD705", text.format(again))) == found


@pytest.mark.parametrize(("given", "found"), [("given", 0), ("'cpu'", 1), ("torch.device('cpu')", 1)])
def test_a_conversion_to_what_may_be_a_tensor(given: str, found: int) -> None:
    text = "net = nn.Linear(3, 3)\n\ndef run(x, given):\n    return net((torch.rand_like(x) < x).to({}))\n"
    assert len(reported("GRD518", text.format(given))) == found


PYRAMID = """
class Net(nn.Module):
    def __init__(self, size, width):
        super().__init__()
        self.main = nn.Sequential()
        while size > 4:
            self.main.add_module(f"{width}:conv", nn.Conv2d(width, 2 * width, 4, 2, 1))
            self.main.add_module(f"{width}:relu", nn.LeakyReLU(0.2, inplace=True))
            width, size = 2 * width, size // 2

    def forward(self, x):
        return self.main(x)
"""


def test_layers_that_a_loop_puts_in_under_names_that_are_not_known() -> None:
    assert reported("GRD201", PYRAMID) == []


SWITCHED = """
class Net(nn.Module):
    def __init__(self, normed):
        super().__init__()
        self.normed, self.norm, self.out = normed, nn.BatchNorm1d(3), nn.Linear(3, 1)

    def forward(self, x):
        return self.out(self.norm(x) if self.normed else x)

nets = [Net(False), Net({})]
optimizers = [torch.optim.Adam(net.parameters()) for net in nets]
for _ in range(3):
    for net, optimizer in zip(nets, optimizers):
        optimizer.zero_grad()
        net(torch.randn(8, 3)).mean().backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("second", "found"), [("True", 0), ("False", 1)])
def test_a_layer_that_an_option_leaves_out(second: str, found: int) -> None:
    assert len(reported("GRD520", SWITCHED.format(second))) == found


@pytest.mark.parametrize(("times", "found"), [("normed", 0), ("(not normed)", 0), ("(n > 3)", 0), ("n", 1)])
def test_a_list_times_a_flag(times: str, found: int) -> None:
    text = f"""
    class Net(nn.Module):
        def __init__(self, n, normed=True):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(n, n), *({times} * [nn.BatchNorm1d(n)]))
    """
    assert len(reported("GRD506", text)) == found


OWN_STEP = """
class Prox(torch.optim.{}):
    def {}(self, others):
        for group in self.param_groups:
            for p, other in zip(group["params"], others):
                p.data.add_(p.grad + p.data - other, alpha=-group["lr"])

net = nn.Linear(3, 1)
optimizer = Prox(net.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
others = [p.detach().clone() for p in net.parameters()]
for _ in range(2):
    optimizer.zero_grad()
    net(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.{}(others)
    scheduler.step()
"""


@pytest.mark.parametrize(("method", "found"), [("step", 0), ("move", 1)])
def test_the_step_of_an_optimizer_of_the_program(method: str, found: int) -> None:
    assert len(reported("GRD606", OWN_STEP.format("SGD", method, method))) == found


FUNCTIONAL = """
class Patched(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, weights):
        old = self.net.forward
        {}
        out = self.net(x)
        self.net.forward = old
        return out

layer = nn.Linear(3, 2)
weight = layer.weight * 2
loss = Patched(layer)(torch.randn(4, 3), [weight]).sum()
torch.autograd.grad(loss, weight)
"""


def test_a_forward_that_is_put_in_the_place_of_that_of_a_layer() -> None:
    assert reported("GRD308", FUNCTIONAL.format("self.net.forward = lambda x: F.linear(x, weights[0])")) == []
    assert [severity for severity, _ in reported("GRD308", FUNCTIONAL.format("pass"))] == ["error"]
    assert reported("GRD308", "layer = nn.Linear(3, 2)\nlayer.forward = layer\nlayer(torch.randn(3))") == []


def test_unknown_code_that_has_an_object_may_clear_what_it_holds() -> None:
    text = """
    import copy
    from cache import register

    class Neuron(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.memory = nn.Parameter(torch.ones(3)), {{}}
            {}

        def forward(self, x):
            self.memory["v"] = x * self.weight

    neuron = Neuron()
    neuron(torch.ones(3))
    copy.deepcopy(neuron)
    """
    assert reported("GRD310", text.format("register(self)")) == []
    assert [severity for severity, _ in reported("GRD310", text.format("pass"))] == ["error"]


@pytest.mark.parametrize(("clock", "found"), [("time.perf_counter()", 0), ("range(3)", 1)])
def test_what_is_done_to_measure_its_time(clock: str, found: int) -> None:
    text = f"""
    import time

    def measure(n):
        x, start = torch.randn(3, 3), {clock}
        for _ in range(n):
            torch.mm(x, x)
        return start, {clock}
    """
    assert len(reported("GRD616", text)) == found


EVALUATED = """
import copy
from maker import make

def run(grid):
    net = make(){}
    model = copy.deepcopy(net).eval()
    for _ in range(3):
        print([model(z).cpu() for z in grid])
"""


@pytest.mark.parametrize(
    ("frozen", "found"),
    [
        ("", 1),
        (".requires_grad_(False)", 0),
        (".train().requires_grad_(False).to('cuda')", 0),
        ("\n    nn.DataParallel(net).requires_grad_(False)", 0),
    ],
)
def test_unknown_models_that_are_frozen(frozen: str, found: int) -> None:
    assert len(reported("GRD709", EVALUATED.format(frozen))) == found


@pytest.mark.parametrize(("mode", "found"), [("eval", 0), ("train", 1)])
def test_an_unknown_model_that_is_in_evaluation_mode_before_it_is_moved(mode: str, found: int) -> None:
    text = f"""
    from maker import make

    def validate(model):
        model.eval()
        with torch.no_grad():
            return model(torch.randn(8, 3)).mean().item()

    def run(loader, optimizer):
        model = make().{mode}().cuda()
        for x, y in loader:
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            validate(model)
    """
    assert len(reported("GRD705", text)) == found


LENGTHS = """
class Layers(nn.ModuleDict):
    def __init__(self, *layers):
        super().__init__()
        for layer in layers:
            self.append(layer)

    def append(self, layer, given=None):
        if given is not None and "given" in dir(layer):
            layer = layer(given)
        {}(str(len(self)), layer)

    def forward(self, x):
        for layer in self.values():
            x = layer(x)
        return x

layers = Layers(nn.Linear(3, 3))
layers.append(Layers, other)
layers(torch.zeros(3))
"""


def test_what_a_module_refuses_is_not_in_it_afterwards() -> None:
    assert reported("GRD513", "from other import other\n" + LENGTHS.format("self.add_module")) == []


MANY = """
class Node(nn.Module):
    def __init__(self):
        super().__init__()
        self.v = 0.0

    def reset(self):
        self.v = 0.0

    def forward(self, x):
        self.v = self.v + x
        return torch.sigmoid(self.v)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(LAYERS)
        self.second = nn.Sequential(LAYERS)
        self.node = Node()

    def forward(self, x):
        return self.node(self.second(self.first(x)))

net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(4):
    optimizer.zero_grad()
    net(torch.randn(2, 3)).sum().backward()
    optimizer.step()
    for module in net.modules():
        if hasattr(module, "reset"):
            module.reset()
"""


@pytest.mark.parametrize("number", [2, 16])
def test_what_a_loop_over_many_modules_does_to_the_last_of_them(number: int) -> None:
    check_right(IMPORTS + MANY.replace("LAYERS", ", ".join(["nn.Linear(3, 3)"] * number)))


@pytest.mark.parametrize(("test", "found"), [("if self.training:", 0), ("if True:", 1)])
def test_a_hook_where_gradients_are_off_that_is_asked_for(test: str, found: int) -> None:
    text = f"""
    from elsewhere import handle

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            out = self.layer(x).tanh()
            {test}
                out.register_hook(print)
            return out

    net = Net()
    net.eval()
    with torch.no_grad():
        handle(net)
        net(torch.randn(2, 3))
    """
    assert len(reported("GRD309", text)) == found


def test_a_tuple_that_gets_longer_from_round_to_round() -> None:
    program = """
    x = torch.randn(5, 2, requires_grad=True)
    queue, outputs = (), []
    for row in x:
        queue = (*queue, row)
        if len(queue) > 2:
            outputs.append(queue[0])
            queue = queue[1:]
        else:
            outputs.append(torch.zeros(2))
    torch.stack(outputs).sum().backward()
    assert x.grad is not None
    """
    check_right(IMPORTS + textwrap.dedent(program))
