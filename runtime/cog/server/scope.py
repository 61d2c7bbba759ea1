"""The older place of current_scope.

It is defined in cog.scope.
"""

from __future__ import annotations

from cog.scope import Scope, current_scope

__all__ = ["Scope", "current_scope"]
