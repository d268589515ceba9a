// When a conversation is kept: a moment after each change, and at once where the page goes. Where: keeping.js.
//
// Which one is this tab's stands in the state of its history: a reload finds its own again, and a new tab does not.

import { newId } from "./conversation.js";
import { complain, say } from "./dom.js";
import { drop, forget, hold, keep, take } from "./keeping.js";

const SAVE_MS = 600;

/** Hooks: now() gives the conversation as values, with its id; rename(id) gives it another. */
export function openKeeper({ box, told, now, rename }) {
  let timer = 0, changes = 0, written = 0;
  const late = () => box.checked && written < changes;
  const mark = (id) => history.replaceState(id ? { kept: id } : null, "");

  function soon() {
    changes += 1;
    clearTimeout(timer);
    if (box.checked) timer = setTimeout(save, SAVE_MS);
  }

  async function save() {
    clearTimeout(timer);
    if (!box.checked) return;
    const upto = changes;
    try {
      if (await keep(now())) {
        written = Math.max(written, upto);
        return;
      }
      rename(newId());
      await begin();
      await save();
      told.textContent = "Another tab keeps this conversation too. From here on this tab keeps one of its own.";
    } catch (error) {
      complain(`This browser does not keep the conversation: ${error.message}`);
    }
  }

  async function begin() {
    const { id } = now();
    told.textContent = "";
    mark(id);
    await hold(id);
  }

  /** What was kept for this tab; null where there is nothing, or other tabs hold it. */
  async function restore() {
    const { found, count } = await take(history.state?.kept).catch(() => ({ found: null, count: 0 }));  // no storage
    if (found) {
      box.checked = true;
      mark(found.id);
      if (count > 1) told.textContent = "More than this one is kept: each opens in a tab of its own.";
    } else if (count) {
      mark(null);
      told.textContent = "A conversation is kept by another tab. This one is not.";
    }
    return found;
  }

  /** Another conversation in place of one, which is thrown away. */
  async function renew(old) {
    if (!box.checked) return;
    try {
      await drop(old);
      await begin();
      soon();
    } catch (error) {
      complain(`What this browser kept is not deleted: ${error.message}`);
    }
  }

  async function end() {
    const { id } = now();
    mark(null);
    told.textContent = "";
    try {
      const others = await forget(id);
      if (others) told.textContent = "What other tabs keep is theirs: untick it there.";
      say(`Deleted from this browser.${others ? " Other tabs keep theirs." : ""}`);
    } catch (error) {
      complain(`What this browser kept is not deleted: ${error.message}`);
    }
  }

  box.addEventListener("change", () => (box.checked ? begin().then(save) : end()));
  const leave = () => { if (late()) save(); };
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") leave(); });
  window.addEventListener("pagehide", leave);
  return { soon, restore, renew, late, save };
}
