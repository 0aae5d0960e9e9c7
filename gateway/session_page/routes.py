"""The keeper's page: one step per screen, the same facts as /api/state."""

from typing import TYPE_CHECKING

from fastapi import APIRouter

if TYPE_CHECKING:
    from gateway.process import Gateway


def page_router(_gateway: "Gateway") -> APIRouter:
    return APIRouter()
