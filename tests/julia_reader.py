"""A reader of the Julia that code targets write: straight lines, `if`, `while` and `for` blocks, expressions.

Julia itself is seldom at hand; this evaluates a function by Julia's own
precedence (the manual, "Operator Precedence and Associativity"), so that the
numbers of a file can be checked without it.  Networks and LinearAlgebra are beyond it.
"""

from __future__ import annotations

import math
import re

import mpmath
import numpy as np

_TOKEN = re.compile(r"\s*(\d+\.?\d*(?:e[-+]?\d+)?|\w+!?|&&|\|\||->|[<>=!]=|[-+*/^<>!?:(),\[\]])")


def _divide(a, b):
    with np.errstate(all="ignore"):
        return float(np.float64(a) / np.float64(b))


FUNCTIONS = {name: getattr(math, name) for name in (
    "exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan asin acos sinh cosh tanh asinh acosh atanh erf erfc gamma"
).split()} | {
    "abs": abs, "min": min, "max": max, "floor": lambda x: float(math.floor(x)), "ceil": lambda x: float(math.ceil(x)),
    "sign": lambda x: float(np.sign(x)), "mod": lambda a, b: a % b, "digamma": lambda x: float(mpmath.digamma(x)),
    "atan": lambda *a: math.atan2(*a) if len(a) == 2 else math.atan(*a),
    "logabsgamma": lambda x: (math.lgamma(x), 1), "first": lambda pair: pair[0], "float": float,
    "length": len, "Int": int, "div": lambda a, b: int(a) // int(b), "view": lambda a, places: a[places],
    "fld": lambda a, b: a // b, "clamp": lambda x, a, b: min(max(x, a), b),
}  # fmt: skip
CONSTANTS = {"Inf": math.inf, "NaN": math.nan, "true": True, "false": False}


