// Files on their way into the message. While they are read a line says so, and what sends the message waits for them.

import { complain, say } from "./dom.js";
import { picturesOf, Unusable } from "./media.js";

/** Hooks: frames() of a video, changed() when a read begins or ends. Returns read(files, place) and show(). */
export function openReading({ composer, line, words, leave, frames, changed }) {
  let reads = [];

  async function read(given, place) {
    const own = { anchor: composer.anchor(place), names: given.map(({ name }) => name || "a pasted image") };
    const found = [], problems = [];
    reads.push(own);
    say("Reading.");
    changed();
    try {
      for (const file of given) {
        if (!composer.waitsFor(own.anchor)) return;
        try {
          found.push(...await picturesOf(file, frames()));
        } catch (error) {
          if (!(error instanceof Unusable)) throw error;
          problems.push(error.message);
        }
      }
      if (!composer.waitsFor(own.anchor)) return;
      if (problems.length) complain(problems.join(" "));
      if (found.length) say(`${found.length} ${found.length === 1 ? "image is" : "images are"} in the message.`);
    } finally {
      composer.insert(found, own.anchor);
      changed();
    }
  }

  /** The line as it is now; tells whether something is being read. */
  function show() {
    reads = reads.filter(({ anchor }) => composer.waitsFor(anchor));
    line.hidden = !reads.length;
    words.textContent = `Reading ${reads.flatMap(({ names }) => names).join(", ")}. Send when it is in the message.`;
    return reads.length > 0;
  }

  leave.addEventListener("click", () => {
    composer.waitForNone();
    say("Left out.");
    changed();
    composer.focus();
  });
  return { read, show };
}
