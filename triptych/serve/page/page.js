// The page: what is shown, asked and kept, put together from the other files. Its state is the conversation.

import { ask } from "./ask.js";
import { copy, curlOf, pythonOf, shortened } from "./code.js";
import { Composer } from "./composer.js";
import { asked, bodyOf, isCut, newId, numbersOf, rowOf } from "./conversation.js";
import { byId, calm, complain, make, say } from "./dom.js";
import { openDragging } from "./drag.js";
import { openKeeper } from "./keeper.js";
import { again, imagesOf, moveTo, trimmed } from "./parts.js";
import { openReading } from "./reading.js";
import { openSees } from "./sees.js";
import { Strip } from "./strip.js";
import { editReply, paintTurns, selectedParts } from "./talk.js";
import { hasKey, models, scoresOf, useKey } from "./wire.js";

const NUMBERS = ["max_tokens", "temperature", "top_p", "seed"];
// A tab is this page loaded once: two that go on with one conversation still ask questions of their own.
const state = { id: newId(), tab: newId(), asked: 0, turns: [], served: [], first: 1, stopper: null };

const numbers = () => numbersOf(state.turns, composer?.parts ?? [], state.first);
let composer = null;
composer = new Composer(byId("editor"), { changed, send, files: (given) => reading.read(given), numbers });
const reading = openReading({
  composer, line: byId("reading"), words: byId("reading-words"), leave: byId("unread"), changed: enable,
  frames: () => Math.min(64, Math.max(1, Math.round(Number(byId("frames").value)) || 8)),
});
const keeper = openKeeper({
  box: byId("keep"), told: byId("keep-told"), rename: (id) => { state.id = id; },
  now: () => ({ id: state.id, turns: state.turns, draft: composer.parts, settings: settings() }),
});
const strip = new Strip(byId("strip"), { composer, numbers, show: showLarge });
const sees = openSees({
  details: byId("sees"), sum: byId("sees-sum"), strip: byId("sees-strip"),
  body: () => request(byId("model").value),
  images: () => asked(state.turns, trimmed(composer.parts)).flatMap((turn) => imagesOf(turn.parts ?? [])),
});

function settings() {
  const numbered = NUMBERS.map((name) => [name, byId(name).value.trim() === "" ? NaN : Number(byId(name).value)]);
  return { system: byId("system").value, ...Object.fromEntries(numbered) };
}

/** The request for what is said and written so far; null where there is nothing to ask. */
function request(model) {
  const turns = asked(state.turns, trimmed(composer.parts));
  return turns.length && model ? bodyOf(turns, settings(), model) : null;
}

function changed() {
  if (!composer) return;
  composer.renumber();
  strip.paint();
  sees.soon();
  keeper.soon();
}

function paint() {
  paintTurns(byId("turns"), state.turns, { numbers: numbers(), show: showLarge, edit });
  byId("begin").hidden = state.turns.length > 0 || Boolean(state.stopper);
  enable();
  changed();
}

/** What can be done now: nothing goes out while a reply is on its way, or an image that belongs to it. */
function enable() {
  const busy = Boolean(state.stopper), read = reading.show();
  for (const id of ["back", "export"]) byId(id).disabled = !state.turns.length || busy;
  for (const id of ["new", "model", "other"]) byId(id).disabled = busy;
  for (const id of ["send", "score"]) byId(id).disabled = busy || read;
  byId("code").disabled = read;
}

