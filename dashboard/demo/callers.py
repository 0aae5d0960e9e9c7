"""How the people of a story act: through the API with their own session, at the device, at the gateway's page."""

import base64
from typing import Any, Final

import httpx

from dashboard.demo.waiting import StoryFailed

TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
Json = dict[str, Any]


class NotYet(StoryFailed):
    """The server asks for a moment's patience."""


class Caller:
    """HTTP to one base URL; a refusal becomes StoryFailed with the words the refusal came with."""

    def __init__(self, base_url: str, *, ca_file: str | None = None) -> None:
        import ssl

        self.base_url = base_url
        verify = ssl.create_default_context(cafile=ca_file) if ca_file else True
        headers = {"Origin": base_url}
        self._client = httpx.Client(base_url=base_url, verify=verify, timeout=TIMEOUT, headers=headers, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def send(self, step: str, method: str, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401
        """Raises: StoryFailed."""
        try:
            response = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise StoryFailed(step, f"{path}: {type(error).__name__}: {error}") from error
        if response.is_success:
            return response
        refused = NotYet if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else StoryFailed
        raise refused(step, f"{path} answered {response.status_code}: {_words(response)}")

    def if_ready(self, step: str, path: str) -> bytes | None:
        """None while the server says "in a moment" (503). Raises: StoryFailed for any other refusal."""
        try:
            return self.send(step, "GET", path).content
        except NotYet:
            return None

    def get(self, step: str, path: str) -> Any:  # noqa: ANN401 - JSON
        return self.send(step, "GET", path).json()

    def get_every(self, step: str, path: str, key: str) -> list[Json]:
        """All pages of a list whose next page comes `before` the `key` of its last row. Raises: StoryFailed."""
        rows: list[Json] = []
        while page := self.get(step, f"{path}?before={rows[-1][key]}" if rows else path):
            rows += page
        return rows

    def post(self, step: str, path: str, body: Json | None = None) -> Any:  # noqa: ANN401 - JSON
        response = self.send(step, "POST", path, json=body or {})
        return response.json() if response.content else {}


class Person(Caller):
    """Somebody signed in at the dashboard."""

    def __init__(self, base_url: str, *, ca_file: str, username: str, password: str) -> None:
        super().__init__(base_url, ca_file=ca_file)
        self.username = username
        self.password = password
        self.post("sign in", "/api/v1/session", {"username": username, "password": password})


class Hands(Caller):
    """The person beside the simulated device."""

    def lay(self, pdf: bytes, *, page: int) -> None:
        self.post("lay page", "/lay", {"pdf_base64": base64.b64encode(pdf).decode(), "page": page})

    def pull(self) -> Json:
        answer: Json = self.post("press", "/pull")
        return answer


class Booth(Caller):
    """The gateway's own page at the device."""

    def device(self, step: str) -> Json:
        devices: list[Json] = self.get(step, "/api/state")["devices"]
        if not devices:
            raise StoryFailed(step, "the gateway has no device")
        return devices[0]


def _words(response: httpx.Response) -> str:
    try:
        problem = response.json()
    except ValueError:
        return response.text[:300]
    parts = [str(problem[key]) for key in ("happened", "safe", "next", "detail") if problem.get(key)]
    return " ".join(parts) or str(problem)[:300]
