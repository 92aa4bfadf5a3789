/**
 * Keeps the page's own files, so that it opens without a network. With one, nothing changes: what the server has is asked for first,
 * and what is kept is the answer where none comes. A model's file is none of these: the package keeps it, checked byte by byte.
 */
const FILES = "the build puts the list here";
const CACHE = "the build puts a digest of the files here";
/** Pages of other paths on this origin have caches of their own. */
const PREFIX = `pocketlm ${self.registration.scope} `;
const NAME = PREFIX + CACHE;
/** The models that the host offers: no part of the build, and not there everywhere. */
const INDEX = new URL("models/index.json", self.registration.scope).href;

self.addEventListener("install", event => {
  event.waitUntil(
    caches
      .open(NAME)
      .then(async cache => {
        await cache.addAll(FILES);
        await cache.add(INDEX).catch(() => undefined);
      })
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

const kept = new Set([INDEX, ...FILES.map(file => new URL(file, self.registration.scope).href)]);

async function answer(request, href) {
  try {
    const came = await fetch(request);
    if (href === INDEX && came.ok) {
      const copy = came.clone();
      await caches
        .open(NAME)
        .then(cache => cache.put(href, copy))
        .catch(() => undefined); // a device that is full
    }
    return came;
  } catch (failure) {
    const found = await caches.match(href, { cacheName: NAME });
    if (found === undefined) throw failure;
    return found;
  }
}

self.addEventListener("fetch", event => {
  const { request } = event;
  const url = new URL(request.url);
  url.search = "";
  url.hash = "";
  if (request.method !== "GET" || !kept.has(url.href)) return;
  event.respondWith(answer(request, url.href));
});
