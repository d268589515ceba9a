// The message that is being written: words typed by the browser's own editor, images as atoms among them.
//
// The text is read from the page as parts (parts.js); whatever is not plain typing is done to the parts, which are then
// written back with the caret in its place. So undo knows images too, and a paste brings words, never markup.

import { chipOf, numberChip, say } from "./dom.js";
import { again, image, isImage, joined, length, placeOf, slice, splice, spoken, text } from "./parts.js";

const PAUSE_MS = 800;
const MOST_STEPS = 200;
const FORMS = /^(format|insertOrderedList|insertUnorderedList|insertHorizontalRule)/;

export class Composer {
  #editor; #hooks; #known = new Map(); #caret = { from: 0, to: 0 }; #parts = [];
  #past = []; #future = []; #typed = 0; #copied = { words: "", parts: [] }; #anchors = new Set(); #composing = false;
  #away = true;  // the focus is elsewhere, and the caret waits where it was or was put

  /** Hooks: changed(), send(), files(files), numbers() gives uid -> number. */
  constructor(editor, hooks) {
    this.#editor = editor;
    this.#hooks = hooks;
    const on = (name, react) => editor.addEventListener(name, react);
    on("beforeinput", (event) => this.#before(event));
    on("blur", () => { this.#look(); this.#away = true; });
    on("focus", () => { if (this.#away) this.#select(this.#caret.from, this.#caret.to); });
    on("input", () => this.#typing());
    on("keydown", (event) => this.#key(event));
    on("paste", (event) => this.#paste(event));
    on("copy", (event) => this.#copy(event));
    on("cut", (event) => { this.#copy(event); this.#replace([]); });
    on("dragstart", (event) => event.preventDefault());  // drag.js moves images
    on("compositionstart", () => { this.#composing = true; });
    on("compositionend", () => { this.#composing = false; this.#typing(); });
    document.addEventListener("selectionchange", () => this.#look());
    this.#paint();
  }

  get parts() { return this.#parts; }

  /** Whether images are on their way to an anchor. */
  get waiting() { return this.#anchors.size > 0; }

  /** Parts in place of all; the caret goes to a place, or to the end. */
  set(parts, { caret = length(parts), focus = true } = {}) {
    this.#remember();
    this.#write(joined(parts), caret, focus);
    this.#changed();
  }

  /** Begin anew, with nothing to undo and nobody waited for. */
  clear() {
    this.#anchors.clear();
    this.#begin([]);
  }

  /** Parts that come back, before what has been written since. Nothing to undo: they are nowhere else. */
  bring(parts) {
    const all = this.#parts.length ? [...parts, text("\n"), ...this.#parts] : parts;
    const further = length(all) - length(this.#parts);
    const places = [...this.#anchors].map((each) => [each, each.place + further]);
    this.#begin(joined(all));
    for (const [anchor, place] of places) anchor.place = place;
  }

  #begin(parts) {
    this.#write(parts, length(parts), true);
    this.#past = [];
    this.#future = [];
    this.#changed();
  }

  /** A place that stays where it is while others type; give it to insert. */
  anchor(place) {
    this.#look();
    const caret = this.#caret.to;
    const anchor = { place: Math.min(place ?? caret, length(this.#parts)), parts: this.#parts, caret };
    this.#anchors.add(anchor);
    return anchor;
  }

  waitsFor(anchor) { return this.#anchors.has(anchor); }

  /** Wait for no images any more: those that come are not put in. */
  waitForNone() { this.#anchors.clear(); }

  /** Images where the anchor is. The caret comes behind them, unless a person has gone on writing meanwhile. */
  insert(pictures, anchor) {
    if (!this.#anchors.delete(anchor) || !pictures.length) return;
    this.#look();
    const place = anchor.place, here = this.#caret.to;
    const waited = anchor.parts === this.#parts && anchor.caret === here;
    const caret = waited || here >= place ? (waited ? place : here) + pictures.length : here;
    this.set(splice(this.#parts, place, place, pictures.map(image)), { caret });
  }

  /** The caret where it was last; one that is in the text, or at work in another field, stays. */
  focus() {
    if (document.activeElement !== this.#editor) this.#select(this.#caret.to);
  }

  /** The numbers on the images, as they are now. */
  renumber() {
    const numbers = this.#hooks.numbers();
    for (const chip of this.#editor.querySelectorAll(".chip")) {
      const part = this.#known.get(chip.dataset.uid);
      if (part) numberChip(chip, part, numbers.get(part.uid));
    }
  }

  /** The place under a point of the window; null outside. */
  placeUnder(x, y) {
    const under = document.elementFromPoint(x, y);
    if (!under || !this.#editor.contains(under)) return null;
    const chip = under.closest(".chip");
    if (chip) {
      const box = chip.getBoundingClientRect();
      return placeOf(this.#parts, chip.dataset.uid) + (x > box.left + box.width / 2 ? 1 : 0);
    }
    const found = document.caretPositionFromPoint?.(x, y);
    const range = found ? null : document.caretRangeFromPoint?.(x, y);
    const node = found?.offsetNode ?? range?.startContainer;
    return node && this.#editor.contains(node)
      ? this.#measure(node, found?.offset ?? range.startOffset) : length(this.#parts);
  }

  /** Where on the window a place is. */
  boxOf(place) {
    const range = document.createRange();
    range.setStart(...this.#position(place));
    const box = range.getBoundingClientRect();
    if (box.height) return box;
    const before = this.#editor.childNodes[range.startOffset - 1], after = this.#editor.childNodes[range.startOffset];
    const near = [before, after].find((node) => node?.classList?.contains("chip"))?.getBoundingClientRect();
    if (near) return { left: before?.classList?.contains("chip") ? near.right : near.left, top: near.top, height: near.height };
    const whole = this.#editor.getBoundingClientRect();
    return { left: whole.left + 12, top: whole.top + 10, height: 22 };
  }

  #before(event) {
    this.#look();
    if (event.inputType === "insertParagraph" || event.inputType === "insertLineBreak") this.#replace([text("\n")]);
    else if (event.inputType === "historyUndo") this.#travel(this.#past, this.#future);
    else if (event.inputType === "historyRedo") this.#travel(this.#future, this.#past);
    else if (/^deleteContent(Backward|Forward)$/.test(event.inputType)) {
      const { from, to } = this.#caret, back = event.inputType.endsWith("Backward");
      const near = back ? slice(this.#parts, from - 1, from) : slice(this.#parts, from, from + 1);
      if (from === to && !near.some(isImage)) return;  // words: the browser knows letters better
      if (from === to && near.some(isImage)) this.#caret = back ? { from: from - 1, to } : { from, to: to + 1 };
      this.#replace([]);
    } else if (!FORMS.test(event.inputType)) return;
    event.preventDefault();
  }

  #key(event) {
    if (event.isComposing) return;
    this.#look();
    const command = event.ctrlKey || event.metaKey, letter = event.key.toLowerCase();
    if (event.key === "Enter" && !event.shiftKey && !matchMedia("(pointer: coarse)").matches) this.#hooks.send();
    else if (command && letter === "z" && !event.shiftKey) this.#travel(this.#past, this.#future);
    else if (command && (letter === "y" || letter === "z")) this.#travel(this.#future, this.#past);
    else if (/^Arrow(Left|Right)$/.test(event.key) && !event.shiftKey && !command && !event.altKey) {
      const { from, to } = this.#caret, step = event.key === "ArrowLeft" ? -1 : 1;
      if (from !== to || !slice(this.#parts, Math.min(from, from + step), Math.max(from, from + step)).some(isImage)) return;
      this.#select(from + step);
    } else return;
    event.preventDefault();
  }

  #paste(event) {
    event.preventDefault();
    this.#look();
    const files = [...event.clipboardData.files];
    const words = event.clipboardData.getData("text/plain").replace(/\r\n?/g, "\n");
    const beside = files.length > 0 && !areNamesOf(words, files);
    if (files.length && !beside) this.#hooks.files(files);
    else if (words && words === this.#copied.words) this.#replace(again(this.#copied.parts));
    else if (words) this.#replace([text(words)]);
    if (beside) say("The words are pasted, without the picture of them that came beside.");
  }

  /** Put parts on a clipboard: words for others, and their images for this box. */
  copy(event, parts) {
    this.#copied = { words: spoken(parts, this.#hooks.numbers()), parts };
    event.clipboardData.setData("text/plain", this.#copied.words);
    event.preventDefault();
  }

  #copy(event) {
    if (!this.#selected()) return;  // what is selected is elsewhere
    this.#look();
    this.copy(event, slice(this.#parts, this.#caret.from, this.#caret.to));
  }

  #replace(parts) {
    const { from, to } = this.#caret;
    this.set(splice(this.#parts, from, to, parts), { caret: from + length(parts) });
  }

  #typing() {
    if (this.#composing) return;
    const now = Date.now();
    if (now - this.#typed > PAUSE_MS) this.#remember();
    this.#typed = now;
    this.#follow(this.#read(this.#editor));
    this.#changed();
  }

  #remember() {
    this.#past.push({ parts: this.#parts, caret: this.#caret.to });
    if (this.#past.length > MOST_STEPS) this.#past.shift();
    this.#future = [];
    this.#typed = 0;
  }

  #travel(from, to) {
    const there = from.pop();
    if (!there) return;
    to.push({ parts: this.#parts, caret: this.#caret.to });
    this.#typed = 0;
    this.#write(there.parts, Math.min(there.caret, length(there.parts)), true);
    this.#changed();
  }

  #changed() {
    this.#paint();
    this.#hooks.changed();
  }

  #paint() {
    this.#editor.classList.toggle("empty", this.#parts.length === 0);
  }

  /** Take note of new parts; anchors behind the change move with it. */
  #follow(parts) {
    const before = spoken(this.#parts.map(flat)), after = spoken(parts.map(flat));
    let same = 0;
    while (same < Math.min(before.length, after.length) && before[same] === after[same]) same += 1;
    for (const anchor of this.#anchors) {
      if (anchor.place > same) anchor.place = Math.max(same, anchor.place + after.length - before.length);
    }
    this.#parts = parts;
  }

  #write(parts, caret, focus) {
    const numbers = this.#hooks.numbers();
    const here = new Map([...this.#editor.querySelectorAll(".chip")].map((chip) => [chip.dataset.uid, chip]));
    const nodes = parts.map((part) => {
      if (!isImage(part)) return document.createTextNode(part.text);
      this.#known.set(part.uid, part);
      const chip = here.get(part.uid) ?? chipOf(part, numbers.get(part.uid) ?? "");
      chip.contentEditable = "false";
      return chip;
    });
    // A last line that is empty, or ends in an image, needs something for the caret to stand before.
    this.#editor.replaceChildren(...nodes, document.createElement("br"));
    this.#follow(parts);
    this.#caret = { from: caret, to: caret };
    if (focus) this.#select(caret);
  }

  #read(root) {
    const found = [];
    for (const node of root.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) found.push(text(node.data));
      else if (node.classList?.contains("chip")) found.push(this.#known.get(node.dataset.uid));
      else if (node.nodeName !== "BR") found.push(...(node.nodeName === "DIV" && found.length ? [text("\n")] : []), ...this.#read(node));
    }
    return joined(found.filter(Boolean));
  }

  #measure(node, offset) {
    const chip = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest(".chip");
    if (chip) return placeOf(this.#parts, chip.dataset.uid) + 1;
    const range = document.createRange();
    range.setStart(this.#editor, 0);
    range.setEnd(node, offset);
    return length(this.#read(range.cloneContents()));
  }

  /** Where the caret is now; the event that tells comes late. */
  #look() {
    if (!this.#away) this.#caret = this.#selected() ?? this.#caret;
  }

  #selected() {
    const selection = document.getSelection();
    if (!selection.rangeCount) return null;
    const range = selection.getRangeAt(0);
    if (!this.#editor.contains(range.startContainer) || !this.#editor.contains(range.endContainer)) return null;
    return { from: this.#measure(range.startContainer, range.startOffset), to: this.#measure(range.endContainer, range.endOffset) };
  }

  #select(from, to = from) {
    this.#caret = { from, to };
    if (busyElsewhere(this.#editor)) return;
    this.#away = false;
    this.#editor.focus();
    document.getSelection().setBaseAndExtent(...this.#position(from), ...this.#position(to));
  }

  #position(place) {
    let left = place, at = 0;
    for (const node of this.#editor.childNodes) {
      const long = node.nodeType === Node.TEXT_NODE ? node.data.length : node.nodeName === "BR" ? 0 : 1;
      if (node.nodeType === Node.TEXT_NODE && left <= long) return [node, left];
      if (left === 0) break;
      left -= long;
      at += 1;
    }
    return [this.#editor, Math.min(at, this.#editor.childNodes.length)];
  }
}

/** Whether a person is at work in another field, from which the focus is not taken. */
function busyElsewhere(editor) {
  const active = document.activeElement;
  return active !== editor && active.checkVisibility() && active.matches("input:not([type=checkbox], [type=file]), textarea, select");
}

/** Whether pasted words are but what file managers put beside files; offices put a picture beside words. */
function areNamesOf(words, files) {
  return words.trim().split("\n").every((line) => !line.trim()
    || files.some(({ name }) => line.trim().endsWith(name) || line.trim().endsWith(encodeURIComponent(name))));
}

/** An image as one letter that no other part has. */
function flat(part) {
  return isImage(part) ? text(String.fromCharCode(0xe000 + (Number(part.uid.slice(6)) % 6400))) : part;
}
