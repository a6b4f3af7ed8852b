// Chat and playground. Answers are text and are only ever put in as text.
const chat = document.getElementById("chat");
const turns = document.getElementById("turns");
const message = document.getElementById("message");
const buttons = { send: document.getElementById("send"), stop: document.getElementById("stop") };
const asCurl = document.getElementById("as-curl");
const words = chat.dataset;
let conversation = [];
let running = null;

document.getElementById("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send(message.value.trim());
});
message.addEventListener("keydown", (event) => {
  // isComposing: Enter that chooses a Chinese candidate is not a wish to send.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    send(message.value.trim());
  }
});
buttons.stop.addEventListener("click", () => running?.abort());
document.getElementById("new").addEventListener("click", () => {
  running?.abort();
  conversation = [];
  turns.replaceChildren();
  document.getElementById("nothing-yet").hidden = false;
  message.focus();
  showCurl();
});
for (const id of ["temperature", "max_tokens"]) document.getElementById(id)?.addEventListener("input", showCurl);
showCurl();
// Until here nothing could have been sent: what was typed too early would have been lost.
message.disabled = buttons.send.disabled = false;
message.focus();

async function send(text) {
  if (!text || running) return;
  message.value = "";
  document.getElementById("nothing-yet").hidden = true;
  conversation.push({ role: "user", content: text });
  addTurn("user", text);
  showCurl();
  await answer();
}

async function answer() {
  const turn = addTurn("assistant", "");
  const began = performance.now();
  const state = { text: "", first: 0, usage: null, error: "" };
  setRunning(new AbortController());
  document.getElementById("spoken").textContent = words.thinking;
  try {
    await stream(state, turn, began);
  } catch (error) {
    state.error = error.name === "AbortError" ? words.stopped : words.broken;
  }
  setRunning(null);
  finish(turn, state, performance.now() - began);
}

async function stream(state, turn, began) {
  const reply = await fetch(words.url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream", "X-CSRFToken": document.querySelector("#composer [name=csrfmiddlewaretoken]").value },
    body: JSON.stringify({ messages: conversation, ...options(), notice: words.notice || null }),
    signal: running.signal,
  });
  if (reply.redirected) { state.error = words.signedOut; return; }
  if (!reply.ok) {
    const body = await reply.json().catch(() => null);
    state.error = body?.error?.message ?? words.broken;
    return;
  }
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let done = false;
  for (;;) {
    const part = await reader.read();
    if (part.done) break;
    rest += part.value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) done = take(event, state, turn, began) || done;
  }
  if (!done && !state.error) state.error = words.broken;
}

function take(event, state, turn, began) {
  const data = event.replace(/^data: ?/, "");
  if (data === "[DONE]") return true;
  const chunk = JSON.parse(data);
  if (chunk.error) state.error = chunk.error.message;
  if (chunk.usage) state.usage = chunk.usage;
  const piece = chunk.choices?.[0]?.delta?.content ?? "";
  if (piece) {
    state.first ||= performance.now() - began;
    state.text += piece;
    show(turn, state.text);
  }
  return false;
}

function finish(turn, state, total) {
  if (state.text) conversation.push({ role: "assistant", content: state.text });
  const meta = turn.querySelector(".turn-meta");
  if (state.error || !state.text) {
    const problem = document.createElement("span");
    problem.className = "state state-bad";
    problem.textContent = state.error || words.empty;
    meta.append(problem, button(words.retry, () => { retry(turn, state); }));
  }
  if (state.text) meta.append(button(words.copyWord, () => navigator.clipboard?.writeText(state.text)));
  if (asCurl && state.usage) meta.append(figures(state, total));
  document.getElementById("spoken").textContent = state.error || state.text;
  message.focus();
}

function retry(turn, state) {
  if (running) return;
  if (state.text) conversation.pop();
  turn.remove();
  answer();
}

function figures(state, total) {
  const out = state.usage.completion_tokens;
  const seconds = Math.max((total - state.first) / 1000, 0.001);
  const values = { first: Math.round(state.first), total: Math.round(total), in: state.usage.prompt_tokens, out, rate: (out / seconds).toFixed(1) };
  const line = document.createElement("span");
  line.textContent = words.figures.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  return line;
}

function addTurn(role, text) {
  const item = document.createElement("li");
  item.className = `turn turn-${role}`;
  const who = document.createElement("span");
  who.className = "visually-hidden";
  who.textContent = role === "user" ? words.you : words.model;
  const body = document.createElement("div");
  const meta = document.createElement("div");
  meta.className = "turn-meta";
  item.append(who, body, meta);
  turns.append(item);
  show(item, text);
  return item;
}

function show(item, text) {
  const nearEnd = innerHeight + scrollY > document.body.scrollHeight - 160;
  // Text between ``` fences is code, the rest are paragraphs; nothing is read as HTML.
  const parts = text.split(/^```.*$/m);
  item.querySelector("div").replaceChildren(...parts.filter((part) => part.trim()).map((part) => {
    const code = parts.length > 1 && parts.indexOf(part) % 2 === 1;
    const element = document.createElement(code ? "pre" : "p");
    element.textContent = code ? part.replace(/^\n/, "") : part.trim();
    return element;
  }));
  if (nearEnd) scrollTo({ top: document.body.scrollHeight });
}

function button(text, action) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = "btn btn-sm";
  element.textContent = text;
  element.addEventListener("click", action);
  return element;
}

function setRunning(controller) {
  running = controller;
  buttons.stop.hidden = !controller;
  buttons.send.disabled = Boolean(controller);
}

function options() {
  const found = {};
  for (const id of ["temperature", "max_tokens"]) {
    const value = document.getElementById(id)?.value;
    if (value) found[id] = Number(value);
  }
  return found;
}

function showCurl() {
  if (!asCurl) return;
  const messages = conversation.length ? conversation : [{ role: "user", content: "…" }];
  const body = JSON.stringify({ model: words.model, messages, ...options() }, null, 1).replace(/'/g, "'\\''");
  asCurl.textContent = `curl ${asCurl.dataset.publicUrl}/v1/chat/completions \\\n  -H "Authorization: Bearer $FUSEBOX_KEY" -H "Content-Type: application/json" \\\n  -d '${body}'`;
}
