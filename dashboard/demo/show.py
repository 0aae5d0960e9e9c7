"""How a story looks in a terminal: one line a step, as it happens."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

TITLES = {
    "set up": "Keys, people, seal",
    "start": "Server, device and gateway start",
    "pair": "Device paired",
    "mount head": "Head mounted",
    "request": "The clerk asks",
    "approve": "Headquarters approves",
    "token": "Token verified by the device",
    "lay page": "Page on the tray, recognised, unlocked",
    "press": "Stamped, coded, photographed",
    "ledger": "In the ledger",
    "after-photo": "After-photo agrees",
    "electronic seal": "Electronic seal on the same PDF",
    "evidence bundle": "Evidence bundle",
    "public page": "A stranger scans the code",
    "verify offline": "Verified offline",
    "check the log": "Log checked from raw bytes",
}


class Screen:
    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)

    def opening(self, title: str) -> None:
        self.console.print(Text("Cinnabar demo ", style="bold red") + Text(f"- {title}. Simulated device, DEMO keys."))

    def step(self, name: str, ms: int, told: str) -> None:
        line = Text(f"{ms:>7} ms  ", style="dim")
        line.append(f"{TITLES.get(name, name)}: ", style="bold")
        line.append(told)
        self.console.print(line)

    def failed(self, step: str, why: str, logs: Path) -> None:
        self.console.print(Text(f"The step '{step}' failed: ", style="bold red") + Text(why))
        self.console.print(f"Nothing outside {logs.parent} was touched. The processes' logs are in {logs}.")

    def files(self, out: Path) -> None:
        self.console.print(f"Files: {out}")

    def links(self, rows: list[tuple[str, str, str]]) -> None:
        """(role, what to do there, link)."""
        self.console.print(Text("Open in a browser (the certificate is the demo's own):", style="bold"))
        for who, what, link in rows:
            self.console.print(Text(f"  {who} ({what})\n", style="bold") + Text(f"    {link}"), soft_wrap=True)
        self.console.print("Ctrl+C stops everything.")
