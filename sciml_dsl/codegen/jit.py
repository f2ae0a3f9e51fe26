"""LLVM IR text -> machine code in this process."""

from __future__ import annotations

import threading
from functools import cache

import llvmlite.binding as llvm

LARGE = 20_000
"""Lines of IR above which compile time counts more than the last percent of speed."""

_lock = threading.Lock()  # llvmlite's global context is not thread-safe


@cache
def _host() -> tuple[str, str]:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


class MachineCode:
    """Compiled functions of one module; keep it alive as long as an address is in use.

    `loops`: the module has loops (networks), which profit from LLVM's optimiser.
    Straight-line code does not: the graph has no common subexpressions and nothing
    to fold, so it goes to instruction selection as it is.  Above `LARGE` lines the
    code waits for memory, not for the processor, and the fast selector serves
    (measured: 5 % slower code, five times faster to compile, and linear).
    """

    def __init__(self, text: str, *, loops: bool = False) -> None:
        with _lock:
            cpu, features = _host()
            target = llvm.Target.from_default_triple()
            effort = 0 if text.count("\n") > LARGE and not loops else 2
            machine = target.create_target_machine(cpu=cpu, features=features, opt=effort, jit=True)
            module = llvm.parse_assembly(text)
            module.triple = machine.triple
            module.data_layout = str(machine.target_data)
            if loops:
                tuning = llvm.create_pipeline_tuning_options(speed_level=3)
                tuning.loop_vectorization = True
                tuning.loop_unrolling = True
                builder = llvm.create_pass_builder(machine, tuning)
                builder.getModulePassManager().run(module, builder)
            self._engine = llvm.create_mcjit_compiler(module, machine)
            self._engine.finalize_object()
            self._module = module
            self._machine = machine

    def address(self, name: str) -> int:
        """Address of a function; the calling convention is in docs/design.md."""
        found = self._engine.get_function_address(name)
        if not found:
            raise KeyError(name)
        return int(found)

    def ir(self) -> str:
        """The IR that was compiled."""
        return str(self._module)

    def assembly(self) -> str:
        """The machine code as assembly text."""
        return str(self._machine.emit_assembly(self._module))
