"""gradls: where a PyTorch gradient is lost, corrupted or never applied."""

__version__ = "0.1.0"
