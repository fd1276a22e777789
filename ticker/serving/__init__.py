"""Processes and connections: one node, its workers, and which protocol each connection gets. Knows uvicorn."""