class _Expression:
    """Recursive descent to closures of the variables; `&&`, `||` and `?:` evaluate what they need."""

    def __init__(self, text: str) -> None:
        self.tokens, at = [], 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            assert found, text[at:]
            self.tokens.append(found[1])
            at = found.end()
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, *wanted):
        if self.peek() in wanted:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def whole(self):
        found = self.choice()
        assert self.peek() is None, self.tokens[self.at :]
        return found

    def several(self, env):
        """The values of `(a, b, ...)`."""
        assert self.take("(")
        values = []
        while not self.take(")"):
            values.append(self.choice()(env))
            self.take(",")
        return values

    def choice(self):
        if self.tokens[self.at : self.at + 3] == ["(", ")", "->"]:
            self.at += 3
            inner = self.choice()
            return lambda env: lambda: inner(env)
        cond = self.logic("||")
        if not self.take("?"):
            return cond
        a = self.choice()
        assert self.take(":")
        b = self.choice()
        return lambda env: a(env) if cond(env) else b(env)

    def logic(self, sign):
        below = self.compare if sign == "&&" else lambda: self.logic("&&")
        left = below()
        while self.take(sign):
            left = self._logic(sign, left, below())
        return left

    @staticmethod
    def _logic(sign, a, b):
        return (lambda env: a(env) and b(env)) if sign == "&&" else (lambda env: a(env) or b(env))

    def compare(self):
        a = self.sum()
        sign = self.take("<", "<=", ">", ">=", "==", "!=")
        if sign is None:
            return a
        b = self.sum()
        table = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__", "==": "__eq__", "!=": "__ne__"}
        return lambda env: getattr(float(a(env)), table[sign])(float(b(env)))

    def sum(self):
        left = self.product()
        while sign := self.take("+", "-"):
            left = self._arithmetic(sign, left, self.product())
        return left

    def product(self):
        left = self.unary()
        while sign := self.take("*", "/"):
            left = self._arithmetic(sign, left, self.unary())
        return left

    @staticmethod
    def _arithmetic(sign, a, b):
        table = {"+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y, "/": _divide}
        return lambda env: table[sign](a(env), b(env))

    def unary(self):
        if self.take("-"):
            a = self.unary()
            return lambda env: -a(env)
        if self.take("!"):
            a = self.unary()
            return lambda env: not a(env)
        return self.power()

    def power(self):
        base = self.atom()
        if not self.take("^"):
            return base
        exponent = self.unary()

        def value(env):
            a, b = base(env), exponent(env)
            return _divide(1.0, a**-b) if a == 0.0 and b < 0.0 else math.pow(a, b)

        return value

    def range(self):
        first = self.choice()
        if not self.take(":"):
            return first
        last = self.choice()
        return lambda env: slice(int(first(env)) - 1, int(last(env)))

    def atom(self):
        if self.take("("):
            inner = self.choice()
            assert self.take(")")
            return inner
        token = self.tokens[self.at]
        self.at += 1
        if token[0].isdigit():
            return lambda env: float(token)
        if self.take("("):
            arguments = []
            while not self.take(")"):
                arguments.append(self.range())
                self.take(",")
            if token == "_try":
                return lambda env: _try(arguments[0](env))
            if token not in FUNCTIONS:
                return lambda env: _own(env, token, [a(env) for a in arguments])
            return lambda env: FUNCTIONS[token](*(a(env) for a in arguments))
        if self.take("["):
            inside = []
            while not self.take("]"):
                inside.append(self.choice())
                self.take(",")
            return lambda env: _element(env[token], [_position(i(env)) for i in inside])
        return lambda env: CONSTANTS[token] if token in CONSTANTS else env[token]


def _parts(text):
    """What commas outside of parentheses separate."""
    found, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            found.append("")
        else:
            found[-1] += char
    return found


def _position(index):
    assert index == int(index) and index >= 1, "Julia counts from 1"
    return int(index) - 1


def _element(array, places):
    for place in places:
        array = array[place]
    return array


def _try(value):
    try:
        return value()
    except ValueError:
        return math.nan


def call(source: str, name: str, shape, **arguments) -> np.ndarray:
    """The array `out` that the function `name` fills."""
    start = source.index(f"function {name}(")
    lines = source[start:].split("\n")[1:]
    env = {**arguments, "out": np.full(shape, 99.0), "": source}
    for data, numbers in re.findall(r"^const (\w+) = (?:Float64|Int)\[([^\]]*)\]", source, re.MULTILINE):
        if "..." not in numbers:
            env[data] = [float(x) for x in numbers.replace("Inf", "inf").split(",") if x.strip()]
    env["lines"] = lines
    end = _block(lines, 0, env, True)
    assert lines[end] == "end"
    return env["out"]


class _Return(Exception):
    pass


def _own(env, name, arguments):
    """A function of the file itself that returns a value, or one made inside the function that runs."""
    if name in env:
        try:
            _block(env["lines"], env[name], env, True)
        except _Return as result:
            return result.args[0]
    found = re.search(rf"^function {re.escape(name)}\((.*)\)\n", env[""], re.MULTILINE)
    inner = {**dict(zip(found[1].split(", "), arguments, strict=True)), "": env[""]}
    try:
        _block(env[""][found.end() :].split("\n"), 0, inner, True)
    except _Return as result:
        return result.args[0]
    raise AssertionError(f"{name} returned nothing")


def _part(env, line):
    """A statement that calls a function of the file, which returns nothing and changes an array it is given."""
    name, arguments = line[:-1].split("(", 1)
    found = re.search(rf"^function {re.escape(name)}\((.*)\)\n", env[""], re.MULTILINE)
    values = [env[argument] for argument in arguments.split(", ")]
    inner = {**dict(zip(found[1].split(", "), values, strict=True)), "": env[""]}
    _block(env[""][found.end() :].split("\n"), 0, inner, True)


def _block(lines, at, env, run):
    """Run statements up to the line that closes the block; its position."""
    while True:
        line = lines[at].strip()
        if line in ("end", "else") or line.startswith("elseif "):
            return at
        if line.startswith("for "):
            name, first, last = re.fullmatch(r"for (\w+) in (.+?):(.+)", line).groups()
            start = at + 1
            ends = [int(_Expression(code).whole()(env)) for code in (first, last)] if run else [1, 0]
            at = _block(lines, start, env, False)
            for k in range(ends[0], ends[1] + 1):
                env[name] = float(k)
                _block(lines, start, env, True)
        elif line.endswith(" = () -> begin"):
            start, name = at + 1, line.split()[0]
            at = _block(lines, start, env, False)

            if run:
                env[name] = start
        elif line.startswith("if "):
            done = not run
            while lines[at].strip() != "end":
                word, _, cond = lines[at].strip().partition(" ")
                taken = not done and (word == "else" or bool(_Expression(cond).whole()(env)))
                done = done or taken
                at = _block(lines, at + 1, env, taken)
        elif line.startswith("while "):
            start = at + 1
            while run and _Expression(line[len("while ") :]).whole()(env):
                _block(lines, start, env, True)
            at = _block(lines, start, env, False)
        elif run and line.startswith("return ") and line != "return nothing":
            raise _Return(_Expression(line[len("return ") :]).whole()(env))
        elif run and line.startswith("fill!(out, "):
            env["out"][...] = _Expression(line[len("fill!(out, ") : -1]).whole()(env)
        elif run and (made := re.fullmatch(r"(\w+) = zeros\(float\(.*\), (\d+)\)", line)):
            env[made[1]] = np.zeros(int(made[2]))
        elif run and re.fullmatch(r"\w+\(.*\)", line):
            _part(env, line)
        elif run and line != "return nothing":
            target, sign, code = re.fullmatch(r"(.+?) (=|\+=) (.+)", line).groups()
            if ", " in target and "[" not in target:  # a, b = x, y
                given = iter(_Expression(f"({code})").several(env))
                env.update((name, next(given)) for name in target.split(", "))
                at += 1
                continue
            value = _Expression(code).whole()(env)
            value = value if isinstance(value, (int, list, np.ndarray)) else float(value)
            place = re.fullmatch(r"(\w+)\[(.+)\]", target)
            if place:
                seat = tuple(_position(_Expression(i).whole()(env)) for i in _parts(place[2]))
                if len(seat) < env[place[1]].ndim:  # one number for all indices: the first runs fastest
                    seat = np.unravel_index(seat[0], env[place[1]].shape, order="F")
                env[place[1]][seat] = value + (env[place[1]][seat] if sign == "+=" else 0.0)
            else:
                env[target] = value if sign == "=" else env[target] + value
        at += 1
