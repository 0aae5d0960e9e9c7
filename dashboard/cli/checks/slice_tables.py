"""The import contract `slice_tables`: a slice's tables belong to its store; others call its service.

One rule for every slice instead of one section per slice in `.importlinter`, so a new slice is guarded from its first
import.
"""

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class SliceTables(Contract):
    """`store` and `models` of a slice are imported only from inside the slice or from `allowed_importers`.

    Options: `container`, the package whose children are slices; `allowed_importers`, packages that may see all tables.
    """

    container = fields.StringField()
    allowed_importers = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - import-linter's signature
        allowed = [str(package) for package in self.allowed_importers]  # type: ignore[attr-defined]
        trespasses = [
            (importer, table_module)
            for slice_ in sorted(graph.find_children(str(self.container)))
            for table_module in (f"{slice_}.store", f"{slice_}.models")
            if table_module in graph.modules
            for importer in sorted(graph.find_modules_that_directly_import(table_module))
            if not any(_inside(importer, package) for package in (slice_, *allowed))
        ]
        return ContractCheck(kept=not trespasses, metadata={"trespasses": trespasses})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, table_module in check.metadata["trespasses"]:
            output.print_error(f"{importer} imports {table_module}: call the service of that slice", bold=False)


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")
