// What has been said, and replies as they come. Words of a model are text and nothing else.

import { chipOf, make } from "./dom.js";
import { imagesOf, isImage, joined, text } from "./parts.js";

const turnOf = new WeakMap();  // by its item

/** Show the turns. Actions: edit(turn, item) of a reply, show(part) of an image. What is being edited stays. */
export function paintTurns(list, turns, { numbers, show, edit }) {
  const edited = [...list.children].filter((item) => item.querySelector(".editing"));
  const open = new Map(edited.map((item) => [turnOf.get(item), item]));
  const items = turns.map((turn) => {
    if (open.has(turn)) return open.get(turn);
    const item = turn.role === "user" ? question(turn, numbers, show) : reply(turn, () => edit(turn, item));
    turnOf.set(item, turn);
    return item;
  });
  for (const item of [...list.children]) if (!items.includes(item)) item.remove();
  items.forEach((item, at) => { if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null); });
}

/** What is selected among the turns, as parts; null where no image is in it and the browser's own copy has it all. */
export function selectedParts(list, turns) {
  const selection = document.getSelection();
  if (selection.isCollapsed || !list.contains(selection.getRangeAt(0).commonAncestorContainer)) return null;
  const known = new Map(turns.flatMap((turn) => imagesOf(turn.parts ?? [])).map((part) => [part.uid, part]));
  const parts = joined(partsIn(selection.getRangeAt(0).cloneContents(), known));
  return parts.some(isImage) ? parts : null;
}

function partsIn(root, known) {
  return [...root.childNodes].flatMap((node) => {
    if (node.nodeType === Node.TEXT_NODE) return [text(node.data)];
    if (node.matches(".chip")) return known.has(node.dataset.uid) ? [known.get(node.dataset.uid)] : [];
    if (node.matches(".edit")) return [];
    return [...partsIn(node, known), ...(node.matches(".who, .said") ? [text("\n")] : [])];
  });
}

function question(turn, numbers, show) {
  const said = make("div", { class: "said" });
  for (const part of turn.parts) {
    if (!isImage(part)) said.append(part.text);
    else {
      const button = make("button", { type: "button", class: "shown", "aria-label":
        `image ${numbers.get(part.uid)}: ${part.picture.name}. Show it large` }, chipOf(part, numbers.get(part.uid)));
      button.firstChild.setAttribute("aria-hidden", "true");
      button.addEventListener("click", () => show(part));
      said.append(button);
    }
  }
  return make("li", { class: "turn user" }, make("h3", { class: "who", text: "You" }), said);
}

function reply(turn, edit) {
  const notes = [turn.note, turn.edited && "edited"].filter(Boolean).join(", ");
  const button = make("button", { type: "button", class: "plain edit", text: "Edit", "aria-label": "Edit this reply" });
  button.addEventListener("click", edit);
  return make("li", { class: "turn assistant" },
    make("div", { class: "head" }, make("h3", { class: "who", text: turn.model }),
      ...(notes ? [make("span", { class: "note quiet", text: notes })] : []), make("span", { class: "spread" }), button),
    make("div", { class: "said", text: turn.text }));
}

/** A field in place of a reply; done(words) gets its text, or null where it stays. */
export function editReply(item, words, done) {
  const area = make("textarea", { class: "editing", "aria-label": "The reply", rows: "6" });
  area.value = words;
  const keep = make("button", { type: "button", class: "main", text: "Keep the change" });
  const leave = make("button", { type: "button", text: "Leave it" });
  keep.addEventListener("click", () => done(area.value));
  leave.addEventListener("click", () => done(null));
  area.addEventListener("keydown", (event) => { if (event.key === "Escape") done(null); });
  item.querySelector(".said").replaceWith(make("div", {}, area, make("div", { class: "row" }, keep, leave)));
  item.querySelector(".edit").hidden = true;
  area.focus();
}

/** Places for replies on their way; each has add(words) and end(note). */
export function openReplies(live, titles) {
  live.hidden = false;
  live.classList.toggle("two", titles.length > 1);
  const found = titles.map((title) => {
    const said = make("div", { class: "said", "aria-busy": "true" });
    const note = make("span", { class: "note quiet", text: "waits" });
    const who = make("h3", { class: "who", text: title });
    const node = make("article", { class: "turn assistant" }, make("div", { class: "head" }, who, note), said);
    return {
      node,
      add(words) {
        const page = document.scrollingElement;
        const follows = page.scrollTop + innerHeight > page.scrollHeight - 60;
        note.textContent = "";
        said.append(words);
        if (follows) page.scrollTop = page.scrollHeight;  // unless somebody reads further up
      },
      end(words) {
        note.textContent = words;
        said.setAttribute("aria-busy", "false");
      },
      name(words) { who.textContent = words; },
    };
  });
  live.replaceChildren(...found.map((each) => each.node));
  return found;
}

export function closeReplies(live) {
  live.hidden = true;
  live.replaceChildren();
}
