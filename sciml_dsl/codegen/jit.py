"""LLVM IR text -> machine code in this process, by way of a cache on disk.

What the processor, LLVM and the text decide is the object code, so that is what
is kept (`sciml_dsl.cache`), under a key made of all three.
"""

from __future__ import annotations

import threading
from functools import cache as once
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from .. import __version__, cache

LARGE = 1500
"""Lines of IR above which the fast instruction selector serves.

Straight-line arithmetic gains little from the slow one (measured: 0 to 20 % at 100 and
1,000 states), which takes five to ten times as long; small models are worth every percent.
"""

_lock = threading.Lock()  # llvmlite's global context is not thread-safe


@once
def _host() -> tuple[str, str, str]:
    """(triple, processor, its features) of this machine."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def has_fma() -> bool:
    """Does the processor multiply and add in one step?  (All of AArch64 do.)"""
    triple, _, features = _host()
    return "+fma," in f"{features}," or triple.startswith(("aarch64", "arm64"))


def vector_lanes() -> int:
    """How many doubles a register holds that pays for an ensemble: its trajectories side by side."""
    return 8 if "+avx512f" in f"{_host()[2]}," else 4


def _effort(text: str, loops: bool, quick: bool = False) -> int:
    return 2 if loops or not (quick or text.count("\n") > LARGE) else 0


def _target_machine(effort: int) -> Any:
    triple, cpu, features = _host()
    target = llvm.Target.from_triple(triple)
    return target.create_target_machine(cpu=cpu, features=features, opt=effort, jit=True)


def _parsed(text: str, machine: Any, loops: bool) -> Any:
    """The module of `text`, optimised where it has loops."""
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    if loops:
        tuning = llvm.create_pipeline_tuning_options(speed_level=3)
        tuning.loop_vectorization = True
        tuning.loop_unrolling = True
        builder = llvm.create_pass_builder(machine, tuning)
        builder.getModulePassManager().run(module, builder)
    return module


class MachineCode:
    """Compiled functions of one module; keep it alive as long as an address is in use.

    `loops`: the module has loops (networks), which profit from LLVM's optimiser.
    Straight-line code does not: the graph has no common subexpressions and nothing
    to fold, so it goes to instruction selection as it is.  `quick`: to the fast one,
    however short the text is; `thorough`: to the slow one, however long.
    """

    def __init__(self, text: str, *, loops: bool = False, quick: bool = False, thorough: bool = False) -> None:
        if "call void @sciml_" in text:
            from .vector_math import library

            library()
        with _lock:
            effort = 2 if thorough else _effort(text, loops, quick)
            machine = _target_machine(effort)
            name = cache.key(__version__, llvmlite.__version__, *map(str, llvm.llvm_version_info), *_host(),
                             f"{effort} {loops}", text)  # fmt: skip
            code = cache.read("native", name)
            if code is None:
                code = machine.emit_object(_parsed(text, machine, loops))
                cache.write("native", name, code)
            self._load(code, machine)

    def _load(self, code: bytes, machine: Any) -> None:
        empty = llvm.parse_assembly("")
        empty.triple = machine.triple
        empty.data_layout = str(machine.target_data)
        self._engine = llvm.create_mcjit_compiler(empty, machine)
        self._engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Address of a function; the calling convention is in docs/design.md."""
        found = self._engine.get_function_address(name)
        if not found:
            raise KeyError(name)
        return int(found)


def ir(text: str, *, loops: bool = False) -> str:
    """The IR that `MachineCode` compiles."""
    with _lock:
        return str(_parsed(text, _target_machine(_effort(text, loops)), loops))


def assembly(text: str, *, loops: bool = False) -> str:
    """What `MachineCode` makes of it, as assembly text."""
    with _lock:
        machine = _target_machine(_effort(text, loops))
        return str(machine.emit_assembly(_parsed(text, machine, loops)))
