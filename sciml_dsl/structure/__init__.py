"""Between graph and code: differential-algebraic systems made solvable (index reduction, state selection)."""
