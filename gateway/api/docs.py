"""Pages for people: Swagger UI from the installed package, offline, and the documents it reads.

Nothing here is fetched from anywhere else, and a content security policy tells browsers so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import swagger_ui_bundle
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from gateway.api.answers import encode

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SMS gateway</title>
<link rel="icon" type="image/png" href="/docs/favicon.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

# validatorUrl null: its default sends the document's address to a server on the internet.
_START = """\
SwaggerUIBundle({
  url: "/docs/openapi-3.0.json",
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: true,
  validatorUrl: null
});
"""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Swagger UI styles its parts inline; everything else comes from this gateway."""

_CACHED = {"cache-control": "max-age=3600"}
"""Only for the package's own files: what this gateway writes changes with its version."""


def build_pages(
    document: Mapping[str, Any], document_30: Mapping[str, Any]
) -> list[HTTPRouteHandler]:
    """Return the routes of the pages and of the OpenAPI document."""
    bundled = swagger_ui_bundle.swagger_ui_path
    bundled_files = [
        ("/docs/swagger-ui.css", "text/css", "swagger-ui.css"),
        ("/docs/swagger-ui-bundle.js", "text/javascript", "swagger-ui-bundle.js"),
        ("/docs/favicon.png", "image/png", "favicon-32x32.png"),
    ]
    openapi = encode(document)

    @get("/openapi.json", include_in_schema=False, media_type="application/json")
    async def read_openapi() -> bytes:
        return openapi

    @get("/docs", include_in_schema=False, media_type="text/html")
    async def read_docs() -> Response[bytes]:
        return Response(_PAGE.encode(), headers={"content-security-policy": _POLICY})

    @get("/", include_in_schema=False)
    async def read_root() -> Redirect:
        return Redirect("/docs")

    return [
        read_openapi,
        read_docs,
        read_root,
        _file_handler("/docs/start.js", "text/javascript", _START.encode(), {}),
        _file_handler("/docs/openapi-3.0.json", "application/json", encode(document_30), {}),
        *(
            _file_handler(path, kind, (bundled / name).read_bytes(), _CACHED)
            for path, kind, name in bundled_files
        ),
    ]


def _file_handler(
    path: str, media_type: str, body: bytes, headers: dict[str, str]
) -> HTTPRouteHandler:
    @get(path, include_in_schema=False, media_type=media_type)
    async def read_file() -> Response[bytes]:
        return Response(body, headers=headers)

    return read_file
