"""Scripts are put together from files and known by their hash."""

from __future__ import annotations

import hashlib

import pytest

from engine.ledger import scripts


def test_a_script_is_known_by_the_hash_of_its_whole_text():
    loaded = scripts.load_scripts()
    assert set(loaded) == {file.stem for file in scripts.FOLDER.glob("*.lua")}
    for name, script in loaded.items():
        assert script.name == name
        assert script.sha == hashlib.sha1(script.text.encode(), usedforsecurity=False).hexdigest()
        assert "--#include" not in script.text
    assert len({script.sha for script in loaded.values()}) == len(loaded)


def test_an_include_stands_where_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "now.lua").write_text("local function now() end\n")
    (tmp_path / "thing_read.lua").write_text("-- Reads.\n--#include now\nreturn {'ok'}\n")
    monkeypatch.setattr(scripts, "FOLDER", tmp_path)
    assert scripts.load_scripts()["thing_read"].text == "-- Reads.\nlocal function now() end\n\nreturn {'ok'}\n"


def test_an_include_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "thing_read.lua").write_text("--#include nothing\n")
    monkeypatch.setattr(scripts, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError):
        scripts.load_scripts()


def test_every_alarm_is_a_status_of_some_script():
    text = "".join(script.text for script in scripts.load_scripts().values())
    for status in scripts.ALARMS:
        assert f"'{status.decode()}'" in text
