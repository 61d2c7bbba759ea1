"""`@streaming` and `@concurrent`: marks a model sets on its predict or run method.

They only mark; pinion_runtime reads the marks.
"""

from __future__ import annotations

from typing import Any, Callable, TypeVar, overload

_Function = TypeVar("_Function", bound=Callable[..., Any])


@overload
def streaming(function: _Function) -> _Function: ...
@overload
def streaming(function: None = None) -> Callable[[_Function], _Function]: ...
def streaming(function: Callable[..., Any] | None = None) -> Any:
    """Marks a method whose output may be streamed; usable with and without brackets."""
    return _mark("__cog_streaming__", True) if function is None else _mark("__cog_streaming__", True)(function)


def concurrent(*, max: int) -> Callable[[_Function], _Function]:
    """Says how many predictions an async method may run at once."""
    return _mark("__cog_concurrent_max__", max)


def _mark(name: str, value: object) -> Callable[[_Function], _Function]:
    def mark(function: _Function) -> _Function:
        setattr(function, name, value)
        return function

    return mark
