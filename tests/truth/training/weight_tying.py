"""A sequence-to-sequence model whose embedding, decoder and output share one matrix."""

import torch
import torch.nn as nn
import torch.nn.functional as F

PAD, BOS = 0, 1


class Seq2Seq(nn.Module):
    def __init__(self, vocab, dim):
        super().__init__()
        self.shared = nn.Embedding(vocab, dim, padding_idx=PAD)
        self.encoder = nn.GRU(dim, dim, batch_first=True)
        self.decoder = nn.GRUCell(dim, dim)
        self.attention = nn.MultiheadAttention(dim, num_heads=2, batch_first=True)
        self.combine = nn.Linear(2 * dim, dim)
        self.lm_head = nn.Linear(dim, vocab, bias=False)
        self.lm_head.weight = self.shared.weight
        self.register_parameter("final_bias", nn.Parameter(torch.zeros(vocab)))
        self.dropout = nn.Dropout(0.1)

    def forward(self, source, target, teacher_forcing=True):
        memory, hidden = self.encoder(self.dropout(self.shared(source)))
        padding = source == PAD
        h = hidden[-1]
        token = torch.full((source.size(0),), BOS, dtype=torch.long)
        outputs = []
        for t in range(target.size(1)):
            h = self.decoder(self.shared(token), h)
            context, _ = self.attention(h.unsqueeze(1), memory, memory, key_padding_mask=padding)
            mixed = torch.tanh(self.combine(torch.cat([h, context.squeeze(1)], dim=-1)))
            logits = self.lm_head(mixed) + self.final_bias
            outputs.append(logits)
            token = target[:, t] if teacher_forcing else logits.argmax(dim=-1)
        return torch.stack(outputs, dim=1)


def sequence_loss(logits, target):
    losses = F.cross_entropy(logits.transpose(1, 2), target, ignore_index=PAD, reduction="none")
    mask = (target != PAD).float()
    return (losses * mask).sum() / mask.sum()


torch.manual_seed(0)
model = Seq2Seq(8, 4)
assert model.lm_head.weight is model.shared.weight
assert len(list(model.parameters())) == len({id(p) for p in model.parameters()})
no_decay = {"final_bias"}
optimizer = torch.optim.AdamW(
    [
        {"params": [p for n, p in model.named_parameters() if n not in no_decay], "weight_decay": 0.01},
        {"params": [p for n, p in model.named_parameters() if n in no_decay], "weight_decay": 0.0},
    ],
    lr=1e-3,
)
source = torch.tensor([[3, 4, 5, 2], [6, 7, 2, PAD]])
target = torch.tensor([[5, 4, 3], [7, 6, PAD]])
for step in range(3):
    logits = model(source, target, teacher_forcing=step != 1)
    loss = sequence_loss(logits, target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

assert torch.isfinite(loss)
assert all(p.grad is not None for p in model.parameters())
assert torch.equal(model.lm_head.weight, model.shared.weight)
