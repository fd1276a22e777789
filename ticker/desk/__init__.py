"""The editors' door: keys, the API that changes lines, the desk page. Knows no backend, no reader."""
