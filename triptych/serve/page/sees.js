// What the model sees of a conversation: the prompt as it is, word by word and image by image, with the tokens of each.

import { make } from "./dom.js";
import { layoutOf } from "./wire.js";

const PAUSE_MS = 500;

/** Hooks: body() gives the request or null, images() the images in order. */
export function openSees({ details, sum, strip, body, images }) {
  let timer = 0, asking = null;

  async function ask() {
    asking?.abort();
    const request = body();
    if (!request) {
      sum.textContent = " · nothing yet";
      strip.replaceChildren(make("p", { class: "quiet", text: "Write a message, and its prompt stands here." }));
      return;
    }
    const own = (asking = new AbortController());
    const shown = images();
    try {
      const layout = await layoutOf(request, own.signal);
      if (own.signal.aborted) return;
      paint(layout, shown);
    } catch (error) {
      if (error.name === "AbortError" || own.signal.aborted) return;
      sum.textContent = " · not known";
      strip.replaceChildren(make("p", { class: "wrong", text: error.message }));
    }
  }

  function paint(layout, shown) {
    if (!layout) {
      sum.textContent = " · not known";
      strip.replaceChildren(make("p", { class: "quiet", text: "This model is elsewhere and does not tell its prompt." }));
      return;
    }
    const pictures = layout.pieces.filter((piece) => piece.kind === "image");
    const of = layout.limit ? ` of ${layout.limit.toLocaleString("en")}` : "";
    const costs = pictures.length ? `, ${pictures.reduce((all, each) => all + each.tokens, 0).toLocaleString("en")} of them images` : "";
    sum.textContent = ` · ${layout.tokens.toLocaleString("en")}${of} tokens${costs}`;
    sum.classList.toggle("wrong", Boolean(layout.limit) && layout.tokens > layout.limit);
    let at = -1;
    strip.replaceChildren(...layout.pieces.map((piece) => {
      if (piece.kind !== "image") return words(piece);
      at += 1;
      return picture(piece, shown[at]);
    }));
  }

  function soon() {
    clearTimeout(timer);
    if (details.open) timer = setTimeout(ask, PAUSE_MS);
  }

  details.addEventListener("toggle", () => {
    if (details.open) ask();
    else sum.textContent = "";
  });
  return { soon };
}

const count = (tokens) => `${tokens.toLocaleString("en")} token${tokens === 1 ? "" : "s"}`;

function words(piece) {
  return make("span", { class: "piece" }, make("span", { class: "words", text: piece.text }),
    make("span", { class: "cost", text: String(piece.tokens), title: count(piece.tokens) }, make("span", { class: "unseen", text: " tokens " })));
}

function picture(piece, part) {
  const size = piece.width ? ` · ${piece.width}×${piece.height}` : "";
  const thumb = part ? [make("img", { src: part.picture.thumb, alt: "" })] : [];
  return make("span", { class: "piece picture" }, ...thumb,
    make("span", { class: "about" }, make("b", { text: `image ${piece.number}` }), make("span", { text: count(piece.tokens) + size })));
}
