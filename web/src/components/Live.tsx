import type { Device } from "pocketlm";
import { App } from "../App";
import { useLive } from "../hooks/useLive";
import "../styles/live.css";

type Props = { url: string; device: Device; isMac: boolean };

/** The page over a model, or an engine, that is renewed: what the live.json at `url` names, and what it says of it. */
export default function Live({ url, device, isMac }: Props) {
  const { news, is_away } = useLive(url);
  const at = (name: string | null | undefined) => (name ? new URL(name, url).href : null);
  const model_url = at(news?.model);
  return (
    <>
      <section className="live" aria-label="Live">
        <p role="status" aria-label="News">
          {news?.says ?? "Asking what there is…"}
        </p>
        {news !== null && news.figures.length > 0 && (
          <p className="measured">{news.figures.map(([name, value]) => `${name}: ${value}`).join(" · ")}</p>
        )}
        {news !== null && news.error !== "" && (
          <p className="wrong" role="alert">
            {news.error}
          </p>
        )}
        {is_away && <p className="wrong">./doitw does not answer: this page stays as it is.</p>}
      </section>
      {model_url !== null && <App from={model_url} worker_url={at(news?.worker)} device={device} isMac={isMac} />}
    </>
  );
}
