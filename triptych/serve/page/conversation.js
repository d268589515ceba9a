// A conversation as values: its turns, the numbers of its images, and what it is in the API and as a row for training.
//
// A turn is {role: "user", parts} or {role: "assistant", text, model, note, finish}; finish is the server's word, or
// "stopped" by a person, or "broken off". No page, no network.

import { imagesOf, isImage } from "./parts.js";

/** The number of each image, by uid: counted over the whole conversation, the message that is being written included. */
export function numbersOf(turns, draft, first = 1) {
  const shown = [...turns.flatMap((turn) => imagesOf(turn.parts ?? [])), ...imagesOf(draft)];
  return new Map(shown.map((part, at) => [part.uid, first + at]));
}

function contentOf(turn) {
  if (turn.role === "assistant") return turn.text;
  if (!turn.parts.some(isImage)) return turn.parts.map((part) => part.text).join("");
  return turn.parts.map((part) =>
    isImage(part) ? { type: "image_url", image_url: { url: part.picture.uri } } : { type: "text", text: part.text });
}

/** The body of a request. Settings left empty are left out, so that the server's own hold. */
export function bodyOf(turns, settings, model) {
  const said = settings.system.trim() ? [{ role: "system", content: settings.system }] : [];
  const body = { model, messages: [...said, ...turns.map((turn) => ({ role: turn.role, content: contentOf(turn) }))] };
  for (const name of ["max_tokens", "temperature", "top_p", "seed"]) {
    if (Number.isFinite(settings[name])) body[name] = settings[name];
  }
  return body;
}

/** The turns up to the last question that the model has been, or is to be, asked. */
export function asked(turns, draft) {
  if (draft.length) return [...turns, { role: "user", parts: draft }];
  const end = turns.findLastIndex((turn) => turn.role === "user");
  return turns.slice(0, end + 1);
}

/** A row of Triptych's own layout (messages), images inside as data URIs; one that recurs is held once. */
export function rowOf(id, turns, settings) {
  const images = [];
  const place = (uri) => (images.includes(uri) ? images.indexOf(uri) : images.push(uri) - 1);
  const messages = settings.system.trim()
    ? [{ role: "system", content: [{ type: "text", text: settings.system }] }] : [];
  for (const turn of turns) {
    const parts = turn.role === "assistant" ? [{ kind: "text", text: turn.text }] : turn.parts;
    messages.push({
      role: turn.role,
      content: parts.map((part) =>
        isImage(part) ? { type: "image", image: place(part.picture.uri) } : { type: "text", text: part.text }),
    });
  }
  const replies = turns.filter((turn) => turn.role === "assistant");
  const facts = { models: replies.map((turn) => turn.model), edited: replies.map((turn) => Boolean(turn.edited)),
    cut: replies.map(isCut) };
  return { id, ...(images.length ? { images } : {}), messages, source: "triptych page", facts };
}

/** Whether a reply ends where its model had not ended; what a person has edited is whole. */
export function isCut(turn) {
  return !turn.edited && (turn.finish ?? "stop") !== "stop";
}

/** Letters that name a conversation, without asking for a secure context. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return `page-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
