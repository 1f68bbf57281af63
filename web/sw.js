// Lets the page work offline after the first visit, and on threads if the host cannot send
// the headers for that. `picanet web` replaces what is between percent signs: VERSION is a
// hash of all files, POLICY the page's own Content-Security-Policy.

const VERSION = '%VERSION%';
const FILES = ['%FILES%'];
const NETWORK = '%NETWORK%';
const POLICY = '%POLICY%';

const SCOPE = new URL('./', self.location.href).pathname;
const OURS = `picanet ${SCOPE} `; // The origin's other caches belong to other pages.
const CACHE = OURS + VERSION;
const LARGE = `${OURS}large`; // shared by all versions, so that an update keeps the files that have not changed
const MARK = 'content="picanet web"'; // in index.html
const PATIENCE = 3000; // milliseconds to wait for the host if there is a copy

let copied = false; // whether the latest page was the copy; then its files are, too, to match its version

/**
 * Large files have their version in their path; copies of them never expire.
 * @param {string} name
 */
const large = (name) => /\.(wasm|tflite)$/.test(name);

/** @param {string} url */
const nameOf = (url) => new URL(url).pathname.slice(SCOPE.length);

self.addEventListener('install', (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    // Past the browser's own cache, which may hold older versions.
    await cache.addAll(FILES.filter((name) => !large(name)).map((name) => new Request(name, {cache: 'reload'})));
  })());
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    await deleteCaches(CACHE, LARGE);
    const cache = await caches.open(LARGE);
    for (const request of await cache.keys()) {
      if (!FILES.includes(nameOf(request.url))) await cache.delete(request);
    }
    await self.clients.claim();
  })());
});

// The page has loaded its network: keeps the large files that the next visit needs, offline
// and on threads: the network, and the files of the runtime that the page names. The bytes
// come from the browser's own cache. The network with attention is kept when it is requested.
self.addEventListener('message', (event) => {
  const wasm = event.data?.keep ?? []; // Pages of older versions name none.
  event.waitUntil((async () => {
    const cache = await caches.open(LARGE);
    for (const name of FILES.filter((each) => each === NETWORK || wasm.includes(each.split('/').at(-1)))) {
      if (await cache.match(name)) continue;
      const answer = await fetch(name, {cache: 'force-cache'});
      if (answer.ok) await cache.put(name, answer);
    }
  })());
});

self.addEventListener('fetch', (event) => {
  const {request} = event;
  const {origin, pathname} = new URL(request.url);
  if (request.method !== 'GET' || origin !== self.location.origin || !pathname.startsWith(SCOPE)) return;
  const name = nameOf(request.url);
  const page = request.mode === 'navigate' && (name === '' || name === 'index.html');
  if (page) event.respondWith(answerPage(request));
  else if (name && FILES.includes(name)) event.respondWith(large(name) ? answerLarge(event, name) : answerSmall(request, name));
  // Such as that of a newer runtime: an isolated page rejects workers without the headers.
  else if (request.destination === 'worker') event.respondWith(fetch(request).then(isolated));
});

/**
 * Deletes this page's caches.
 * @param {...string} but names of those to keep
 */
async function deleteCaches(...but) {
  for (const name of await caches.keys()) {
    if (name.startsWith(OURS) && !but.includes(name)) await caches.delete(name);
  }
}

/**
 * Returns the host's page, or the copy if the host does not answer.
 * @param {Request} request
 */
async function answerPage(request) {
  const answer = await latest(request, 'index.html');
  if (answer.ok && !(await answer.clone().text()).includes(MARK)) {
    await self.registration.unregister(); // Another site has taken this place.
    await deleteCaches();
    return answer;
  }
  return isolated(answer);
}

/**
 * Returns the host's file, or the copy if the host does not answer.
 * @param {Request} request
 * @param {string} name
 */
async function answerSmall(request, name) {
  return isolated(await latest(request, name));
}

/**
 * Returns the copy, or the host's file if there is none.
 * @param {FetchEvent} event
 * @param {string} name
 */
async function answerLarge(event, name) {
  const cache = await caches.open(LARGE);
  // The page asks past all caches if a copy was damaged.
  const kept = event.request.cache !== 'reload' && await cache.match(name);
  if (kept) return isolated(kept);
  const answer = await fetch(event.request);
  if (answer.status === 200) event.waitUntil(cache.put(name, answer.clone()));
  return isolated(answer);
}

/**
 * Returns the host's file, or the copy if the host cannot be reached or answers with an error.
 * If it is late, the page is the copy, and then its files are copies, too.
 * @param {Request} request
 * @param {string} name
 * @returns {Promise<Response>}
 */
async function latest(request, name) {
  const kept = await caches.match(name, {cacheName: CACHE});
  const navigates = request.mode === 'navigate';
  if (kept && copied && !navigates) return kept;
  const asked = fetch(request, {cache: 'no-cache'}); // Asks the host whether the browser's copy is outdated.
  if (!kept) return asked;
  const answer = asked.then((response) => response.status >= 500 ? kept : response, () => kept);
  if (!navigates) return answer;
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, kept));
  const first = await Promise.race([answer, late]);
  copied = first === kept;
  return first;
}

/**
 * Adds the headers with which the page may use threads and its workers contact no other origin.
 * @param {Response} answer
 */
function isolated(answer) {
  if (answer.status === 0) return answer; // The browser follows redirects itself.
  const headers = new Headers(answer.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Content-Security-Policy', POLICY);
  return new Response(answer.body, {status: answer.status, statusText: answer.statusText, headers});
}
