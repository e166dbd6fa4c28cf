"""Makes the tables in gradls/autograd/data: a development command which needs torch. Run `python -m
gradls.autograd.generate`."""
