"""The worker role: jobs of every slice, and the background lane of the sandbox."""

import importlib
import importlib.util
import os
import pkgutil
import threading
from collections.abc import Callable

import server
from server.core.runtime import Runtime
from server.jobs import service


def load_handlers() -> list[str]:
    """Import `tasks.py` of every slice that has one, which registers its handlers; returns the modules."""
    slices = [f"server.{found.name}.tasks" for found in pkgutil.iter_modules(server.__path__) if found.ispkg]
    modules = [name for name in slices if importlib.util.find_spec(name) is not None]
    for name in modules:
        importlib.import_module(name)
    return modules


def run(runtime: Runtime, *, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Work until `stop` is set."""
    runtime.log.info("worker_started", handlers=load_handlers())
    ready()
    service.run_until(runtime, stop, owner=f"worker-{os.getpid()}-{runtime.new_id().hex[-8:]}")
