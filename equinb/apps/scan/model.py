"""The sequence-to-sequence network of the published code: recurrent, with attention.

Gordon et al. (ICLR 2020) trained it on SCAN, and the paper symmetrizes it: a
bidirectional encoder of 64 units a direction, and a decoder of 128 units that looks at
the encoder's states before each word.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from equinb.apps.scan.words import ACTIONS, COMMANDS

Cell = Literal["LSTM", "GRU", "RNN"]
CELLS: tuple[Cell, ...] = get_args(Cell)

EMBEDDING = 64
HIDDEN = 2 * EMBEDDING
DROPOUT = 0.1


class Memory(NamedTuple):
    """What the decoder may look at: the encoded commands.

    Attributes:
        keys: `(B, words, 128)`, what attention compares the state with.
        values: `(B, words, 128)`, what it brings back.
        penalties: `(B, words, 1)`, minus infinity at the padding, else zero.
    """

    keys: Tensor
    values: Tensor
    penalties: Tensor


class State(NamedTuple):
    """The state of the decoder, `(B, 128)` each; `cell` is the LSTM's alone."""

    hidden: Tensor
    cell: Tensor | None = None


class Seq2Seq(nn.Module):
    """Commands to actions, one word at a time.

    Args:
        kind: the recurrent cell, "RNN", "GRU" or "LSTM".

    Example:
        >>> model = Seq2Seq("LSTM").eval()
        >>> commands = COMMANDS.encode(["jump twice", "walk"])
        >>> memory, state = model.encode(commands)
        >>> start = torch.full((2,), ACTIONS.ids["<sos>"])
        >>> log_p, state = model.step(start, state, memory)
        >>> log_p.shape
        torch.Size([2, 8])
    """

    def __init__(self, kind: Cell) -> None:
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"The cell is one of {', '.join(CELLS)}; got {kind!r}.")
        self.kind = kind
        layer, cell = {
            "RNN": (nn.RNN, nn.RNNCell),
            "GRU": (nn.GRU, nn.GRUCell),
            "LSTM": (nn.LSTM, nn.LSTMCell),
        }[kind]
        self.command_embedding = nn.Embedding(len(COMMANDS), EMBEDDING)
        self.encoder = layer(EMBEDDING, EMBEDDING, batch_first=True, bidirectional=True)
        self.action_embedding = nn.Embedding(len(ACTIONS), HIDDEN)
        self.dropout = nn.Dropout(DROPOUT)
        self.combine = nn.Linear(2 * HIDDEN, HIDDEN)
        self.cell = cell(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, len(ACTIONS))

    @property
    def encoder_and_decoder(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The parameters of the encoder, and those of the decoder."""
        encoder = [*self.command_embedding.parameters(), *self.encoder.parameters()]
        theirs = set(encoder)
        return encoder, [p for p in self.parameters() if p not in theirs]

    def encode(self, commands: Tensor) -> tuple[Memory, State]:
        """Read commands, `(B, words)` ids, padded with EOS.

        Returns:
            What the decoder may look at, and its first state: the last states of both
            directions, side by side.
        """
        lengths = (commands != COMMANDS.eos).sum(1) + 1
        longest = int(lengths.max())
        embedded = self.command_embedding(commands[:, :longest])
        if int(lengths.min()) == longest:  # nothing to pack, which is faster
            keys, last = self.encoder(embedded)
        else:
            packed = pack_padded_sequence(
                embedded, lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            states, last = self.encoder(packed)
            keys, _ = pad_packed_sequence(states, batch_first=True)
        places = torch.arange(longest, device=commands.device)
        # The half of `combine` that reads the context, once a word instead of a step.
        values = linear(keys, self.combine.weight[:, HIDDEN:])
        absent = (places >= lengths[:, None]).unsqueeze(2)
        penalties = torch.zeros_like(keys[..., :1]).masked_fill(absent, -torch.inf)
        both = [h.transpose(0, 1).flatten(1) for h in _each(last)]
        return Memory(keys, values, penalties), State(*both)

    def embed(self, words: Tensor) -> Tensor:
        """The half of the decoder's input that comes from the last word, any shape."""
        embedded = self.dropout(self.action_embedding(words))
        return linear(embedded, self.combine.weight[:, :HIDDEN], self.combine.bias)

    def advance(self, embedded: Tensor, state: State, memory: Memory) -> State:
        """One step of the decoder, from `embed(word)`, `(B, 128)`."""
        query = state.hidden.unsqueeze(2)
        attention = torch.baddbmm(memory.penalties, memory.keys, query).softmax(1)
        context = torch.bmm(attention.transpose(1, 2), memory.values).squeeze(1)
        x = torch.relu(embedded + context)
        if self.kind == "LSTM":
            return State(*self.cell(x, tuple(state)))
        return State(self.cell(x, state.hidden))

    def step(self, words: Tensor, state: State, memory: Memory) -> tuple[Tensor, State]:
        """The log-probabilities `(B, 8)` of the next word, and the next state.

        Args:
            words: `(B,)`, the last word of each sentence; "<sos>" at first.
            state: after the words before it.
            memory: the encoded commands.
        """
        state = self.advance(self.embed(words), state, memory)
        return self.next_word(state.hidden), state

    def next_word(self, hidden: Tensor) -> Tensor:
        """The log-probabilities `(..., 8)` of the next word, from `(..., 128)`."""
        log_p: Tensor = self.out(hidden).log_softmax(-1)
        return log_p

    def forward(self, commands: Tensor, actions: Tensor) -> Tensor:
        """Log-probabilities `(B, length, 8)` of each word, given those before it.

        Args:
            commands: `(B, words)` ids.
            actions: `(B, length)` ids; what is said at each place.
        """
        memory, state = self.encode(commands)
        before = pad(actions[:, :-1], (1, 0), value=ACTIONS.ids["<sos>"])
        hidden = []
        for embedded in self.embed(before).unbind(1):
            state = self.advance(embedded, state, memory)
            hidden.append(state.hidden)
        return self.next_word(torch.stack(hidden, 1))

    def run(self, commands: Tensor, length: int) -> Tensor:
        """Log-probabilities `(B, length, 8)`, each word given the model's own choices.

        Args:
            commands: `(B, words)` ids.
            length: how many words are chosen, whether or not the sentence has ended.
        """
        memory, state = self.encode(commands)
        words = torch.full_like(commands[:, 0], ACTIONS.ids["<sos>"])
        log_p = []
        for _ in range(length):
            now, state = self.step(words, state, memory)
            words = now.argmax(-1)
            log_p.append(now)
        return torch.stack(log_p, 1)


def _each(last: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    return last if isinstance(last, tuple) else (last,)
