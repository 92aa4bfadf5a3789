/** Entry: reads the address, then hands over to React. */

import type { Device } from "pocketlm";
import { lazy, StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";
import { ChosenModel } from "./components/ChosenModel";
import { keepForOffline } from "./offline";
import "./styles/tokens.css";
import "./styles/page.css";
import "./styles/models.css";
import "./styles/chat.css";
import "./styles/turns.css";
import "./styles/controls.css";
import "./styles/making.css";
import "./styles/surprise.css";

/** Two models side by side, `?compare`, and one that is renewed, `?live`. Whoever wants neither loads neither. */
const Compare = lazy(() => import("./components/Compare"));
const Live = lazy(() => import("./components/Live"));

/** `?device=cpu` or `?device=gpu` forces a backend; anything else lets the engine choose. */
function deviceOf(search: URLSearchParams): Device {
  const device = search.get("device");
  return device === "cpu" || device === "gpu" ? device : "auto";
}

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");

keepForOffline();
const search = new URLSearchParams(location.search);
const here = { device: deviceOf(search), isMac: /Mac|iP(hone|ad)/.test(navigator.userAgent) };
const beside = (name: string) => new URL(name, document.baseURI).href;

createRoot(root).render(
  <StrictMode>
    <Suspense>
      {search.has("compare") ? (
        <Compare url={beside("compare.json")} {...here} />
      ) : search.has("live") ? (
        <Live url={beside("live.json")} {...here} />
      ) : (
        <ChosenModel {...here} />
      )}
    </Suspense>
  </StrictMode>,
);
