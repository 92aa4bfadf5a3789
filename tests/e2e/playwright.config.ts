/**
 * End to end, in Debian's Chromium without a screen: once with WebGPU (SwiftShader, a software adapter) and once as a
 * machine without WebGPU would have it. `npm --prefix web run e2e`, with the variables of environment.ts.
 */
import { defineConfig, devices } from "@playwright/test";

const QUIET = [
  "--no-sandbox", // Chromium refuses its sandbox to root
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic",
];
const WEBGPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

const launchOptions = (args: string[]) => ({
  executablePath: process.env["E2E_CHROMIUM"] ?? "/usr/bin/chromium",
  args: [...QUIET, ...args],
});

export default defineConfig({
  testDir: ".",
  outputDir: process.env["E2E_OUT"] ?? "../../build/run/e2e",
  workers: 2,
  fullyParallel: true,
  forbidOnly: true,
  // Nothing is measured by these: they only end what hangs. A busy machine compiles kernels for a software adapter slowly.
  timeout: 600_000,
  expect: { timeout: 180_000 },
  reporter: [["list"]],
  // A service worker asks for files itself, past what a test puts between; models.spec.ts lets it.
  use: { screenshot: "only-on-failure", serviceWorkers: "block" },
  projects: [
    { name: "webgpu", testIgnore: /no-webgpu/, use: { launchOptions: launchOptions(WEBGPU) } },
    {
      // What a reader does with a finger: the ways through the page, once.
      name: "phone",
      testMatch: /(chat-editing|document|look|models|use)\.spec/,
      grepInvert: /gpu/,
      use: { ...devices["Pixel 7"], launchOptions: launchOptions(WEBGPU) },
    },
    { name: "no-webgpu", testMatch: /no-webgpu/, use: { launchOptions: launchOptions([]) } },
  ],
});
