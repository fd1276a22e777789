"""Ticker: a breaking-news live ticker that a newsroom runs itself."""

__version__ = "0.1.0"
