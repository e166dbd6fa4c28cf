"""What may not have been run, or not to its end: programs that are right, though they seem to train nothing."""

from __future__ import annotations

import pytest

from tests.flow.test_flags import FLAG, HEAD, TRAIN
from tests.rules.reported import check_right, reported

TRAINED = {
    "an error behind the last change": (
        "trained = False\ntry:\n    trained = True\n    raise ValueError\nexcept ValueError:\n    pass"
    ),
    "an error that is suppressed": (
        "import contextlib\ntrained = True\nwith contextlib.suppress(ValueError):\n    if not many:\n"
        "        raise ValueError\n    trained = False"
    ),
    "a loop over an empty dictionary": "trained = [n for n in {}] == []",
    "an entry that may be missing": "trained = {'a': 1}.get(f'{many}') is None",
    "a key that is not known": "d = {'a': False}\nd[''.join(['a'])] = True\ntrained = d['a']",
    "an entry that is taken out": "d = {'a': 1}\nd.pop(''.join(['a']))\ntrained = 'a' not in d",
    "a list that is emptied by branch": (
        "l = [1]\nif not many:\n    l.pop()\ntrained = not l"
    ),
    "a list that is emptied by branch, and filled anew in another": (
        "l = [1]\nif not many:\n    l.pop()\nif many:\n    l.clear()\n    l.append(1)\ntrained = not l"
    ),
    "a sum of what may be there": "l = [1]\nif not many:\n    l.clear()\ntrained = sum(l) == 0",
    "the first of two numbers": "trained = (int(''.join(['3'])) or 4) == 3",
    "a switch that is turned in every round": (
        "trained, n = False, 0\nwhile n < 3:\n    n += 1\n    trained = not trained"
    ),
    "a set": "trained = len({1, 1}) == 1 and len(set([2, 2])) == 1",
    "more numbers than are added up": "trained = sum([1] * 20) == 20",
    "the last one behind an unknown list": (
        "l = [q for q in range(len(sys.argv))] + [False]\ntrained = not l[-1] and not l[0]"
    ),
    "a case": "match len(sys.argv):\n    case 3:\n        trained = False\n    case _:\n        trained = True",
    "a case that is known": (
        "match 'fit':\n    case 'test':\n        trained = False\n    case 'fit':\n        trained = True"
    ),
    "attributes as a dictionary": "class O:\n    t = False\no = O()\no.__dict__['t'] = True\ntrained = o.t",
    "attributes by name": "class O:\n    t = False\no = O()\nsetattr(o, ''.join(['t']), True)\ntrained = o.t",
    "a gradient that nobody has left": "w = torch.ones(1)\ntrained = True\nif w.grad is not None:\n    trained = False",
    "a loop that begins with a break": "trained = True\nfor a in sys.argv[9:]:\n    trained = False\n    break",
    "a default of next": "trained = next((q for q in sys.argv[9:]), True)",
}  # fmt: skip


@pytest.mark.parametrize("how", TRAINED)
def test_what_is_trained(how: str) -> None:
    check_right(HEAD + TRAINED[how] + FLAG)


KNOWN = {
    "any": "trained = any(q > 2 for q in [1, 2])",
    "all": "trained = all([True, False])",
    "a case": "match 'fit':\n    case 'test':\n        trained = True\n    case _:\n        trained = False",
    "what is sorted in place": "l = [3, 1]\nl.sort()\ntrained = l[0] == 3",
    "what is removed": "l = [3, 1]\nl.remove(3)\ntrained = 3 in l",
    "a sum": "trained = sum([1, 2]) != 3",
}


@pytest.mark.parametrize("how", KNOWN)
def test_what_is_known(how: str) -> None:
    """Python makes False of each of these, and so does the engine."""
    assert reported("GRD110", HEAD + KNOWN[how] + FLAG)


def test_an_error_that_is_caught_is_none() -> None:
    program = "try:\n    torch.ones(3).sum().backward()\nexcept RuntimeError as error:\n    print(error)\n"
    check_right(HEAD + program + TRAIN)
