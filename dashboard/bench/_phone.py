"""The keeper's phone, on mobile data: does what session_page/static/carry.js does in its browser."""

import contextlib
import ssl
import threading
from typing import Final

import httpx

ASK_AGAIN_S: Final = 0.15
MOBILE_S: Final = 0.06
"""There and back over mobile data."""


class Phone(threading.Thread):
    def __init__(self, gateway: str, headquarters: str, *, ca_file: str) -> None:
        super().__init__(daemon=True)
        self._stopped = threading.Event()
        self._gateway = httpx.Client(base_url=gateway, headers={"Origin": gateway}, timeout=20, trust_env=False)
        self._web = httpx.Client(
            base_url=headquarters, verify=ssl.create_default_context(cafile=ca_file), timeout=20, trust_env=False
        )

    def stop(self) -> None:
        self._stopped.set()
        self.join()
        self._gateway.close()
        self._web.close()

    def run(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(httpx.HTTPError):
                self._carry_one()
            self._stopped.wait(ASK_AGAIN_S)

    def _carry_one(self) -> None:
        asked = self._gateway.get("/api/carry/next", params={"reaches": "true"})
        if asked.status_code != httpx.codes.OK:
            return
        envelope = asked.json()
        self._stopped.wait(MOBILE_S)
        answer = self._web.post("/gateway/v1/carry", json=envelope)
        if answer.is_success:
            self._gateway.post("/api/carry/answer", json={"nonce": envelope["nonce"], "answer": answer.json()})
