"""What PyTorch says when something is wrong with gradients: the messages, tracebacks, and what explains them."""
