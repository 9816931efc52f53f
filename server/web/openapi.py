# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenAPI description of the API (version 3.1), made from its tables and classes. Pure."""

import dataclasses
import enum
import re
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any

from addon.protocol.version import VERSION

from .routing import Operation

_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the description as JSON has it."""
    schemas: dict[str, Any] = {"Error": {"type": "object", "properties": {"error": {"type": "string"}}}}
    paths: dict[str, Any] = {}
    for each in operations:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, path, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Relay Render, a node",
            "version": VERSION,
            "description": "Send `Authorization: Bearer TOKEN`; `python -m server page` shows the token. Errors are a "
            "JSON object with one sentence in `error`.",
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "relay-render-7462"},
            },
        },
    }


def _operation(each: Operation, path: str, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": each.summary}
    if each.answer:
        answer["content"] = _content(each.answer, schemas)
    said: dict[str, Any] = {
        "summary": each.summary,
        "operationId": each.handler.__name__.strip("_") + "_" + re.sub(r"\W+", "_", path).strip("_"),
        "responses": {str(each.status): answer, "default": _error()},
    }
    if names := re.findall(r"\{(\w+)\}", path):
        said["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if each.body:
        said["requestBody"] = {"required": True, "content": _content(each.body, schemas)}
    if each.manages:
        said["description"] = "For the node's owner, and for who is trusted."
    return said


def _error() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": "One sentence that says what to do.", "content": content}


def _content(of: type | str, schemas: dict[str, Any]) -> dict[str, Any]:
    if isinstance(of, str):
        return {of: {}}
    return {"application/json": {"schema": _schema(of, schemas)}}


def _schema(of: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if of in _SIMPLE:
        return {"type": _SIMPLE[of]}
    if dataclasses.is_dataclass(of) and isinstance(of, type):
        return _reference(of, schemas)
    if isinstance(of, type) and issubclass(of, enum.Enum):
        return {"type": "string", "enum": [each.value for each in of]}
    origin, arguments = typing.get_origin(of), typing.get_args(of)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if each is type(None) else _schema(each, schemas) for each in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], schemas)}
    raise TypeError(f"{of} has no place in JSON")


def _reference(of: type[Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if of.__name__ not in schemas:
        schema: dict[str, Any] = {"type": "object", "description": (of.__doc__ or "").split("\n")[0]}
        schemas[of.__name__] = schema
        hints = typing.get_type_hints(of)
        fields: Sequence[dataclasses.Field[Any]] = dataclasses.fields(of)
        schema["properties"] = {field.name: _schema(hints[field.name], schemas) for field in fields}
        schema["required"] = [
            field.name
            for field in fields
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        ]
    return {"$ref": f"#/components/schemas/{of.__name__}"}
