/** The page without a network: a service worker keeps its files. The model's file is kept apart, by the package. */

/** Register it once the page has loaded, so that it takes nothing from the first visit. Where it cannot be had, the page needs its server. */
export function keepForOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const register = () => void navigator.serviceWorker.register("service-worker.js").catch(() => undefined);
  if (document.readyState === "complete") register();
  else addEventListener("load", register, { once: true });
}
