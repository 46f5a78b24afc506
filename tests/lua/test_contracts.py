"""Each script does what the comment at its head says: the two are held against each other here."""

from __future__ import annotations

import re

import pytest

from engine.ledger.scripts import FOLDER, load_scripts

FILES = sorted(FOLDER.glob("*.lua"))
INCLUDES = sorted((FOLDER / "include").glob("*.lua"))
TITLES = ("KEYS", "ARGV", "STATUS", "RETURNS", "WRITES", "COST")

_TITLE = re.compile(rf"^({'|'.join(TITLES)})\b\s*(.*)$")
_RETURNED = re.compile(r"(?:\breturn|\banswer\b[\w, ]*=) \{'(\w+)'")
_SLOT = re.compile(r"(?:^|, )(\d+) (\w+)", re.MULTILINE)
_WRITING = re.compile(r"redis\.call\('(HSET|HDEL|DEL|ZADD|ZREM\w*|XADD|XDEL|XSETID|SET|PEXPIRE|PERSIST)'")
_FORBIDDEN = re.compile(r"\b(os|io|math\.random|randomseed|loadstring|dofile|require|debug|SCRIPT|EVAL)\b[.(]")


def parts(file):
    """Return (purpose, sections by title, body) of a script's file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    end = next(number for number, line in enumerate(lines) if line != "--" and not line.startswith("-- "))
    purpose, sections, title = [], {}, None
    for line in (line[3:].rstrip() for line in lines[:end]):
        if found := _TITLE.match(line):
            title = found[1]
            sections[title] = [found[2]]
        elif title:
            sections[title].append(line.strip())
        else:
            purpose.append(line)
    return (
        "\n".join(purpose).strip(),
        {name: "\n".join(text) for name, text in sections.items()},
        "\n".join(lines[end:]),
    )


def whole(file):
    return load_scripts()[file.stem].text


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def script(request):
    return request.param


def test_a_script_opens_with_its_whole_contract_in_order(script):
    purpose, sections, _ = parts(script)
    assert purpose.endswith(".")
    assert tuple(sections) == TITLES
    assert all(text.strip() for text in sections.values())


def test_the_statuses_listed_are_those_returned_in_the_order_they_are_checked(script):
    _, sections, _ = parts(script)
    listed = [line.split()[0] for line in sections["STATUS"].splitlines()]
    returned = list(dict.fromkeys(_RETURNED.findall(whole(script))))
    final = [word for word in returned if word == "ok"]
    assert listed == [word for word in returned if word != "ok"] + final


def test_every_path_returns_a_status(script):
    _, _, body = parts(script)
    plain = [line.strip() for line in body.splitlines() if re.match(r"return\b", line)]
    assert plain, "a script ends with a return"
    assert all(re.match(r"return (\{'\w+'|answer$)", line) for line in plain)


def test_the_keys_listed_are_the_keys_used(script):
    _, sections, body = parts(script)
    if sections["KEYS"].startswith("any number"):
        assert "ipairs(KEYS)" in body
        return
    listed = [int(number) for number, _ in _SLOT.findall(sections["KEYS"])]
    assert listed == list(range(1, len(listed) + 1))
    assert {int(number) for number in re.findall(r"KEYS\[(\d+)\]", body)} == set(listed)
    assert not re.search(r"KEYS\[\D", body)


def test_the_arguments_are_listed_slot_by_slot(script):
    _, sections, body = parts(script)
    listed = [int(number) for number, _ in _SLOT.findall(sections["ARGV"])]
    assert listed == list(range(1, len(listed) + 1))
    used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", body)}
    goes_on = "then" in sections["ARGV"]
    assert goes_on or used <= set(listed)
    # a slot may be read by an include that is told where to begin, or that counts from the end
    elsewhere = {int(number) for number in re.findall(r"quotas_apply\(units, (\d+)", body)}
    elsewhere |= set(listed[-3:]) if "--#include reply" in body else set()
    elsewhere |= {listed[-1]} if goes_on else set()
    assert set(listed) - used <= elsewhere


def test_a_script_that_writes_nothing_says_so(script):
    _, sections, _ = parts(script)
    text = whole(script)
    assert (sections["WRITES"].strip() == "nothing") == (not _WRITING.search(text))


def test_what_a_script_writes_by_name_is_listed(script):
    """A key that a writing command is given by its slot or by its local name must stand under WRITES."""
    _, sections, body = parts(script)
    slots = dict(_SLOT.findall(sections["KEYS"]))
    names = {f"KEYS[{number}]": name for number, name in slots.items()} | {
        f"{name}_key": name for name in (*slots.values(), "holds", "carts", "purge")
    }
    targets = re.findall(rf"{_WRITING.pattern}, ([\w\[\]]+)", body)
    written = {names[target] for _, target in targets if target in names}
    if "--#include reap" in body:
        written |= {"event", "holds", "due", "purge"}
    assert written <= set(re.findall(r"\w+", sections["WRITES"])), f"{script.stem} writes {written}"


def test_includes_exist_and_stand_behind_the_contract(script):
    _, _, body = parts(script)
    wanted = re.findall(r"^--#include (\w+)$", body, re.MULTILINE)
    assert len(wanted) == len(set(wanted))
    assert {f"{name}.lua" for name in wanted} <= {file.name for file in INCLUDES}
    assert "#include" not in whole(script)


def test_each_include_is_used_by_a_script():
    wanted = {name for file in FILES for name in re.findall(r"^--#include (\w+)$", file.read_text(), re.MULTILINE)}
    assert wanted == {file.stem for file in INCLUDES}


def test_no_script_asks_the_machine_or_chance(script):
    assert not _FORBIDDEN.search(whole(script))


def test_time_comes_from_one_place(script):
    _, _, body = parts(script)
    assert "'TIME'" not in body


def test_every_status_of_every_script_is_a_word():
    for file in FILES:
        _, sections, _ = parts(file)
        for line in sections["STATUS"].splitlines():
            assert re.match(r"[a-z][a-z_]*\b", line)
