"""Runs a container of a rendered pod as a node would: image, command, variables, volumes, user, root, probes."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from provisioner.runtime.clock import SystemClock
from tests.deploy.box import IS_ROOT, Box, Mount
from tests.deploy.dockerfile import Stage
from tests.deploy.rendered import NAMESPACE, POD_UID, Object

ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_OF_EVERYBODY: Final = 0o644
_PLAIN: Final = {"configMap": "name", "secret": "secretName"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What pods are given here."""

    folder: Path
    image: Stage
    contents: Mapping[str, Mapping[str, str]]
    """The files of each ConfigMap and Secret, by its name."""
    account: Mapping[str, str]
    """The files of the ServiceAccount."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Where the API server is."""
    besides: tuple[Mount, ...] = ()
    """What stands for the world outside."""

    def pod(self, name: str, spec: Object) -> "Pod":
        """Give a pod its volumes; nothing runs yet."""
        folder = self.folder / name
        group = spec["securityContext"]["fsGroup"]
        volumes = {each["name"]: self._volume(folder / each["name"], each, group) for each in spec["volumes"]}
        account = _filled(folder / "account", self.account, _OF_EVERYBODY, group)
        return Pod(node=self, name=name, spec=spec, volumes=volumes, account=account)

    def _volume(self, folder: Path, volume: Object, group: int) -> Path:
        if "emptyDir" in volume:
            folder.mkdir(parents=True)
            _owned(folder, 0o2777, group)
            return folder
        for kind, key in _PLAIN.items():
            if kind in volume:
                given = volume[kind]
                return _filled(folder, self.contents[given[key]], given.get("defaultMode", _OF_EVERYBODY), group)
        if "projected" in volume:
            files = {
                each["serviceAccountToken"]["path"]: self.account["token"] for each in volume["projected"]["sources"]
            }
            return _filled(folder, files, volume["projected"]["defaultMode"], group)
        raise AssertionError(f"{volume} is not known here: teach tests/deploy/node.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod, whose container may be run."""

    node: Node
    name: str
    spec: Object
    volumes: Mapping[str, Path]
    account: Path

    @property
    def container(self) -> Object:
        """Its only one."""
        (container,) = self.spec["containers"]
        assert isinstance(container, dict)
        return container

    def command(self, *arguments: str) -> list[str]:
        """Give what runs the container, or beside it, as `kubectl exec` does, the arguments."""
        image, context = self.node.image, self.container["securityContext"] | self.spec["securityContext"]
        asked = self.container.get("command", image.entrypoint) + self.container.get("args", image.command)
        box = Box(
            root=image.root,
            environment={**image.environment, "HOSTNAME": self.name, **self.node.environment, **self._variables()},
            mounts=[*self._mounts(), *self.node.besides],
            read_only=context["readOnlyRootFilesystem"],
            user=f"{context['runAsUser']}:{context['runAsGroup']}",
            folder=self.container.get("workingDir", image.folder),
            host=self.name,
        )
        return box.command(*(arguments or asked))

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the container, or something beside it, to its end."""
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, timeout=120, env=_TOOLS
        )

    @contextmanager
    def running(self, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
        """Run the container; it is killed at the end if it has not ended by then."""
        with log.open("wb") as out:
            process = subprocess.Popen(self.command(), stdout=out, stderr=out, env=_TOOLS)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def probed(self, probe: str, port: int, clock: SystemClock) -> bool:
        """Ask a probe of the manifest until it succeeds, for as long as a pod may take to start."""
        asked, starting = self.container[probe], self.container["startupProbe"]
        assert asked["httpGet"]["port"] in {each["name"] for each in self.container["ports"]}
        url = f"http://127.0.0.1:{port}{asked['httpGet']['path']}"
        deadline = clock.monotonic() + starting["periodSeconds"] * starting["failureThreshold"]
        while clock.monotonic() < deadline:
            if _answers(url, asked.get("timeoutSeconds", 1)):
                return True
            clock.sleep(timedelta(milliseconds=200))
        return False

    def written(self) -> dict[str, list[str]]:
        """Give what stands in each volume that can be written."""
        return {
            name: sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
            for name, folder in self.volumes.items()
            if name in self._empty()
        }

    def _empty(self) -> set[str]:
        return {volume["name"] for volume in self.spec["volumes"] if "emptyDir" in volume}

    def _mounts(self) -> Iterator[Mount]:
        for mount in self.container["volumeMounts"]:
            read_only = mount.get("readOnly", False) or mount["name"] not in self._empty()
            yield Mount(source=self.volumes[mount["name"]], target=mount["mountPath"], read_only=read_only)
        if self.spec["automountServiceAccountToken"]:
            yield Mount(source=self.account, target=ACCOUNT)

    def _variables(self) -> dict[str, str]:
        fields = {"metadata.name": self.name, "metadata.namespace": NAMESPACE, "metadata.uid": POD_UID}
        return {
            each["name"]: each["value"] if "value" in each else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
            for each in self.container["env"]
        }


_TOOLS: Final[Mapping[str, str]] = {"PATH": f"/usr/sbin:/sbin:{os.defpath}"}


def _filled(folder: Path, files: Mapping[str, str], mode: int, group: int) -> Path:
    """Give the files as the kubelet does: root's, and the group's of the pod."""
    folder.mkdir(parents=True)
    _owned(folder, 0o755, group)
    for name, text in files.items():
        (folder / name).write_text(text)
        _owned(folder / name, mode, group)
    return folder


def _owned(path: Path, mode: int, group: int) -> None:
    if IS_ROOT:
        shutil.chown(path, group=group)
    path.chmod(mode)


def _answers(url: str, seconds: float) -> bool:
    try:
        answer: Any = httpx.get(url, timeout=seconds)
    except httpx.TransportError:
        return False
    return bool(answer.is_success)
