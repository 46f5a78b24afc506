"""Who Postgres runs as. It refuses root and users without a name; nobody should have to add a user for that.

An ordinary user runs it as itself. Root, and a number without a name as containers like them, run it in a user
namespace where they are called nobody: a name that is not root to whoever asks, and still the owner of their files.
Where a container forbids namespaces, or the data belongs to somebody else, root becomes the owner of the data, who is
the real nobody for new data, and keeps one right: to pass the folders of others on the way to programs and data.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from engine.embedded.process import StartFailed

Become = Callable[[], None] | None
"""Runs in the child before the program; None: nothing to change."""

_CLONE_NEWUSER = 0x10000000
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def namespace() -> None:
    """Be called nobody in a new user namespace. Raises OSError where that is forbidden."""
    assert _LIBC is not None
    uid, gid = os.geteuid(), os.getegid()
    nobody = pwd.getpwnam("nobody")
    if _LIBC.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{nobody.pw_uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{nobody.pw_gid} {gid} 1")


def user(uid: int, gid: int) -> Callable[[], None]:
    """Return what makes root become `uid`, with the right to pass all folders if root had it itself."""

    def become() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        if _LIBC is not None:
            bit = 1 << _CAP_DAC_OVERRIDE
            header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
            data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
            # A container without this capability still works if the folders can be read by everybody.
            if _LIBC.capset(header, data) == 0:
                _LIBC.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)

    return become


def choose(folder: Path, program: Path) -> Become:
    """Return how to run `program` on `folder` without being root, which may give the folder to nobody.

    Raises StartFailed if there is no way.
    """
    uid = os.geteuid()
    if uid != 0:
        if _has_name(uid):
            return None
        if _LIBC is not None and _works(namespace, folder, program):
            return namespace
        raise StartFailed(f"Postgres refuses user {uid}, which has no name here: add one, or set HOLDFAST_DATABASE_URL")
    owner = folder.stat()
    if owner.st_uid == 0:
        if _LIBC is not None and _works(namespace, folder, program):
            return namespace
        nobody = pwd.getpwnam("nobody")
        _give(folder, nobody.pw_uid, nobody.pw_gid)
        owner = folder.stat()
    become = user(owner.st_uid, owner.st_gid)
    if _works(become, folder, program):
        return become
    raise StartFailed(
        f"Postgres refuses to run as root, and another user cannot reach {program} or {folder} here: "
        "run as an ordinary user, or set HOLDFAST_DATABASE_URL"
    )


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _works(become: Callable[[], None], folder: Path, program: Path) -> bool:
    def prepare() -> None:
        become()
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(folder)

    try:
        done = subprocess.run([program, "--version"], preexec_fn=prepare, capture_output=True, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _give(folder: Path, uid: int, gid: int) -> None:
    os.chown(folder, uid, gid)
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            os.chown(os.path.join(parent, name), uid, gid, follow_symlinks=False)
