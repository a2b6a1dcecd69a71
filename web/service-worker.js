// The page without a network: all its files, and no others, are kept from the first visit on. files.js, which make writes,
// names them, and is another one when any of them is.
importScripts("files.js");

const { version, files } = self.BITREPLAY;
const NAME = `bitreplay-${version}`;

self.oninstall = (event) => {
    const fresh = files.map((file) => new Request(file, { cache: "reload" }));
    event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
};

self.onactivate = (event) => {
    const old = (names) => names.filter((name) => name.startsWith("bitreplay-") && name !== NAME);
    event.waitUntil(caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name)))));
};

self.onfetch = (event) => {
    event.respondWith(caches.open(NAME).then(async (cache) => (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request)));
};
