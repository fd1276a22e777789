"""People at the desk, in tests: a node with people of each role, who ask it over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from tests.conftest import RunningNode
from tests.patience import WITHIN

Object = dict[str, Any]


class Person:
    """Somebody with a key; `owner` is whose key it is."""

    def __init__(self, node: RunningNode, name: str, role: str, *channels: str, owner: str | None = None) -> None:
        asked = {"name": name, "role": role, "channels": channels, "owner": owner}
        answer = node.http.post("/v1/keys", json=asked)
        assert answer.status_code == 201, answer.text
        self.id: str = answer.json()["id"]
        self.token: str = answer.json()["key"]
        self.name = name
        self.http = httpx.Client(
            base_url=node.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=WITHIN, trust_env=False
        )

    @property
    def actor(self) -> Object:
        return {"id": self.id, "name": self.name}

    def ask(self, method: str, path: str, status: int, body: object = None, **headers: str) -> Object:
        """What is answered, which must be with this status."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.request(method, path, headers=named, json=body)
        assert answer.status_code == status, f"{answer.status_code} {answer.text}"
        found: Object = answer.json()
        return found

    def close(self) -> None:
        self.http.close()


def lines_of(channel: str) -> str:
    return f"/v1/channels/{channel}/lines"


def line_of(line: Object) -> str:
    return f"{lines_of(line['channel'])}/{line['id']}"


def drafts_of(channel: str) -> str:
    return f"/v1/channels/{channel}/drafts"


def draft_of(draft: Object) -> str:
    return f"{drafts_of(draft['channel'])}/{draft['id']}"
