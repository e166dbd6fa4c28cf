"""Neural style of optimisation: an image fitted with LBFGS, whose step calls a closure."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


def gram_matrix(features):
    b, c, h, w = features.size()
    flat = features.view(b * c, h * w)
    gram = torch.mm(flat, flat.t())
    return gram.div(b * c * h * w)


class ContentLoss(nn.Module):
    def __init__(self, target):
        super().__init__()
        self.target = target.detach()
        self.loss = torch.zeros(())

    def forward(self, x):
        self.loss = F.mse_loss(x, self.target)
        return x


class StyleLoss(nn.Module):
    def __init__(self, target_feature):
        super().__init__()
        self.target = gram_matrix(target_feature).detach()
        self.loss = torch.zeros(())

    def forward(self, x):
        self.loss = F.mse_loss(gram_matrix(x), self.target)
        return x


def build(cnn, style_image, content_image):
    model = nn.Sequential()
    style_losses, content_losses = [], []
    for index, layer in enumerate(cnn.children()):
        if isinstance(layer, nn.ReLU):
            layer = nn.ReLU(inplace=False)
        model.add_module(f"layer_{index}", layer)
        if isinstance(layer, nn.Conv2d):
            content_loss = ContentLoss(model(content_image))
            model.add_module(f"content_{index}", content_loss)
            content_losses.append(content_loss)
            style_loss = StyleLoss(model(style_image))
            model.add_module(f"style_{index}", style_loss)
            style_losses.append(style_loss)
    return model, style_losses, content_losses


torch.manual_seed(0)
cnn = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)).eval()
content = torch.rand(1, 3, 8, 8)
style = torch.rand(1, 3, 8, 8)
model, style_losses, content_losses = build(cnn, style, content)
model.eval()
model.requires_grad_(False)
input_image = content.clone()
input_image.requires_grad_(True)
optimizer = optim.LBFGS([input_image], max_iter=4)
run = [0]
while run[0] < 6:

    def closure():
        with torch.no_grad():
            input_image.clamp_(0, 1)
        optimizer.zero_grad()
        model(input_image)
        style_score = sum(sl.loss for sl in style_losses)
        content_score = sum(cl.loss for cl in content_losses)
        loss = 100 * style_score + content_score
        loss.backward()
        run[0] += 1
        return loss

    final = optimizer.step(closure)

with torch.no_grad():
    input_image.clamp_(0, 1)
assert torch.isfinite(final)
assert input_image.grad is not None
assert all(p.grad is None for p in model.parameters())
