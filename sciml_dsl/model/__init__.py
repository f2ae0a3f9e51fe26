"""What a model is.

`spec` holds it as data, `resolve` makes it from parsed text, `model.Model` is what users hold, and
`sympy_bridge` leads to sympy and back.
"""
