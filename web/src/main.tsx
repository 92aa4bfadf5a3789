/** Entry: reads the address, then hands over to React. */

import type { Device } from "pocketlm";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import "./styles/tokens.css";
import "./styles/page.css";
import "./styles/controls.css";
import "./styles/making.css";
import "./styles/surprise.css";

/** `?device=cpu` or `?device=gpu` forces a backend; anything else lets the engine choose. */
function deviceOf(search: string): Device {
  const device = new URLSearchParams(search).get("device");
  return device === "cpu" || device === "gpu" ? device : "auto";
}

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");

createRoot(root).render(
  <StrictMode>
    <App
      model_url={new URL("model.bin", document.baseURI).href}
      device={deviceOf(location.search)}
      isMac={/Mac|iP(hone|ad)/.test(navigator.userAgent)}
    />
  </StrictMode>,
);
