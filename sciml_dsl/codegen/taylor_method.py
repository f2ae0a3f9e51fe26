"""A Taylor series method for one model and order, as a native method by address.

`build(system, order)` gives the IR of a function with the interface of `solve.methods.abi`.  A step takes the
coefficients at its beginning, which the step before has computed at its end, and

- sums the polynomial and its slope at the end of the step,
- expands the solution there: the next step's coefficients, and by the last two of them its size
  (A. Jorba & M. Zou, A software package for the numerical integration of ODEs by means of high-order
  Taylor methods, Experimental Mathematics 14 (2005) 99-117, sections 3.1 and 3.2, with weighted norms),
- compares the polynomial's slope with the right-hand side there.  The difference is the defect, and h times it
  over order + 1 estimates the step's error from something the coefficients did not know.

Dense output is the polynomial itself.  Memory of its own: what `layout` says.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..errors import UnsupportedError
from ..graph.compose import at
from ..graph.graph import Graph
from ..graph.system import System
from ..graph.taylor import decompose
from ..solve.methods import abi
from ..solve.methods.taylor import CURRENT, READY, RUN, Slots, stiff_at
from .llvm import Module
from .llvm_network import number
from .taylor_series import coefficients, operations

_SINGULAR = frozenset({"sqrt", "cbrt", "log", "log2", "log10", "log1p", "pow", "asin", "acos", "acosh", "atanh"})
DECAY = 2.0
"""How much smaller (in natural logarithms) each coefficient's term is than the one before, at the order that suits
a tolerance: the optimum of Jorba & Zou, step = radius of convergence/e^2."""
AIM = 0.005
"""Size of the first neglected term over the tolerance.  So small because it costs next to nothing (the time of a
given achieved error is the same), and the result is then as exact as that of Vern9 at the same tolerance."""
SLACK = 1.05
"""A step that much longer than wanted is tried (it ends at a stop); a longer one is not."""
GROW = 5.0
"""At most so many times longer than the step before."""
PROBED = 2.0
"""A step that much longer than the one before is compared with the right-hand side inside too: where
all coefficients vanish they know nothing of what comes."""
SETTLED = 5
"""After so many steps in a row that seem held back by a decaying part, the estimate is handed on: where a
coefficient happens to be small it means nothing."""
PROBES = (0.25, 0.5, 0.75)
EPS = 2.0**-52
LARGEST = 6000
"""Operations that are written out one by one; the time to compile them grows faster than their number."""


def fits(system: System, order: int, largest: int) -> bool:
    """Has the model power series, at most `largest` operations of them, and nothing singular in time alone?

    The series of sqrt(t) at 0, where many a span begins, is infinite; Runge-Kutta methods do not notice.
    """
    if not 0 < system.n * order <= largest:  # every state is a series: most large models end here
        return False
    if len(system.graph.reachable(system.rhs)) > 4 * largest or _singular_in_time(system):
        return False
    try:
        program = decompose(system.graph.copy(), system.rhs)
    except UnsupportedError:
        return False
    return operations(program, order) <= largest


def _singular_in_time(system: System) -> bool:
    """Is there a root, logarithm or the like of time (and parameters) alone?"""
    graph, states = system.graph, set(system.state_leaves)
    moving: dict[int, bool] = {}
    free: dict[int, bool] = {}
    for node in graph.reachable(system.rhs):
        args = graph.args[node]
        moving[node] = node == system.time_leaf or any(moving[a] for a in args)
        free[node] = node not in states and all(free[a] for a in args)
        if graph.op[node] in _SINGULAR and moving[args[0]] and free[args[0]]:
            exponent = graph.data[args[-1]]
            if graph.op[node] != "pow" or not (isinstance(exponent, float) and exponent.is_integer()):
                return True
    return False


def build(system: System, order: int) -> Module:
    """The module; its function is `method`.  Raises `UnsupportedError` for what cannot be expanded."""
    # in a graph of its own: coefficients by the thousand would stay in the model's
    system = replace(system, graph=system.graph.copy(), _memory={})
    module = Module(system, whole=1 << 30)
    graph, n = system.graph, system.n
    outputs = _step(system, order)
    module.add_function("step", list(enumerate(outputs)), len(outputs), seeds=True)
    module.add_function("interpolant", list(enumerate(_interpolant(graph, n, order))), (order + 1) * n)
    module.functions.append(_method(Slots(n, order)))
    module.unary |= {"llvm.floor.f64", "llvm.fabs.f64", "llvm.sqrt.f64"}
    return module


def _step(system: System, order: int) -> list[int]:
    """[coefficients at the end of a step (order + 1, n), sizes of the last two rows, error by the defect squared].

    States are the coefficients at the beginning, (order + 1, n); seeds: h, relative tolerances (n), absolute ones (n).
    """
    graph, n = system.graph, system.n
    program = decompose(graph, system.rhs, system.states)
    if operations(program, order) > LARGEST:
        raise UnsupportedError(
            f'method="taylor" is for small models, and of this one a series of order {order} takes '
            f"{operations(program, order):,} operations (at most {LARGEST:,})", hint='use method="vern9"'
        )  # fmt: skip
    rows = coefficients(program, graph, n, order)
    zero = graph.const(0.0)
    flat = [zero if c is None else c for row in rows for c in row]
    h = graph.leaf("seed", 0)
    ends, rises = [], []
    for i in range(n):
        end, rise = _end(graph, [graph.leaf("state", k * n + i) for k in range(order + 1)], h)
        ends.append(end)
        rises.append(rise)
    places = dict(zip(system.state_leaves, ends, strict=True))
    places[system.time_leaf] = graph.add(system.time_leaf, h)
    flat = at(graph, flat, places)
    last = [flat[k * n : (k + 1) * n] for k in (order - 1, order)]
    weights = _weights(graph, ends)
    sizes = [_size(graph, row, weights) for row in last]
    share = graph.const(1.0 / (order + 1))
    defect = [
        graph.mul(share, graph.sub(rise, graph.mul(h, slope)))
        for rise, slope in zip(rises, flat[n : 2 * n], strict=True)
    ]
    return [*flat, *sizes, _mean_square(graph, defect, _weights(graph, ends, rises))]


def _end(graph: Graph, c: list[int], h: int) -> tuple[int, int]:
    """(sum of c_k h^k, h times its derivative), even and odd powers apart: half as long a chain."""
    s = graph.mul(h, h)
    sums = []
    for first in (0, 1):
        powers = c[first::2]
        value, slope = powers[-1], graph.const(0.0)
        for a in reversed(powers[:-1]):
            slope = graph.add(value, graph.mul(s, slope))
            value = graph.add(a, graph.mul(s, value))
        sums.append((value, slope))
    (even, even_slope), (odd, odd_slope) = sums
    twice = graph.mul(graph.const(2.0), s)
    rise = graph.add(graph.mul(h, odd), graph.mul(twice, graph.add(even_slope, graph.mul(h, odd_slope))))
    return graph.add(even, graph.mul(h, odd)), rise


def _weights(graph: Graph, values: list[int], noise: list[int] | None = None) -> list[int]:
    """One over the tolerance of each state; `noise`: what was rounded on the way."""
    n = len(values)
    found = []
    for i, value in enumerate(values):
        relative, absolute = graph.leaf("seed", 1 + i), graph.leaf("seed", 1 + n + i)
        scale = graph.add(absolute, graph.mul(relative, graph.call("abs", value)))
        if noise is not None:
            scale = graph.add(scale, graph.mul(graph.const(4.0 * EPS), graph.call("abs", noise[i])))
        found.append(graph.div(graph.const(1.0), scale))
    return found


def _size(graph: Graph, values: list[int], weights: list[int]) -> int:
    """Sum of |values| by their `weights` over sqrt(n), between once and sqrt(n) times their root mean square.

    Without squares: a coefficient of order k grows with the k-th power of the unit of time, and must not overflow.
    """
    total = graph.const(0.0)
    for value, weight in zip(values, weights, strict=True):
        product = graph._make("mul", (value, weight))  # a product, where `mul` would divide
        total = graph.add(total, graph.call("abs", product))
    return graph.mul(graph.const(len(values) ** -0.5), total)


def _mean_square(graph: Graph, values: list[int], weights: list[int]) -> int:
    """Mean square of `values` by their `weights`."""
    total = graph.const(0.0)
    for value, weight in zip(values, weights, strict=True):
        part = graph._make("mul", (value, weight))  # a product, where `mul` would divide
        total = graph.add(total, graph.mul(part, part))
    return graph.mul(graph.const(1.0 / len(values)), total)


def _interpolant(graph: Graph, n: int, order: int) -> list[int]:
    """Coefficients in powers of theta; states are the coefficients in powers of time, t is h."""
    power = graph.const(1.0)
    found = []
    for k in range(order + 1):
        found += [graph.mul(power, graph.leaf("state", k * n + i)) for i in range(n)]
        power = graph.mul(power, graph.leaf("t"))
    return found


def _method(slots: Slots) -> str:
    """The function itself.

    An expansion's step limit is h = min over k = p - 1, p of (aim e^(decay (p + 1 - k))/|c_k|)^(1/k), by
    logarithms: the number behind a double's exponent is close enough to the logarithm of its mantissa.
    """
    n, order = slots.n, slots.order
    binary = math.log2(math.e)
    scales, shifts = [], []
    for k in (order - 1, order):
        exponent = -1.0 / k
        aim = (math.log2(AIM) + DECAY * binary * (order + 1 - k)) / k
        scales.append(number(exponent * 2.0**-52))
        shifts.append(number(aim - 1023.0 * exponent))
    powers, previous = [], "%ratio"
    for k in range(1, order):
        powers.append(f"  %r{k} = fmul double {previous}, %ratio")
        previous = f"%r{k}"
    power = "\n".join(powers)
    probes, total = [], "%square0"
    for i, theta in enumerate(PROBES):
        probes.append(f"""  %h{i} = fmul double %h, {number(theta)}
  call void @expand(double %t, double %h{i}, ptr %c, ptr %p, ptr %given, ptr %inside)
  %q{i} = load double, ptr %p_inside
  %s{i} = fadd double {total}, %q{i}""")
        total = f"%s{i}"
    probe = "\n".join(probes)
    return f"""declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define internal void @expand(double %t, double %h, ptr %from, ptr %p, ptr %given, ptr %to) noinline {{
  store double %h, ptr %given
  call void @step(double %t, ptr %from, ptr %p, ptr %given, ptr %to)
  %pa = getelementptr double, ptr %to, i64 {slots.squares}
  %pb = getelementptr double, ptr %to, i64 {slots.squares + 1}
  %ia = load i64, ptr %pa
  %ib = load i64, ptr %pb
  %la = sitofp i64 %ia to double
  %lb = sitofp i64 %ib to double
  %ma = fmul contract double %la, {scales[0]}
  %mb = fmul contract double %lb, {scales[1]}
  %ea = fadd contract double %ma, {shifts[0]}
  %eb = fadd contract double %mb, {shifts[1]}
  %smaller = fcmp olt double %ea, %eb
  %e = select i1 %smaller, double %ea, double %eb
  %floor = call double @llvm.floor.f64(double %e)
  %f = fsub double %e, %floor
  %q1 = fmul contract double %f, {number(0.3371894346)}
  %q2 = fadd contract double %q1, {number(0.6576362914)}
  %q3 = fmul contract double %q2, %f
  %m = fadd contract double %q3, {number(1.0017247597)}
  %bits = bitcast double %m to i64
  %k = fptosi double %floor to i64
  %exponent = shl i64 %k, 52
  %power = add i64 %bits, %exponent
  %length = bitcast i64 %power to double
  %a = bitcast i64 %ia to double
  %b = bitcast i64 %ib to double
  %sum = fadd double %a, %b
  %nothing = fsub double %sum, %sum
  %limit = fadd double %length, %nothing
  %to1 = getelementptr double, ptr %to, i64 {slots.limit}
  store double %limit, ptr %to1
  %low = fadd double %a, {number(1e-300)}
  %quotient = fdiv double %b, %low
  %rate = fmul double %quotient, {number(float(order))}
  %to2 = getelementptr double, ptr %to, i64 {slots.rate}
  store double %rate, ptr %to2
  ret void
}}

