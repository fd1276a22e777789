"""The readers' door: live connections, the board as JSON and as a page, the widget. Knows no editor, no backend."""
