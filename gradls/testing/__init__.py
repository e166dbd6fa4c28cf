"""For tests of rules by others: `check_rule` holds a rule, and the programs on its page, against PyTorch.

This is the only part of gradls that imports torch, and runs programs.
"""

from gradls.testing.programs import Outcome, run
from gradls.testing.rules import check_rule, found_in

__all__ = ["Outcome", "check_rule", "found_in", "run"]
