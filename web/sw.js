// Lets the page work offline after the first visit, and on threads where the host cannot
// send the headers for it. `picanet web` writes VERSION, a hash of all files, and FILES.

const VERSION = '%VERSION%';
const FILES = ['%FILES%'];

const SCOPE = new URL('./', self.location.href).pathname;
const OURS = `picanet ${SCOPE} `; // Other caches of the origin are somebody else's.
const CACHE = OURS + VERSION;
const MARK = 'content="picanet web"'; // in index.html
const PATIENCE = 3000; // milliseconds for the network's answer, if there is a copy

/**
 * Large files have their version in their names; copies of them are good for ever.
 * @param {string} name
 */
const large = (name) => /\.(wasm|tflite)$/.test(name);

self.addEventListener('install', (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    // Past the browser's own cache, which may have older ones.
    await cache.addAll(FILES.filter((name) => !large(name)).map((name) => new Request(name, {cache: 'reload'})));
  })());
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith(OURS) && name !== CACHE) await caches.delete(name);
    }
    await self.clients.claim();
  })());
});

// The page has loaded its network: keeps what the next visit wants, offline and on threads.
// The bytes come from the browser's own cache. Attention is kept when it is asked for.
self.addEventListener('message', (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    for (const name of FILES.filter((each) => large(each) && !/_compat_|\.attention\./.test(each))) {
      if (await cache.match(name)) continue;
      const answer = await fetch(name, {cache: 'force-cache'});
      if (answer.ok) await cache.put(name, answer);
    }
  })());
});

self.addEventListener('fetch', (event) => {
  const {origin, pathname} = new URL(event.request.url);
  if (event.request.method !== 'GET' || origin !== self.location.origin || !pathname.startsWith(SCOPE)) return;
  const name = pathname.slice(SCOPE.length);
  const page = event.request.mode === 'navigate' && (name === '' || name === 'index.html');
  if (page) event.respondWith(answerPage(event.request));
  else if (name && FILES.includes(name)) event.respondWith(large(name) ? answerLarge(event, name) : answerSmall(event.request, name));
});

/**
 * The host's page, or the copy if there is no answer.
 * @param {Request} request
 */
async function answerPage(request) {
  const answer = await latest(request, 'index.html');
  if (answer.ok && !(await answer.clone().text()).includes(MARK)) {
    await self.registration.unregister(); // Another site lies here now.
    return answer;
  }
  return isolated(answer);
}

/**
 * The host's file, or the copy if there is no answer.
 * @param {Request} request
 * @param {string} name
 */
async function answerSmall(request, name) {
  return isolated(await latest(request, name));
}

/**
 * The copy, or the host's file.
 * @param {FetchEvent} event
 * @param {string} name
 */
async function answerLarge(event, name) {
  const cache = await caches.open(CACHE);
  // A page asks past all caches if a copy was damaged.
  const kept = event.request.cache !== 'reload' && await cache.match(name);
  if (kept) return isolated(kept);
  const answer = await fetch(event.request);
  if (answer.status === 200) event.waitUntil(cache.put(name, answer.clone()));
  return isolated(answer);
}

/**
 * @param {Request} request
 * @param {string} name
 * @returns {Promise<Response>}
 */
async function latest(request, name) {
  const kept = await (await caches.open(CACHE)).match(name);
  const asked = fetch(request, {cache: 'no-cache'}); // The host says if the browser's copy is old.
  if (!kept) return asked;
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE, kept));
  return Promise.race([asked.catch(() => kept), late]);
}

/**
 * With these headers the page may use threads.
 * @param {Response} answer
 */
function isolated(answer) {
  if (answer.status === 0) return answer; // A redirection is the browser's to follow.
  const headers = new Headers(answer.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(answer.body, {status: answer.status, statusText: answer.statusText, headers});
}
