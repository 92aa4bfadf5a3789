/**
 * Keeps the page's own files, so that it opens without a network. With one, nothing changes: what the server has is asked for first,
 * and what is kept is the answer where none comes. A model's file is none of these: the package keeps it, checked byte by byte.
 */
const FILES = "the build puts the list here";
const CACHE = "the build puts a digest of the files here";
/** Pages of other paths on this origin have caches of their own. */
const PREFIX = `pocketlm ${self.registration.scope} `;
const NAME = PREFIX + CACHE;

self.addEventListener("install", event => {
  event.waitUntil(
    caches
      .open(NAME)
      .then(cache => cache.addAll(FILES))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", event => {
  const removeOld = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter(name => name.startsWith(PREFIX) && name !== NAME).map(name => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(removeOld());
});

const kept = new Set(FILES.map(file => new URL(file, self.registration.scope).href));

self.addEventListener("fetch", event => {
  const { request } = event;
  const url = new URL(request.url);
  url.search = "";
  url.hash = "";
  if (request.method !== "GET" || !kept.has(url.href)) return;
  event.respondWith(
    fetch(request).catch(async failure => {
      const found = await caches.match(url.href, { cacheName: NAME });
      if (found === undefined) throw failure;
      return found;
    }),
  );
});
