// Conversations kept in this browser, where a person has said so: in IndexedDB, whole, under this page's address.
//
// Never the key. A tab holds the one that it keeps by a lock, so no two tabs write the same. Where the browser has no
// locks (a page without TLS), what another tab has written since is left as it is, and ours needs another name.

import { newId } from "./conversation.js";

const NAME = "triptych", STORE = "conversations", OLD = "last", WAIT_MS = 500;
const tab = newId();
const writers = new Set([tab]);  // whose writing this tab may write over
let base = null, letGo = () => {};

function wait(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function open() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const found = await wait(request);
  found.onclose = found.onversionchange = () => { found.close(); base = null; };
  return found;
}

/** It stays open: what is written while the page goes away cannot wait for an opening. */
async function store(mode) {
  base ??= open().catch((error) => { base = null; throw error; });
  return (await base).transaction(STORE, mode).objectStore(STORE);
}

/** Take a conversation for this tab; false where another tab has it. Without locks nobody knows. Milliseconds. */
export function hold(id, patience = WAIT_MS) {
  if (!navigator.locks) return Promise.resolve(true);
  const options = patience ? { signal: AbortSignal.timeout(patience) } : { ifAvailable: true };
  return new Promise((resolve) => {
    navigator.locks.request(`${NAME} ${id}`, options, (lock) => {
      resolve(Boolean(lock));
      if (!lock) return null;
      letGo();
      return new Promise((done) => { letGo = done; });
    }).catch(() => resolve(false));
  });
}

/** What this tab goes on with: its own of before, or the last that no other tab holds; and how many are kept. */
export async function take(own) {
  const all = await kept(), mine = all.find(({ id }) => id === own);
  for (const each of mine ? [mine, ...all] : all) {
    if (!await hold(each.id, each === mine ? WAIT_MS : 0)) continue;  // a tab that is being loaded anew lets go late
    writers.add(each.tab);
    return { found: each, count: all.length };
  }
  return { found: null, count: all.length };
}

/** All of them, the last first, and those without a word behind. */
async function kept() {
  const there = await store("readwrite"), old = await wait(there.get(OLD));
  if (old) {  // as one page kept the only one
    await wait(there.put(old, old.id));
    await wait(there.delete(OLD));
  }
  const empty = ({ turns, draft }) => Number(turns.length + draft.length === 0);
  return (await wait(there.getAll())).sort((a, b) => empty(a) - empty(b) || (b.saved ?? 0) - (a.saved ?? 0));
}

/** Write it; false where another tab has written it since. With locks it is done at once: the page may be going. */
export async function keep(conversation) {
  const there = await store("readwrite");
  if (!navigator.locks) {
    const before = await wait(there.get(conversation.id));
    if (before && !writers.has(before.tab)) return false;
  }
  const written = wait(there.put({ ...conversation, tab, saved: Date.now() }, conversation.id));
  there.transaction.commit();
  await written;
  return true;
}

/** Delete one. */
export async function drop(id) {
  await wait((await store("readwrite")).delete(id));
}

/** Delete this tab's and all that no tab holds; tells how many others hold theirs. */
export async function forget(id) {
  const locks = (await navigator.locks?.query())?.held ?? [];
  const held = new Set(locks.map(({ name }) => name.slice(NAME.length + 1)));
  const there = await store("readwrite");
  const keys = await wait(there.getAllKeys()), gone = keys.filter((key) => key === id || !held.has(key));
  await Promise.all(gone.map((key) => wait(there.delete(key))));
  letGo();
  return keys.length - gone.length;
}