define void @method(i64 %task, ptr %fn, ptr %reals, ptr %ints, ptr %u, ptr %p, ptr %work, ptr %iwork) {{
entry:
  %i1 = getelementptr i64, ptr %ints, i64 {abi.AT_OWN}
  %at_own = load i64, ptr %i1
  %own = getelementptr double, ptr %work, i64 %at_own
  %given = getelementptr double, ptr %own, i64 {slots.given}
  %i2 = getelementptr i64, ptr %ints, i64 {abi.AT_IOWN}
  %at_iown = load i64, ptr %i2
  %iown = getelementptr i64, ptr %iwork, i64 %at_iown
  %p_current = getelementptr i64, ptr %iown, i64 {CURRENT}
  %p_ready = getelementptr i64, ptr %iown, i64 {READY}
  %p_h = getelementptr double, ptr %reals, i64 {abi.H}
  %h = load double, ptr %p_h
  %current = load i64, ptr %p_current
  %other = xor i64 %current, 1
  %offset = mul i64 %current, {slots.size}
  %offset2 = mul i64 %other, {slots.size}
  %c = getelementptr double, ptr %own, i64 %offset
  %d = getelementptr double, ptr %own, i64 %offset2
  %p_count = getelementptr i64, ptr %ints, i64 {abi.COUNT_F}
  %is_attempt = icmp eq i64 %task, {abi.ATTEMPT}
  br i1 %is_attempt, label %attempt, label %rest

rest:
  switch i64 %task, label %done [
    i64 {abi.START}, label %start
    i64 {abi.ACCEPT}, label %accept
    i64 {abi.DENSE}, label %dense
  ]

start:
  %i3 = getelementptr i64, ptr %ints, i64 {abi.AT_RTOL}
  %at_tol = load i64, ptr %i3
  %tol = getelementptr double, ptr %work, i64 %at_tol
  %given1 = getelementptr double, ptr %given, i64 1
  call void @llvm.memcpy.p0.p0.i64(ptr %given1, ptr %tol, i64 {16 * n}, i1 false)
  store i64 0, ptr %p_ready
  %p_before = getelementptr double, ptr %own, i64 {slots.before}
  store double {number(math.inf)}, ptr %p_before
  ret void

accept:
  %p_before1 = getelementptr double, ptr %own, i64 {slots.before}
  %size1 = call double @llvm.fabs.f64(double %h)
  store double %size1, ptr %p_before1
  %p_rate1 = getelementptr double, ptr %c, i64 {slots.rate}
  %rate1 = load double, ptr %p_rate1
  %decay = fmul double %rate1, %size1
  %held = fcmp ogt double %decay, {number(stiff_at(order))}
  %p_run = getelementptr i64, ptr %iown, i64 {RUN}
  %run = load i64, ptr %p_run
  %run1 = add i64 %run, 1
  %run2 = select i1 %held, i64 %run1, i64 0
  store i64 %run2, ptr %p_run
  store i64 %other, ptr %p_current
  ret void

dense:
  %i4 = getelementptr i64, ptr %ints, i64 {abi.AT_POLY}
  %at_poly = load i64, ptr %i4
  %poly = getelementptr double, ptr %work, i64 %at_poly
  call void @interpolant(double %h, ptr %c, ptr %p, ptr %poly)
  ret void

attempt:
  %p_t = getelementptr double, ptr %reals, i64 {abi.T}
  %t = load double, ptr %p_t
  %ready = load i64, ptr %p_ready
  %is_ready = icmp ne i64 %ready, 0
  br i1 %is_ready, label %expanded, label %fresh
fresh:
  %d1 = getelementptr double, ptr %d, i64 {n}
  call void @llvm.memcpy.p0.p0.i64(ptr %d, ptr %u, i64 {8 * n}, i1 false)
  call void @llvm.memset.p0.i64(ptr %d1, i8 0, i64 {8 * n * order}, i1 false)
  call void @expand(double %t, double 0.0, ptr %d, ptr %p, ptr %given, ptr %c)
  %count = load i64, ptr %p_count
  %more = add i64 %count, 1
  store i64 %more, ptr %p_count
  store i64 1, ptr %p_ready
  br label %expanded
expanded:
  %p_limit = getelementptr double, ptr %c, i64 {slots.limit}
  %limit = load double, ptr %p_limit
  %size = call double @llvm.fabs.f64(double %h)
  %wanted = fdiv double %limit, %size
  %p_error = getelementptr double, ptr %reals, i64 {abi.ERROR}
  %p_factor = getelementptr double, ptr %reals, i64 {abi.FACTOR}
  %p_stiff = getelementptr double, ptr %reals, i64 {abi.STIFF}
  %short = fcmp oge double %limit, %size
  br i1 %short, label %step, label %check
check:
  %enough = fcmp oge double %wanted, {number(1.0 / SLACK)}
  br i1 %enough, label %step, label %long
long:
  %finite = fcmp ord double %wanted, %wanted
  %too_long = select i1 %finite, double {number(2.0)}, double {number(math.nan)}
  %shrink = select i1 %finite, double %wanted, double {number(0.2)}
  store double %too_long, ptr %p_error
  store double %shrink, ptr %p_factor
  ret void
step:
  call void @expand(double %t, double %h, ptr %c, ptr %p, ptr %given, ptr %d)
  %i5 = getelementptr i64, ptr %ints, i64 {abi.AT_NEW}
  %at_new = load i64, ptr %i5
  %new = getelementptr double, ptr %work, i64 %at_new
  call void @llvm.memcpy.p0.p0.i64(ptr %new, ptr %d, i64 {8 * n}, i1 false)
  %count2 = load i64, ptr %p_count
  %more2 = add i64 %count2, 1
  store i64 %more2, ptr %p_count
  %p_following = getelementptr double, ptr %d, i64 {slots.limit}
  %following = load double, ptr %p_following
  %grown = fdiv double %following, %size
  %p_defect = getelementptr double, ptr %d, i64 {slots.squares + 2}
  %square0 = load double, ptr %p_defect
  %p_before2 = getelementptr double, ptr %own, i64 {slots.before}
  %before = load double, ptr %p_before2
  %bound = fmul double %before, {number(PROBED)}
  %longer = fcmp ogt double %size, %bound
  br i1 %longer, label %probe, label %judged
probe:
  %inside = getelementptr double, ptr %own, i64 {slots.inside}
  %p_inside = getelementptr double, ptr %inside, i64 {slots.squares + 2}
{probe}
  %count3 = load i64, ptr %p_count
  %more3 = add i64 %count3, {len(PROBES)}
  store i64 %more3, ptr %p_count
  br label %judged
judged:
  %square = phi double [%square0, %step], [{total}, %probe]
  %defect = call double @llvm.sqrt.f64(double %square)
  %ratio = fdiv double {number(1.0 / SLACK)}, %wanted
{power}
  %worse = fcmp ogt double {previous}, %defect
  %error = select i1 %worse, double {previous}, double %defect
  store double %error, ptr %p_error
  %grows = fcmp olt double %grown, {number(GROW)}
  %most = select i1 %grows, double %grown, double {number(GROW)}
  %good = fcmp ole double %defect, {number(1.0)}
  %chosen = select i1 %good, double %most, double {number(0.5)}
  store double %chosen, ptr %p_factor
  %p_rate = getelementptr double, ptr %c, i64 {slots.rate}
  %rate = load double, ptr %p_rate
  %product = fmul double %rate, %size
  %p_run3 = getelementptr i64, ptr %iown, i64 {RUN}
  %run3 = load i64, ptr %p_run3
  %settled = icmp sge i64 %run3, {SETTLED}
  %stiff = select i1 %settled, double %product, double 0.0
  store double %stiff, ptr %p_stiff
  ret void
done:
  ret void
}}
"""