async function send() {
  if (state.stopper) {
    say("A reply is on its way. Stop it, or wait.");
    return;
  }
  if (composer.waiting) {
    say("An image is still being read. Send when it is in the message, or leave it out.");
    return;
  }
  const draft = trimmed(composer.parts), model = byId("model").value, other = byId("other").value;
  if (!draft.length || !model) {
    if (!model) complain("There is no model to ask. Is the server running?");
    else say("There is no message yet.");
    return;
  }
  calm();
  const turns = [...state.turns, { role: "user", parts: draft }];
  state.stopper = new AbortController();
  state.turns = turns;
  state.asked += 1;
  composer.clear();
  byId("stop").hidden = false;
  byId("send").hidden = true;
  paint();
  byId("live").scrollIntoView({ block: "nearest" });
  const bodies = [...new Set([model, other].filter(Boolean))].map((name) => bodyOf(turns, settings(), name));
  const outcome = await ask({ live: byId("live"), bodies, id: `${state.tab}-${state.asked}`, signal: state.stopper.signal,
    ended: () => { byId("stop").hidden = true; } });
  const { turn, error } = outcome;
  state.stopper = null;
  byId("stop").hidden = true;
  byId("send").hidden = false;
  state.turns = turn ? [...state.turns, turn] : state.turns.slice(0, -1);  // others may have been edited meanwhile
  if (!turn) composer.bring(draft);
  paint();
  if (error?.status === 401) wantKey();
  else if (!turn || !matchMedia("(pointer: coarse)").matches) composer.focus();
}

function edit(turn, item) {
  editReply(item, turn.text, (words) => {
    const at = state.turns.indexOf(turn);
    if (words?.trim() && words !== turn.text) {
      state.turns = state.turns.with(at, { ...turn, text: words, edited: true });
      say("The reply is changed. The model is told what stands here.");
    }
    item.remove();  // painted anew
    paint();
    byId("turns").children[at].querySelector(".edit").focus();
  });
}

function showLarge(part) {
  byId("large-image").src = part.picture.uri;
  byId("large-image").alt = part.picture.name;
  byId("large-words").textContent = `image ${numbers().get(part.uid)}: ${part.picture.name}, ${part.picture.width}×${part.picture.height}`;
  byId("large").showModal();
}

function wantKey() {
  byId("key-form").hidden = false;
  byId("key").focus();
}

async function meet() {
  try {
    const served = await models();
    state.served = served;
    const chosen = byId("model").value;
    byId("model").replaceChildren(...served.map(({ id }) => make("option", { value: id, text: id })));
    byId("other").replaceChildren(make("option", { value: "", text: "nobody" }),
      ...served.filter(({ talks }) => talks).map(({ id }) => make("option", { value: id, text: id })));
    if (served.some(({ id }) => id === chosen)) byId("model").value = chosen;
    byId("model").disabled = false;
    byId("key-form").hidden = true;
    calm();
    choose();
  } catch (error) {
    complain(error.message);
    if (error.status === 401) wantKey();
  }
}

function choose() {
  const model = state.served.find(({ id }) => id === byId("model").value);
  byId("score").hidden = !model?.scores;
  byId("send").title = model?.talks === false ? "This model scores and does not talk" : "";
  byId("unnumbered").hidden = !model || model.numbers;
  state.first = model?.first ?? 1;  // some templates count from 0
  paint();
}

async function score() {
  const body = request(byId("model").value);
  if (!body) return;
  try {
    const told = await scoresOf(body);
    const line = Object.entries(told.scores ?? {}).map(([name, value]) => `${name} ${Number(value).toFixed(3)}`).join(" · ");
    byId("scored").hidden = false;
    byId("scored").textContent = `Scores: ${line}`;
    say(`Scores: ${line}`);
  } catch (error) {
    complain(error.message);
  }
}

function restart() {
  const kept = byId("keep").checked ? " with what is kept of it" : "";
  const some = state.turns.length || composer.parts.length || composer.waiting;
  if (some && !confirm(`This conversation is thrown away${kept}. Begin a new one?`)) return;
  const old = state.id;
  Object.assign(state, { id: newId(), turns: [] });
  composer.clear();
  keeper.renew(old);
  byId("scored").hidden = true;
  calm();
  paint();
  say("A new conversation.");
}

function takeBack() {
  const at = state.turns.findLastIndex((turn) => turn.role === "user");
  if (at < 0) return;
  const draft = state.turns[at].parts;
  state.turns = state.turns.slice(0, at);
  composer.bring(draft);
  paint();
  say("The last message is back in its box.");
}

