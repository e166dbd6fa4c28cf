# mypy: ignore-errors


from torch.optim.adam import Adam


class AdamW(Adam): ...
