"""What a model is: `ModelSpec` (plain data), `resolve` (syntax to data), `Model` (what users hold), and the sympy bridge."""
