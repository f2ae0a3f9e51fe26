"""Generated Python source -> a module object.

The only place where the package executes source.  It is source that this
package has just generated: names of the model appear in it as mangled
identifiers and quoted strings, never as text of their own.
"""

from __future__ import annotations

import hashlib
import linecache
from functools import lru_cache
from types import ModuleType

from .identifiers import identifier


@lru_cache(maxsize=128)
def load(source: str, title: str) -> ModuleType:
    """Execute generated `source` as a module; the same source gives the same module.

    Tracebacks show its lines, under a file name made of `title` and a digest.
    """
    digest = hashlib.sha256(source.encode()).hexdigest()[:12]
    name = f"sciml_dsl_generated_{identifier(title)}_{digest}"
    filename = f"<{name}>"
    module = ModuleType(name)
    module.__file__ = filename
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), module.__dict__)
    return module
