"""The inference path: wire formats, keys in memory, routing, metering. Raw ASGI, no ORM."""
