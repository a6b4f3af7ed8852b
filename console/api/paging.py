"""Pages by key, not by number: as fast at the millionth row as at the first."""

from __future__ import annotations

from rest_framework.pagination import CursorPagination


class KeysetPagination(CursorPagination):
    """Newest first. Follow `next` until it is null; page_size up to 200."""

    ordering = ("-created_at", "pk")
    page_size_query_param = "page_size"
    max_page_size = 200
