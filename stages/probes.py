"""Quick looks at what a machine can do: Vulkan adapters, WebGPU in a browser without a screen, registries.

Each runs in a process of its own with a time limit: a broken driver may crash or hang.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from stages.serving import answering

PROBE_S = 60.0  # a machine under load; a quiet one takes less than two
WEBGPU_FLAGS = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")


@dataclass(frozen=True)
class Probe:
    """What a look found."""

    works: bool
    text: str


def answers(argv: tuple[str, ...]) -> bool:
    """Does this command end well, soon?"""
    try:
        with tempfile.TemporaryDirectory(prefix="pocketlm-") as folder:
            done = subprocess.run(argv, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=PROBE_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


# ── Vulkan ──

VULKANINFO = ("vulkaninfo", "--summary")
# In Python, for machines without vulkaninfo: the tests' wgpu-py, where it is installed.
WGPU = """
import wgpu
for adapter in wgpu.gpu.enumerate_adapters_sync():
    if adapter.info["backend_type"] == "Vulkan":
        print("deviceType =", adapter.info["adapter_type"])
        print("deviceName =", adapter.info["device"])
"""


def vulkan() -> Probe:
    """The adapters that the Vulkan loader finds, by vulkaninfo or by the tests' wgpu-py."""
    for argv in (VULKANINFO, (sys.executable, "-I", "-c", WGPU)):
        try:
            done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PROBE_S)
        except FileNotFoundError:
            continue
        except (OSError, subprocess.TimeoutExpired):
            return Probe(False, "the loader does not answer")
        if "ModuleNotFoundError" not in done.stderr:
            adapters = vulkan_adapters(done.stdout)
            why = (
                "no adapter"
                if done.returncode == 0
                else (done.stderr.strip().splitlines() or ["the driver crashed"])[-1]
            )
            return Probe(bool(adapters), ", ".join(adapters) or why)
    return Probe(False, "not looked at: neither vulkaninfo nor the test packages are installed")


def vulkan_adapters(summary: str) -> list[str]:
    """ "NAME (kind)" of each adapter in what `vulkaninfo --summary` prints."""
    found: list[str] = []
    kind = ""
    for line in summary.splitlines():
        name, _, value = (part.strip() for part in line.partition("="))
        if name == "deviceType":
            kind = (
                value.removeprefix("PHYSICAL_DEVICE_TYPE_")
                .replace("_", " ")
                .lower()
                .replace("gpu", "GPU")
                .replace("cpu", "CPU")
            )
        elif name == "deviceName":
            found.append(f"{value} ({kind})")
    return found


# ── WebGPU ──

_PAGE = b"""<!doctype html><meta charset="utf-8"><script type="module">
const tell = what => fetch("/found", { method: "POST", body: JSON.stringify(what) });
try {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) {
    await tell({ error: navigator.gpu ? "no adapter" : "the browser has no WebGPU" });
  } else {
    const device = await adapter.requestDevice();
    const usage = GPUBufferUsage;
    const made = device.createBuffer({ size: 4, usage: usage.STORAGE | usage.COPY_SRC });
    const read = device.createBuffer({ size: 4, usage: usage.MAP_READ | usage.COPY_DST });
    const module = device.createShaderModule({ code: `
      @group(0) @binding(0) var<storage, read_write> out: u32;
      @compute @workgroup_size(1) fn main() { out = 42u; }` });
    const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
    const entries = [{ binding: 0, resource: { buffer: made } }];
    const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline); pass.setBindGroup(0, group); pass.dispatchWorkgroups(1); pass.end();
    encoder.copyBufferToBuffer(made, 0, read, 0, 4);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const answer = new Uint32Array(read.getMappedRange())[0];
    const { vendor, architecture, device: model, description } = adapter.info;
    await tell({ answer, name: description || [vendor, architecture, model].filter(Boolean).join(" ") });
  }
} catch (error) {
  await tell({ error: String(error) });
}
</script>"""


def webgpu(chromium: str) -> Probe:
    """Whether a kernel runs in this browser, without a screen, on its software adapter or a real one."""
    found: dict[str, Any] = {}
    told = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(_PAGE)

        def do_POST(self) -> None:
            found.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"")
            told.set()

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    bound = HTTPServer(("127.0.0.1", 0), Handler)
    with answering(bound) as server, tempfile.TemporaryDirectory(prefix="pocketlm-") as profile:
        argv = [chromium, "--headless=new", "--no-first-run", "--disable-background-networking", "--disable-sync"]
        argv += [*WEBGPU_FLAGS, f"--user-data-dir={profile}"]
        argv += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        try:
            browser = subprocess.Popen(
                [*argv, f"http://127.0.0.1:{server.server_port}/"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return Probe(False, f"{chromium} does not start: {error.strerror}")
        try:
            told.wait(PROBE_S)
        finally:
            _end(browser)
    if not found:
        return Probe(False, "the browser does not answer")
    if found.get("answer") != 42:
        return Probe(False, str(found.get("error") or "a kernel gave a wrong number"))
    return Probe(True, str(found["name"] or "an adapter without a name"))


def _end(browser: subprocess.Popen[bytes]) -> None:
    """The browser and its children."""
    import signal

    try:
        os.killpg(browser.pid, signal.SIGKILL)
    except OSError:
        browser.kill()
    browser.wait()
