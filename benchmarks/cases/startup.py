"""From the start of a Python process to the first solution, the import included."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping

from cases import Effort
from cases.lotka_volterra import TEXT, TIMES, U0, rhs
from children import start
from contest import OURS, Outcome, Row, Target, fail, installed
from measure import Timing
from truth import integrate, weighted_error

TITLE = "Process start to first solution"
SETTINGS = (
    "a new Python process: start, imports, model, compilation, Lotka-Volterra with 101 outputs at 1e-8; "
    "compiled kernels of libraries are on disk from earlier runs, as on any machine that has used them once"
)
WARM = "sd.model(text).solve"
TARGETS = (Target("under 1.5 s", seconds=1.5, row=WARM),)

END = "import json, time; print(json.dumps({'now': time.time(), 'end': [float(v) for v in end]}))"
OURS_SOURCE = f"""
import numpy as np
import sciml_dsl as sd
end = sd.model({TEXT!r}).solve((0, 10), rtol=1e-8, atol=1e-8, saveat=np.linspace(0, 10, 101)).u[-1]
{END}
"""
GRADIENT_SOURCE = f"""
import numpy as np
import sciml_dsl as sd
m = sd.model({TEXT!r})
end = m.solve((0, 10), rtol=1e-8, atol=1e-8, saveat=np.linspace(0, 10, 101), sensitivities=True).u[-1]
{END}
"""
SCIPY_SOURCE = f"""
import numpy as np
from scipy.integrate import solve_ivp
f = lambda t, u: (1.5*u[0] - u[0]*u[1], -3*u[1] + u[0]*u[1])
end = solve_ivp(f, (0, 10), (1.0, 1.0), method="LSODA", rtol=1e-8, atol=1e-8, t_eval=np.linspace(0, 10, 101)).y[:, -1]
{END}
"""
TORCHDIFFEQ_SOURCE = f"""
import torch
from torchdiffeq import odeint
own, cross = torch.tensor([1.5, -3.0]).double(), torch.tensor([-1.0, 1.0]).double()
with torch.no_grad():
    end = odeint(lambda t, u: u * torch.addcmul(own, cross, u.flip(0)), torch.ones(2).double(),
                 torch.linspace(0, 10, 101).double(), method="dopri5", rtol=1e-8, atol=1e-8)[-1]
{END}
"""
DIFFRAX_SOURCE = f"""
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp, diffrax as dfx
def field(t, u, p):
    x, y = u
    return jnp.stack([p[0]*x - p[1]*x*y, -p[2]*y + p[3]*x*y])
@jax.jit
def solve(p, u0):
    return dfx.diffeqsolve(dfx.ODETerm(field), dfx.Tsit5(), 0.0, 10.0, None, u0, args=p,
        saveat=dfx.SaveAt(ts=jnp.linspace(0, 10, 101)), stepsize_controller=dfx.PIDController(rtol=1e-8, atol=1e-8)).ys
end = solve(jnp.array([1.5, 1.0, 3.0, 1.0]), jnp.array([1.0, 1.0]))[-1]
{END}
"""


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Start processes in turns."""
    reference = integrate(rhs, U0, TIMES).values[-1]
    with tempfile.TemporaryDirectory() as empty:
        cold = {"NUMBA_CACHE_DIR": empty}
        # library, what, source, environment, how often, main
        plan: list[tuple[str, str, str, Mapping[str, str], int, bool]] = [
            (OURS, WARM, OURS_SOURCE, {}, effort.processes, True),
            (OURS, "the same with sensitivities", GRADIENT_SOURCE, {}, effort.processes, False),
            ("scipy", "solve_ivp LSODA", SCIPY_SOURCE, {}, effort.processes, True),
            ("torchdiffeq", "dopri5", TORCHDIFFEQ_SOURCE, {}, effort.processes, True),
            ("diffrax", "jit, Tsit5", DIFFRAX_SOURCE, {}, effort.processes, True),
            (OURS, "once for each machine and version: kernel compiled", OURS_SOURCE, cold, 1, False),
        ]
        rows = [Row(library, what, main=main) for library, what, _, _, _, main in plan]
        taken: list[list[float]] = [[] for _ in plan]
        for round_ in range(-1, effort.processes):  # round -1 warms the disk and is not counted
            for row, seconds, (library, what, source, environment, count, _) in zip(rows, taken, plan, strict=True):
                if row.failed or row.note or round_ >= count or (round_ < 0 and count == 1):
                    continue
                if not installed(library):
                    row.note = "not installed"
                    continue
                tell(f"{library}: {what}, process {round_ + 2}")
                try:
                    child = start(source, environment)
                except (RuntimeError, TimeoutError) as problem:
                    fail(row, problem)
                    continue
                row.error = weighted_error(child.answer["end"], reference)
                if round_ >= 0:
                    seconds.append(child.seconds)
        for row, seconds in zip(rows, taken, strict=True):
            if seconds:
                row.timing = Timing.of(seconds)
    return Outcome("startup", TITLE, SETTINGS, rows, TARGETS)
