# mypy: ignore-errors


from torch.distributions.distribution import Distribution


class GeneralizedPareto(Distribution): ...
