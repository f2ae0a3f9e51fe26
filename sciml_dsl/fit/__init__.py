"""Data -> parameters, initial values and network weights.

`api.fit` is the entrance.  Below it: `table`, `experiment` and `noise` read the data,
`unknowns` says what the vector θ is, `problem` makes residuals, Jacobian, loss and
gradient of it, and each strategy (`lm`, `shooting`, `matching`, `train`) is a file.
"""
