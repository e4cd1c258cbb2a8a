"""The pages. So far one: /health, for a monitor on the same machine."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def application(states: Callable[[], dict[str, dict[str, Any] | None]]) -> Starlette:
    """The web application. `states` gives the status of each process, None for one that does not answer.

    GET /health answers 200 when every process answers and 503 otherwise, with the names of those that do not.
    It tells nothing about children, rooms or cameras, so it needs no login.
    """

    def health(_request: Request) -> Response:
        answers = states()
        missing = sorted(name for name, status in answers.items() if status is None)
        body = {"ok": not missing, "processes": sorted(answers), "missing": missing}
        return JSONResponse(body, status_code=503 if missing else 200, headers={"Cache-Control": "no-store"})

    return Starlette(routes=[Route("/health", health, methods=["GET"])])
