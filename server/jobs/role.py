"""The worker role: jobs of every slice, and the background lane of the sandbox."""

import importlib
import os
import pkgutil
import threading
from collections.abc import Callable
from typing import Final

import server
from server.core.runtime import Runtime
from server.jobs import service
from server.jobs.sandbox import FUNCTION_MODULES

HANDLER_MODULES: Final = ("tasks", "handlers")


def load_handlers() -> list[str]:
    """Import the module of each slice that registers handlers; returns the modules.

    That is `tasks.py`, or `handlers.py` in a slice whose `tasks.py` is for the sandbox: the worker's own process must
    not load the libraries that read hostile bytes.
    """
    folders = {found.name: f"{server.__path__[0]}/{found.name}" for found in pkgutil.iter_modules(server.__path__)}
    candidates = [
        f"server.{name}.{found.name}"
        for name, folder in folders.items()
        for found in pkgutil.iter_modules([folder])
        if found.name in HANDLER_MODULES
    ]
    modules = [name for name in candidates if name not in FUNCTION_MODULES]
    for name in modules:
        importlib.import_module(name)
    return modules


def run(runtime: Runtime, *, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Work until `stop` is set."""
    runtime.log.info("worker_started", handlers=load_handlers())
    ready()
    service.run_until(runtime, stop, owner=f"worker-{os.getpid()}-{runtime.new_id().hex[-8:]}")
