"""What a user calls a model: an address that lacks how it begins is told of as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.core.errors import ConfigError, NotFoundError
from triptych.infer.opening import check_name, open_responder


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("localhost:8000/v1#m", "http://localhost:8000/v1#m"),
        ("127.0.0.1:8000/v1#org/m", "http://127.0.0.1:8000/v1#org/m"),
        ("[::1]:8000/v1#m", "http://[::1]:8000/v1#m"),
        ("example.org:80/v1#m", "http://example.org:80/v1#m"),
        ("localhost:8000#m", "http://localhost:8000/v1#m"),
        ("localhost/v1#m", "http://localhost/v1#m"),
        ("10.0.0.7:8000", "http://10.0.0.7:8000/v1#NAME"),
        ("localhost:8000/v1", "http://localhost:8000/v1#NAME"),
        ("localhost:8000", "http://localhost:8000/v1#NAME"),
        ("gpu01:8000/v1#m", "http://gpu01:8000/v1#m"),
        ("gpu_01:8000#m", "http://gpu_01:8000/v1#m"),
        ("api.example.org/v1#m", "https://api.example.org/v1#m"),
        ("10.0.0.7/v1#m", "http://10.0.0.7/v1#m"),
        (f"x.{'a' * 300}:80", f"http://x.{'a' * 300}:80/v1#NAME"),
    ],
)
def test_an_address_without_its_scheme_is_told_how_to_be_written(name: str, address: str) -> None:
    told = f"{name}: no such folder, and an address begins with http:// or https://: write {address}."
    with pytest.raises(ConfigError) as refused:
        check_name(name)
    assert str(refused.value) == told
    with pytest.raises(ConfigError) as refused:
        open_responder(name, ["concurrency=2"])
    assert str(refused.value) == told


@pytest.mark.parametrize(
    "name",
    [
        *(
            "gone",
            "no/such/folder",
            "gone#m",
            "C:/models/x",
            "C:99",
            "starter:5",
            "starter:12",
            "starter:12#a",
            "me:key@host:80/v1",
        ),
        *(
            "gone/a#b",
            "./gone/a#b",
            "Org/Name2#7",
            "model:2024",
            "org/name:12",
            "gone.a/b#1",
            "model.2:12",
            "http//localhost:80/v1#m",
        ),
    ],
)
def test_other_names_are_looked_for_as_before(name: str) -> None:
    with pytest.raises(NotFoundError):
        check_name(name)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("gpu01:8000", "http://gpu01:8000/v1#NAME"),
        ("gpu_01:8000/v1", "http://gpu_01:8000/v1#NAME"),
        ("gpu01:8000/v1/", "http://gpu01:8000/v1#NAME"),
        ("gpu01:8000#", "http://gpu01:8000/v1#NAME"),
        ("gpu01:8000/", "http://gpu01:8000/v1#NAME"),
        ("model:2024", "http://model:2024/v1#NAME"),
    ],
)
def test_what_may_be_a_host_and_its_port_is_told_how_an_endpoint_is_written_too(name: str, address: str) -> None:
    told = (
        f"{name}: no such folder. Give a folder, a hub id (OWNER/NAME) or starter:NAME; an endpoint is written "
        f"{address}, NAME being its model's."
    )
    with pytest.raises(NotFoundError) as refused:
        check_name(name)
    assert str(refused.value) == told
    with pytest.raises(NotFoundError) as refused:
        open_responder(name, ["concurrency=2"])
    assert str(refused.value) == told


@pytest.mark.parametrize("name", ["gone", "starter:12", "C:99", "org/name:12", "a:b", "gone:8000x"])
def test_what_is_no_host_and_port_is_told_of_no_endpoint(name: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        check_name(name)
    assert "http://" not in str(refused.value)


def test_a_folder_may_be_called_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "localhost" / "v1#m").mkdir(parents=True)
    (tmp_path / "gpu01:8000").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("localhost/v1#m", "gpu01:8000"):
        with pytest.raises(NotFoundError, match="the folder holds no"):
            check_name(name)
