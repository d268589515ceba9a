// The server, asked: models, replies as they come, layouts, votes. Every refusal becomes one line for a person.
//
// The key lives in this module's memory and nowhere else. Addresses are of this page's own server.

let key = "";

export function useKey(words) {
  key = words.trim();
}

export const hasKey = () => key !== "";

export class Refused extends Error {
  constructor(message, status = 0, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const ADVICE = {
  401: "Give the server's API key below.",
  413: "Use fewer or smaller images.",
  429: "Try again in a moment.",
};

async function call(path, { body, signal } = {}) {
  const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: `Bearer ${key}` }) };
  const method = body ? "POST" : "GET";
  let answer;
  try {
    answer = await fetch(`v1/${path}`, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached. Is it running? Your message is kept.");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  let why = "", code = "";
  try {
    const told = await answer.json();
    code = told.error?.code ?? "";
    why = told.error?.message ?? (typeof told.detail === "string" ? told.detail : "");
  } catch {
    why = "";  // not JSON: the status says it
  }
  const line = (why || answer.statusText || "no reason given").replace(/\s+/g, " ").trim().replace(/\.?$/, ".");
  const said = answer.status === 401 ? "The server wants an API key." : `The server said ${answer.status}: ${line}`;
  return new Refused([said, ADVICE[answer.status]].filter(Boolean).join(" "), answer.status, code);
}

async function read(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server's answer broke off, or is not JSON.");
  }
}

/** What is served: {id, talks, scores, numbers, first}: whether its template numbers the images, and from what. */
export async function models() {
  const told = await read(await call("models"));
  return told.data.map(({ id, talks = true, scores = false, numbers_images: numbers = true, first_number: first = 1 }) => (
    { id, talks, scores, numbers, first }));
}

/** What the model sees of a request's body; null where it cannot tell. */
export async function layoutOf({ model, messages }, signal) {
  try {
    return await read(await call("layout", { body: { model, messages }, signal }));
  } catch (error) {
    if (error instanceof Refused && error.code === "no_layout") return null;
    throw error;
  }
}

export async function vote(record) {
  await call("votes", { body: record });
}

export async function scoresOf({ model, messages }) {
  return read(await call("score", { body: { model, messages } }));
}

/** Yields {text} as it comes, and {finish} at its end. Abort the signal to stop the model. */
export async function* replyOf(body, signal) {
  const answer = await call("chat/completions", { body: { ...body, stream: true }, signal });
  let finished = false;
  for await (const data of events(answer.body)) {
    if (data === "[DONE]") continue;  // the connection ends by itself
    const told = parsed(data);
    if (told.error) throw new Refused(`The reply broke off: ${told.error.message ?? "no reason given"}`);
    for (const choice of told.choices ?? []) {
      if (choice.delta?.content) yield { text: choice.delta.content };
      if (choice.finish_reason) yield { finish: choice.finish_reason };
      finished ||= Boolean(choice.finish_reason);
    }
  }
  if (!finished) throw new Refused("The reply broke off: the server ended the connection.");
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new Refused("The reply broke off: the server sent what is no JSON.");
  }
}

/** The data of each server-sent event. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Refused) throw error;
    throw new Refused("The reply broke off: the connection to the server was lost.");
  } finally {
    reader.releaseLock();
  }
}
