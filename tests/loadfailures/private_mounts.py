"""File systems that one process and its children see and nobody else: mount_namespaces(7), gone with the process."""

import ctypes
import os
from collections.abc import Mapping

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def mount_privately(sizes: Mapping[str, int], dead: str = "") -> None:
    """In this process: an empty tmpfs of so many bytes at each path, and at `dead` a FUSE mount whose daemon is gone. Root's right
    to mount is used where it is there, else a user namespace gives it. OSError says which step is refused."""
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWNS) != 0:
        _check(
            _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS),
            "unshare: no mount namespace for tests of full disks",
        )
        for name, said in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(said)
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE, "")
    for path, size in sizes.items():
        _mount("tmpfs", path, "tmpfs", 0, f"size={size}")
    if dead:
        device = os.open("/dev/fuse", os.O_RDWR)
        _mount("fuse", dead, "fuse", 0, f"fd={device},rootmode=40000,user_id=0,group_id=0")
        os.close(device)  # as when its daemon died: ENOTCONN from now on


def _mount(source: str, path: str, kind: str, flags: int, options: str) -> None:
    ended = _libc.mount(source.encode(), path.encode(), kind.encode(), flags, options.encode())
    _check(ended, f"mount {kind} at {path}")


def _check(ended: int, what: str) -> None:
    if ended != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
