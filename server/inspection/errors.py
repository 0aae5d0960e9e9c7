from server.core.errors import NotFound


class NoSuchFinding(NotFound):
    pass
