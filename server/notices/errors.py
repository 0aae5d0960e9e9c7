from server.core.errors import NotFound


class NoSuchNotice(NotFound):
    pass
