# mypy: ignore-errors


from torch.distributions.distribution import Distribution


class LKJCholesky(Distribution): ...
