"""Texts of large models, made by rule: a ring with saturation and exponentials, and networks of reactions.

The same arguments give the same text.  `Network` keeps the reactions beside the
text, so that right-hand sides can be had without any of the libraries measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


def ring(n: int, number: float = 0.5) -> str:
    """`n` states with four entries of the Jacobian in each row: quotients, exponentials, powers, a forcing in time."""
    lines = []
    for i in range(n):
        a, b, c = (i - 1) % n, (i + 1) % n, (i + 7) % n
        lines.append(
            f"x{i}' = -k{i % 5}*x{i}*x{a}/(K + x{a}) + p{i % 7}*x{b}*exp(-x{i}/2) - d*x{i} + q*sin(t)*x{c}^2"
        )
        lines.append(f"x{i}(0) = {0.1 + 0.01 * i}")
    lines.append(f"param K = {number!r}, d = 0.1, q = 0.2")
    lines += [f"param k{j} = {1 + j / 10}" for j in range(5)] + [f"param p{j} = {1 + j / 10}" for j in range(7)]
    return "\n".join(lines)


@dataclass(frozen=True)
class Network:
    """Mass-action reactions: `rate` (m,) the parameter of each, `taken` (m, 2) states, -1 for none, `stoichiometry`
    as (state, reaction, change)."""

    text: str
    n_states: int
    n_rates: int
    rate: Any
    taken: Any
    stoichiometry: Any

    def slopes(self, u: Any, k: Any) -> Any:
        """du/dt in extended precision, straight from the reactions."""
        wide = np.concatenate([np.asarray(u, np.longdouble), [np.longdouble(1.0)]])
        speed = np.asarray(k, np.longdouble)[self.rate] * wide[self.taken[:, 0]] * wide[self.taken[:, 1]]
        found = np.zeros(self.n_states, np.longdouble)
        state, reaction, change = self.stoichiometry
        np.add.at(found, state, change * speed[reaction])
        return found

    def slopes_by_state(self, u: Any, k: Any, j: int) -> Any:
        """Column j of the Jacobian, the same way."""
        wide = np.concatenate([np.asarray(u, np.longdouble), [np.longdouble(1.0)]])
        first, second = self.taken[:, 0], self.taken[:, 1]
        speed = np.asarray(k, np.longdouble)[self.rate] * ((first == j) * wide[second] + (second == j) * wide[first])
        found = np.zeros(self.n_states, np.longdouble)
        state, reaction, change = self.stoichiometry
        np.add.at(found, state, change * speed[reaction])
        return found


def network(n: int, m: int, n_rates: int = 128, seed: int = 0) -> Network:
    """`m` reactions among `n` species, half of them A + B -> C, the others C -> A + B and A -> B."""
    draw = np.random.default_rng(seed)
    rate = np.arange(m) % n_rates
    taken = np.full((m, 2), -1)
    terms: list[list[str]] = [[] for _ in range(n)]
    states, reactions, changes = [], [], []
    for r in range(m):
        a, b, c = draw.choice(n, 3, replace=False).tolist() if n < 200 else draw.integers(0, n, 3).tolist()
        kind = draw.random()
        if len({a, b, c}) < 3:
            kind, b = 1.0, (a + 1) % n
        if kind < 0.5:
            taken[r], minus, plus = (a, b), (a, b), (c,)
        elif kind < 0.8:
            taken[r], minus, plus = (c, -1), (c,), (a, b)
        else:
            taken[r], minus, plus = (a, -1), (a,), (b,)
        term = "*".join([f"k{r % n_rates}", *(f"s{i}" for i in taken[r].tolist() if i >= 0)])
        for sign, side in (("-", minus), ("+", plus)):
            for i in side:
                terms[i].append(f"{sign} {term}")
                states.append(i)
                reactions.append(r)
                changes.append(-1.0 if sign == "-" else 1.0)
    lines = [f"s{i}' = {' '.join(terms[i]) or '0'}" for i in range(n)]
    lines += [f"s{i}(0) = {1 + i % 7}" for i in range(n)]
    lines += [f"param k{j} = {0.1 + (j % 13) / 10}" for j in range(n_rates)]
    found = (np.array(states), np.array(reactions), np.array(changes))
    return Network("\n".join(lines), n, n_rates, rate, taken, found)
