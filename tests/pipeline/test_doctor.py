"""doctor: what it says of a machine that lacks something, and of this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages import doctor, paths, probes, tools
from stages.doctor import MISSING, OK, Finding


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH to put programs on."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str, says: str, status: int = 0) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    (folder / name).chmod(0o755)


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_nothing_on_path(path: Path) -> None:
    rust, node = named(list(doctor._rust())), named(list(doctor._node()))
    for finding in (rust["cargo"], rust["rustc"], rust["C linker"], node["node"], node["npm"]):
        assert (finding.state, finding.found) == (MISSING, "not on PATH")
        assert finding.mend
    assert "https://rustup.rs" in rust["cargo"].mend
    assert doctor.exit_status(list(rust.values())) == 1


def test_a_missing_linker_is_to_come_where_the_build_installs_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(path, "apt-get", "apt 2.6")
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 0)
    assert doctor._linker().state == doctor.TO_COME
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 1000)
    assert doctor._linker().state == MISSING


def test_old_and_broken_programs(path: Path) -> None:
    program(path, "node", "v18.20.4")
    program(path, "npm", "oh dear", 1)
    program(path, "cargo", "cargo 1.89.0 (aaaaaaaaa 2025-08-04)")
    program(path, "rustc", "rustc 1.90.0 (aaaaaaaaa 2025-09-14)")
    rust, node = named(list(doctor._rust())), named(list(doctor._node()))
    assert (node["node"].state, node["node"].needed) == (MISSING, ">= 20.0")
    assert node["npm"].state == MISSING and "does not run" in node["npm"].found
    assert rust["cargo"].state == MISSING
    assert rust["rustc"].state == OK
    assert doctor.rust_oldest() == (1, 90)


def test_full_disk_and_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "free_gb", lambda _: 0.1)
    monkeypatch.setattr(doctor, "memory_gb", lambda: 1.0)
    monkeypatch.setattr(paths, "BUILD", tmp_path / "none" / "build")
    monkeypatch.setattr("os.access", lambda *_: False)
    found = named(list(doctor._machine()))
    assert {name for name, finding in found.items() if finding.state == MISSING} == {"disk", "memory", "build folder"}
    assert str(tmp_path) in found["build folder"].mend


def test_no_browser_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "chromium", lambda: None)
    monkeypatch.setattr(probes, "vulkan", lambda: probes.Probe(False, "no Vulkan loader"))
    found = list(doctor._graphics())
    assert [finding.state for finding in found] == [doctor.FOR_TESTS, doctor.FOR_TESTS]
    assert doctor.exit_status(found) == 0


SUMMARY = """
Devices:
========
GPU0:
	apiVersion         = 1.3.239
	deviceType         = PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
	deviceName         = AMD Radeon RX 6600 (RADV NAVI23)
GPU1:
	deviceType         = PHYSICAL_DEVICE_TYPE_CPU
	deviceName         = llvmpipe (LLVM 15.0.6, 256 bits)
"""


def test_vulkan_adapters_are_those_that_vulkaninfo_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vulkaninfo"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{SUMMARY}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    names = "AMD Radeon RX 6600 (RADV NAVI23) (discrete GPU), llvmpipe (LLVM 15.0.6, 256 bits) (CPU)"
    assert probes.vulkan() == probes.Probe(True, names)
    program.write_text("#!/bin/sh\necho 'ERROR: no driver' >&2\nexit 1\n")
    assert probes.vulkan() == probes.Probe(False, "ERROR: no driver")


def test_vulkan_without_vulkaninfo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' wgpu-py says what is there; without that too, nothing is claimed."""
    monkeypatch.setattr(probes, "VULKANINFO", ("no-such-program",))
    monkeypatch.setattr(probes, "WGPU", "print('deviceType = CPU'); print('deviceName = a driver')")
    assert probes.vulkan() == probes.Probe(True, "a driver (CPU)")
    monkeypatch.setattr(probes, "WGPU", "import no_such_package")
    assert probes.vulkan().text == "not looked at: neither vulkaninfo nor the test packages are installed"


def test_network_is_asked_only_where_something_is_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(probes, "answers", lambda argv: asked.append(argv))
    assert list(doctor._network([Finding("a", OK, "", "")])) == []
    found = list(doctor._network([Finding("torch", doctor.TO_COME, "", "")]))
    assert len(found) == len(asked) >= 1
    assert all(finding.state == MISSING and "proxy" in finding.mend for finding in found)


def test_a_command_that_hangs_or_fails_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PROBE_S", 0.2)
    assert not probes.answers((sys.executable, "-c", "import time; time.sleep(9)"))
    assert not probes.answers((sys.executable, "-c", "raise SystemExit(3)"))
    assert not probes.answers(("/no/such/program",))


def test_a_browser_that_crashes_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PROBE_S", 0.5)
    program(tmp_path, "chromium", "Segmentation fault", 139)
    assert probes.webgpu(str(tmp_path / "chromium")) == probes.Probe(False, "the browser does not answer")
    assert not probes.webgpu("/no/such/browser").works


@pytest.mark.gpu
@pytest.mark.alone  # the doctor gives a browser so many seconds to start
def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has just built the tests' model is ready, and its adapters have names."""
    done = subprocess.run([paths.ROOT / "doitw", "doctor", "--json"], capture_output=True, text=True, timeout=600)
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert {"python", "torch", "cargo", "node", "disk", "Vulkan", "WebGPU"} <= set(found)
    assert found["Vulkan"]["state"] == found["WebGPU"]["state"] == OK
    assert "swiftshader" in found["WebGPU"]["found"].lower()
