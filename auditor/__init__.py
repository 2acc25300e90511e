"""The integrity auditor for live PostgreSQL databases."""

__version__ = "0.1.0"
