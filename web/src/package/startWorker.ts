/** The package's own worker, from a page anywhere. */

/**
 * The worker beside this script. Bundlers know the expression `new Worker(new URL("…", import.meta.url), …)` and bundle what
 * it names. A browser starts no worker of another origin; there one of the page's own imports it.
 */
export function startWorker(): Worker {
  if (!isElsewhere()) return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "pocketlm" });
  // Not as bundlers would know it: what they bundle is never elsewhere.
  const script = `import ${JSON.stringify(import.meta.url.replace(/[^/]*$/, "worker.js"))};`;
  const own_url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  try {
    return new Worker(own_url, { type: "module", name: "pocketlm" });
  } finally {
    URL.revokeObjectURL(own_url);
  }
}

function isElsewhere(): boolean {
  const { protocol, origin } = new URL(import.meta.url);
  return /^https?:$/.test(protocol) && origin !== location.origin;
}
