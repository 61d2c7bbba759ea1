"""`BaseModel`: a record a model may return. It is pydantic's, as older Cog's was, where there is pydantic.

What it looks like on the wire is the business of pinion_runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cog.plain_record import BaseModel
else:
    try:
        from cog.pydantic_record import BaseModel
    except ImportError:
        from cog.plain_record import BaseModel

__all__ = ["BaseModel"]
