"""What a user calls a model becomes what speaks in a chat: a folder, or an address."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.infer.endpoint import Said, ask, serving
from triptych.infer.local import LocalResponder
from triptych.infer.opening import open_speaker
from triptych.models.families.tiny import tiny


def test_an_endpoint_speaks_in_a_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def events(request: dict[str, Any], before: int) -> Said:
        pieces = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in ("the ", "red")]
        lines = [*(json.dumps({"id": "1", "object": "chat.completion.chunk", **each}) for each in pieces), "[DONE]"]
        return Said("".join(f"data: {line}\n\n" for line in lines))

    with serving(events) as endpoint:
        speaker, numbers_images = open_speaker(str(endpoint.address))
        assert list(speaker.stream(ask("a"), max_tokens=5)) == ["the ", "red"]
    assert not numbers_images


def test_a_folder_speaks_in_a_chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    tiny(3).save(tmp_path / "model")
    speaker, numbers_images = open_speaker(str(tmp_path / "model"))
    assert isinstance(speaker, LocalResponder)
    assert numbers_images == ("{k}" in speaker.model.template.image_before)
    assert "".join(speaker.stream(ask("a"), max_tokens=3)) == next(iter(speaker.answer([ask("a")], max_tokens=3))).text  # type: ignore[union-attr]
