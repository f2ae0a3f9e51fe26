"""What a discovery gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import sympy
    from matplotlib.figure import Figure

    from ..model.model import Model
    from ..solve.solution import Solution


@dataclass(frozen=True)
class Discovery:
    """Formulas found for the unknown terms of a model.

    Attributes
    ----------
    terms: the formula of every unknown term, {"U": sympy expression}, with numbers
        for constants and the model's names for symbols.
    equations: the completed right-hand side of every state, {"x": sympy expression},
        all fitted constants and parameters as numbers.
    model: the completed `Model`, its defaults set to the fitted values; it prints,
        solves and exports like any other.
    candidates: a table of all formulas tried through the solver, best first, with
        columns `formula`, `loss` (mean squared residual, in units of each column's
        spread), `score` (extended Bayesian information criterion, lower is better),
        `delta` (score above the best), `complexity` (fitted constants of the term).
    verdict: "identified", "ambiguous", "not identifiable" or "no term needed".
    confidence: probability of the formula among all formulas tried, by their scores.
    message: the reasons for the verdict, in words.
    p, u0: fitted parameters and initial values of the completed model.
    standard_errors: of every fitted constant, by name of the term or parameter.
    """

    terms: Mapping[str, sympy.Expr]
    equations: Mapping[str, sympy.Expr]
    model: Model
    candidates: pd.DataFrame
    verdict: str
    confidence: float
    message: str
    p: Mapping[str, float]
    u0: Mapping[str, float]
    standard_errors: Mapping[str, float]
    data: Sequence[pd.DataFrame] = field(repr=False)
    solutions: Sequence[Solution] = field(repr=False)
    samples: Mapping[str, Mapping[str, Any]] = field(repr=False)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw data and completed model, each learned term beside its formula, and the candidates."""
        from ..plot import discovery

        return discovery(self, path)

    def __str__(self) -> str:
        lines = [f"{name} = {formula}" for name, formula in self.terms.items()]
        lines.append(f"verdict: {self.verdict} (confidence {self.confidence:.0%})")
        if self.message:
            lines.append(self.message)
        return "\n".join(lines)
