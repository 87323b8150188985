"""Commands and small models that the tests of SCAN share."""

from functools import cache

import torch
from torch.nn.functional import pad

import equinb as eq
from equinb.apps import scan
from equinb.apps.scan.training import Sets

GROUPS = ("Verb", "Direction", "Verbs", "Verb x Direction")
EOS, SOS = scan.ACTIONS.eos, scan.ACTIONS.ids["<sos>"]
#: Where the words of actions begin in the joint vocabulary of `next_word`.
FIRST = len(scan.COMMANDS)


@cache
def everything():
    """Ids of all commands and of their actions."""
    return scan.Data(*scan.tensors(scan.all_pairs()))


def some(each, most=48):
    """As many commands of every length, with at most so many actions."""
    commands, actions = everything()
    length = (commands != scan.COMMANDS.eos).sum(1)
    fits = (actions != EOS).sum(1) <= most
    mixed = torch.randperm(len(commands), generator=torch.Generator().manual_seed(0))
    rows = [
        mixed[(length == n)[mixed] & fits[mixed]][:each]
        for n in range(1, scan.COMMANDS.longest + 1)
    ]
    return scan.Data(*(part[torch.cat(rows)] for part in (commands, actions)))


def untrained(kind, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return scan.Seq2Seq(kind).to(dtype).eval().requires_grad_(False)


@cache
def trained(kind, dtype=torch.float32):
    """A model that has seen a few short sentences and ends most of its own."""
    if dtype != torch.float32:
        model = scan.Seq2Seq(kind)
        model.load_state_dict(trained(kind).state_dict())
        return model.to(dtype).eval().requires_grad_(False)
    data = some(300, most=10)
    few = scan.Data(*(part[:8] for part in data))
    recipe = scan.Recipe(batch=32, pairs=3200, learning_rate=5e-3, decay=True, looks=1)
    model = scan.pretrain(kind, Sets(data, few, few), 0, recipe)
    return model.requires_grad_(False)


def left_alone(commands, by):
    """Which commands some element other than e leaves as they are."""
    return (by.commands.orbit(commands) == commands).all(-1).sum(0) > 1


def next_word(model):
    """p(next word), as a function of one tensor: a command, <sos>, the words so far."""
    width = scan.COMMANDS.longest + 1

    def p(ids):
        commands, said = ids[:, :width], ids[:, width:] - FIRST
        return model(commands, pad(said[:, 1:], (0, 1)))[:, -1].exp()

    return p


def joined(commands, words):
    """What `next_word` reads."""
    start = torch.full_like(commands[:, :1], SOS)
    return torch.cat([commands, torch.cat([start, words], 1) + FIRST], 1)


def actions_on(by):
    """How a symmetry acts on what `next_word` reads, and on what it gives."""
    commands = by.commands.orbit(torch.arange(len(scan.COMMANDS))[None])[:, 0]
    actions = by.actions.orbit(torch.arange(len(scan.ACTIONS))[None])[:, 0]
    both = torch.cat([commands, actions + FIRST], 1)
    return eq.Relabel(by.group, both), eq.Permutation(by.group, actions)
