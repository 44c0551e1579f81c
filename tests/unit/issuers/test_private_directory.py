"""Private directories: in memory where that can be had, and gone when their process is, however it ended."""

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.domain.errors import ConfigurationError
from provisioner.issuers.private_directory import PREFIX, Place, PrivateDirectory, places_to_choose, sweep

_HOLDS_ONE = """
import sys
from pathlib import Path
from provisioner.issuers.private_directory import Place, PrivateDirectory
held = PrivateDirectory([Place(path=Path(sys.argv[1]), in_memory=True)])
(held.here() / "secret").write_text("x")
print(held.here(), flush=True)
sys.stdin.read()
"""


def mounts(tmp_path: Path, *lines: str) -> Path:
    """Give a file such as /proc/self/mounts, with those lines."""
    file = tmp_path / "mounts"
    file.write_text("\n".join(("/dev/vda / ext4 rw 0 0", *lines)) + "\n")
    return file


def test_killed_process_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    """What a living process holds stays; after SIGKILL the next to begin takes it away."""
    command = [sys.executable, "-c", _HOLDS_ONE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        held = Path(holder.stdout.readline().strip())
        sweep(tmp_path)
        assert (held / "secret").exists()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert held.exists()
    with PrivateDirectory([Place(path=tmp_path, in_memory=True)]) as ours:
        assert list(tmp_path.iterdir()) == [ours.here()]
    assert list(tmp_path.iterdir()) == []


def test_many_begin_at_once(tmp_path: Path) -> None:
    """Processes that begin at the same moment take nothing from one another."""
    command = [sys.executable, "-c", _HOLDS_ONE, str(tmp_path)]
    holders = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # all are ended below
        for _ in range(6)
    ]
    held = [Path(holder.stdout.readline().strip()) for holder in holders if holder.stdout is not None]
    assert len(set(held)) == len(holders)
    assert all((path / "secret").exists() for path in held)
    for holder in holders:
        holder.kill()
        holder.communicate()


def test_only_this_user_can_look_in(tmp_path: Path) -> None:
    """Its mode is 0700; one of another mode or name, and a link, are never swept."""
    (tmp_path / f"{PREFIX}open").mkdir(mode=0o755)
    (tmp_path / "somebody").mkdir(mode=0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    with PrivateDirectory([Place(path=tmp_path, in_memory=True)]) as held:
        assert stat.S_IMODE(held.here().stat().st_mode) == stat.S_IRWXU
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{PREFIX}open", "somebody", "elsewhere", f"{PREFIX}link"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the bit is not handed down")
def test_a_volume_that_hands_its_group_down_will_do(tmp_path: Path) -> None:
    """Kubernetes sets setgid on volumes of a pod with an fsGroup: what is made there has it, too, and is ours."""
    tmp_path.chmod(0o2777)
    with PrivateDirectory([Place(path=tmp_path, in_memory=True)]) as held:
        assert stat.S_IMODE(held.here().stat().st_mode) == stat.S_IRWXU | stat.S_ISGID
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == [held.here()]
    (tmp_path / f"{PREFIX}left").mkdir(mode=0o700)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_made_anew_when_a_cleaner_was_here(tmp_path: Path) -> None:
    """A process lives for months; what was removed is made again, locked as before."""
    with PrivateDirectory([Place(path=tmp_path, in_memory=True)]) as held:
        held.here().rmdir()
        again = held.here()
        sweep(tmp_path)
        assert again.is_dir()


def test_memory_comes_first(tmp_path: Path) -> None:
    """TMPDIR where it is kept in memory, by the last mount that covers it, whose name is spelt with escapes."""
    within = tmp_path / "in memory" / "tmp"
    within.mkdir(parents=True)
    mounted = str(within.parent).replace(" ", "\\040")
    first = next(places_to_choose(mounts(tmp_path, f"tmpfs {mounted} tmpfs rw 0 0"), within))
    assert first == Place(path=within, in_memory=True)
    covered = mounts(tmp_path, f"tmpfs {mounted} tmpfs rw 0 0", f"/dev/vdb {mounted} ext4 rw 0 0")
    (last,) = places_to_choose(covered, within)
    assert last == Place(path=within, in_memory=False)


def test_shared_memory_comes_next(tmp_path: Path) -> None:
    """Where TMPDIR is on a disk, /dev/shm is taken if it is there, and TMPDIR is the last resort."""
    chosen = list(places_to_choose(mounts(tmp_path, "tmpfs /dev/shm tmpfs rw 0 0"), tmp_path))
    assert chosen[-1] == Place(path=tmp_path, in_memory=False)
    assert [str(place.path) for place in chosen[:-1]] == ["/dev/shm"] * Path("/dev/shm").is_dir()


def test_nobody_tells_what_is_mounted(tmp_path: Path) -> None:
    """Without a word of what is mounted nothing counts as kept in memory."""
    assert list(places_to_choose(tmp_path / "none", tmp_path)) == [Place(path=tmp_path, in_memory=False)]


def test_no_place_is_writable(tmp_path: Path) -> None:
    """The error names the place and the remedy."""
    file = tmp_path / "no-directory"
    file.touch()
    with pytest.raises(ConfigurationError, match=r"no-directory: Not a directory\): mount a memory-backed directory"):
        PrivateDirectory([Place(path=file, in_memory=True)])
    assert list(tmp_path.iterdir()) == [file]