function download() {
  const whole = state.turns.slice(0, state.turns.findLastIndex((turn) => turn.role === "assistant") + 1);
  const address = URL.createObjectURL(new Blob([`${JSON.stringify(rowOf(state.id, whole, settings()))}\n`], { type: "application/jsonl" }));
  make("a", { href: address, download: `${state.id}.jsonl` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
  const cut = whole.filter((turn) => turn.role === "assistant" && isCut(turn)).length;
  const told = cut ? ` ${cut} of its replies did not come to an end; its facts say which.` : "";
  say(`Exported, as one row of JSON Lines.${told}`);
}

function showCode() {
  const python = byId("code-python").getAttribute("aria-pressed") === "true";
  const body = request(byId("model").value);
  if (!body) {
    say("There is nothing to ask yet.");
    return;
  }
  const words = (python ? pythonOf : curlOf)(body, location.origin, hasKey());
  byId("code-text").textContent = shortened(words);
  byId("code-told").textContent = "";
  byId("code-copy").onclick = () => copy(words).then(() => { byId("code-told").textContent = "Copied."; },
    (error) => { byId("code-told").textContent = error.message; });
  if (!byId("code-dialog").open) byId("code-dialog").showModal();
}

async function restore() {
  const found = await keeper.restore();
  if (!found) return;
  const turns = found.turns.map((turn) => (turn.parts ? { ...turn, parts: again(turn.parts) } : turn));
  // A reply on its way went with the page: its question is a message again.
  const open = turns.at(-1)?.role === "user" ? turns.pop().parts : [];
  Object.assign(state, { id: found.id, turns });
  byId("system").value = found.settings.system;
  for (const name of NUMBERS) byId(name).value = Number.isFinite(found.settings[name]) ? found.settings[name] : "";
  composer.set(again(found.draft), { focus: false });
  if (open.length) composer.bring(open);
}

/** Whether something would be lost with the page. */
function unsafe() {
  const kept = byId("keep").checked ? keeper.late() : state.turns.length || composer.parts.length;
  return Boolean(kept || state.stopper || composer.waiting || document.querySelector(".editing"));
}

const on = (id, name, react) => byId(id).addEventListener(name, react);
on("send", "click", send);
on("stop", "click", () => state.stopper?.abort());
on("score", "click", score);
on("add", "click", () => byId("files").click());
on("files", "change", (event) => {
  reading.read([...event.target.files]);
  event.target.value = "";
});
on("problem-away", "click", () => { calm(); composer.focus(); });
on("key-form", "submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value);
  byId("key").value = "";
  meet().then(() => { if (byId("key-form").hidden) composer.focus(); });
});
on("model", "change", choose);
on("new", "click", restart);
on("back", "click", takeBack);
on("export", "click", download);
on("code", "click", showCode);
for (const id of ["code-curl", "code-python"]) {
  on(id, "click", () => {
    for (const each of ["code-curl", "code-python"]) byId(each).setAttribute("aria-pressed", String(each === id));
    showCode();
  });
}
on("code-close", "click", () => byId("code-dialog").close());
on("large-close", "click", () => byId("large").close());
on("menu", "click", () => {
  const open = byId("menu").getAttribute("aria-expanded") !== "true";
  byId("menu").setAttribute("aria-expanded", String(open));
  byId("panel").classList.toggle("open", open);
  if (open) byId("other").focus();
});
document.addEventListener("copy", (event) => {
  const parts = selectedParts(byId("turns"), state.turns);
  if (parts) composer.copy(event, parts);
});
for (const id of ["system", ...NUMBERS]) on(id, "input", () => { sees.soon(); keeper.soon(); });
openDragging({
  composer, box: byId("drop"), sources: [byId("editor"), byId("strip")], files: reading.read,
  moved: (uid, place) => {
    composer.set(moveTo(composer.parts, uid, place), { caret: place, focus: false });
    strip.tell(uid);
  },
});
window.addEventListener("beforeunload", (event) => {
  if (!unsafe()) return;
  event.preventDefault();
  if (keeper.late()) keeper.save();  // done before a person has answered
});
// What the keyboard reaches is not hidden behind the box at the bottom.
new ResizeObserver(([entry]) => {
  document.documentElement.style.scrollPaddingBottom = `${Math.round(entry.target.offsetHeight) + 8}px`;
}).observe(document.querySelector(".writer"));
await restore();
paint();
await meet();
if (!matchMedia("(pointer: coarse)").matches && byId("key-form").hidden) composer.focus();
