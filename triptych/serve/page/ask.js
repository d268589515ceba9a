// A question asked: of one model, or of two side by side, whose names stay hidden until a person has voted.
//
// Not the composer, nor what becomes of the turns: the outcome is a value. Sides are drawn; nothing else is by chance.

import { complain, make, say } from "./dom.js";
import { closeReplies, openReplies } from "./talk.js";
import { replyOf, vote } from "./wire.js";

const VERDICTS = [["a", "A is better"], ["b", "B is better"], ["tie", "They are equal"], ["bad", "Both are bad"]];

/** Ask; returns the turn that goes on, or null where there is no reply; {error} is what went wrong. */
export async function ask({ live, bodies, id, signal, ended }) {
  const two = bodies.length > 1;
  const drawn = two && crypto.getRandomValues(new Uint8Array(1))[0] % 2 === 1 ? [bodies[1], bodies[0]] : bodies;
  const places = openReplies(live, two ? ["Reply A", "Reply B"] : [drawn[0].model]);
  say(two ? "Two models are asked." : "Asked.");
  const replies = await Promise.all(drawn.map((body, at) => listen(body, places[at], signal)));
  ended();
  const error = replies.find((reply) => reply.error)?.error ?? null;
  const spoken = replies.filter((reply) => reply.text.trim());
  if (error) complain(error.message);
  else if (!spoken.length && !signal.aborted) complain("The model said nothing. Your message is back in its box.");
  if (!two || !spoken.length) {
    closeReplies(live);
    if (spoken.length) say(`${spoken[0].model}${spoken[0].note ? ` (${spoken[0].note})` : ""}: ${spoken[0].text}`);
    return { turn: spoken.length ? turnOf(spoken[0]) : null, error };
  }
  const whole = replies.every((reply) => reply.text.trim() && !reply.error) && !signal.aborted;
  const chosen = whole ? await judged(live, replies, places, id) : await oneOf(live, replies);
  closeReplies(live);
  return { turn: chosen && turnOf(chosen), error };
}

function turnOf({ model, text, note, finish }) {
  return { role: "assistant", model, text, note, finish };
}

async function listen(body, place, signal) {
  const reply = { model: body.model, text: "", note: "", finish: "", error: null };
  try {
    for await (const piece of replyOf(body, signal)) {
      if (piece.text) {
        reply.text += piece.text;
        place.add(piece.text);
      }
      if (piece.finish) reply.finish = piece.finish;
    }
    reply.note = { stop: "", length: "as long as allowed" }[reply.finish] ?? reply.finish;
  } catch (error) {
    reply.note = reply.finish = error.name === "AbortError" ? "stopped" : "broken off";
    if (error.name !== "AbortError") reply.error = error;
  }
  place.end(reply.note || (reply.text.trim() ? "" : "said nothing"));
  return reply;
}

/** Wait for a vote that the server has taken; returns the reply that goes on. */
function judged(live, [a, b], places, id) {
  return new Promise((resolve) => {
    const told = make("p", { class: "quiet", text: "The names come with your vote. The better reply goes on; of equals, A." });
    const none = make("button", { type: "button", class: "plain", text: "No vote, go on with A" });
    none.addEventListener("click", () => resolve({ ...a, note: noted(a, `no vote: B was ${b.model}`) }));
    const buttons = VERDICTS.map(([verdict, words]) => {
      const button = make("button", { type: "button", text: words, "data-verdict": verdict });
      button.addEventListener("click", () => choose(verdict));
      return button;
    });
    const form = make("div", { class: "vote", role: "group", "aria-label": "Which reply is better?" },
      make("h3", { text: "Which reply is better?" }), make("div", { class: "row" }, ...buttons, none), told);
    live.append(form);
    form.scrollIntoView({ block: "nearest" });
    say(`Reply A: ${a.text} Reply B: ${b.text} Which is better? Vote below the replies.`);
    buttons[0].focus({ preventScroll: true });

    async function choose(verdict) {
      for (const button of buttons) button.disabled = true;
      try {
        await vote({ id, a: a.model, b: b.model, winner: verdict === "bad" ? "tie" : verdict,
          ...(verdict === "bad" && { both_bad: true }), replies: { a: a.text, b: b.text } });
      } catch (error) {
        complain(`Your vote is not kept. ${error.message}`);
        for (const button of buttons) button.disabled = false;
        buttons.find((button) => button.dataset.verdict === verdict).focus();
        return;
      }
      places[0].name(`A: ${a.model}`);
      places[1].name(`B: ${b.model}`);
      const words = VERDICTS.find(([name]) => name === verdict)[1];
      say(`Voted: ${words}. A was ${a.model}, B was ${b.model}.`);
      const better = verdict === "b" ? b : a;
      resolve({ ...better, note: noted(better, `${words.toLowerCase()}: A was ${a.model}, B was ${b.model}`) });
    }
  });
}

const noted = (reply, words) => [reply.note, words].filter(Boolean).join(", ");

/** Where there is nothing to vote on: which reply goes on? */
function oneOf(live, replies) {
  return new Promise((resolve) => {
    const choices = replies.map((reply, at) => [reply, `Go on with ${"AB"[at]}`]).filter(([reply]) => reply.text.trim());
    const buttons = [...choices, [null, "Take the message back"]].map(([reply, words]) => {
      const button = make("button", { type: "button", text: words });
      button.addEventListener("click", () => resolve(reply));
      return button;
    });
    live.append(make("div", { class: "vote", role: "group", "aria-label": "Which reply goes on?" },
      make("h3", { text: "There is nothing to vote on: not both replies are whole." }), make("div", { class: "row" }, ...buttons)));
    say("Not both replies are whole, so there is no vote. Choose which goes on.");
    buttons[0].focus({ preventScroll: true });
  });
}
