// The page of a task: texts in, rows answered a few at a time, one table out. All of it stays here.
const task = document.getElementById("task");
const { Table, shown, element } = await import(task.dataset.rows);
const { tokens, pasted, parts } = await import(task.dataset.parts);
const setup = JSON.parse(document.getElementById("task-setup").textContent);
const { words } = setup;
const csrf = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
const part = (id) => document.getElementById(id);
const form = part("task-form");
const texts = part("texts");
const files = part("files");
const summary = part("task-summary");
const sheets = [...task.querySelectorAll("button[data-sheet]")];
// Whatever stops one row for these reasons stops the others as well.
const ALIKE = ["node_unreachable", "not_in_service", "overloaded", "log_unavailable", "node_error", "broken"];
const FOR_ALL = ["signed_out", "model_not_found", "notice_changed"];
const MOST_ALIKE = 3;
let rows = [];
let running = false;
let alike = 0;
let unsaved = false;
let told = 0;

const table = new Table(part("task-table"), setup.columns, words, (name, row) => actions[name](row));
const actions = {
  edit: () => { unsaved = true; },
  again: (row) => { row.forced = true; reset(row); run(); },
  remove: (row) => {
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    rows = rows.filter((each) => each !== row);
    row.element.remove();
    (next?.querySelector("button:last-of-type") ?? texts).focus();
    changed();
  },
  split,
};

form.addEventListener("submit", (event) => { event.preventDefault(); addPasted(); });
texts.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); addPasted(); }
});
files.addEventListener("change", () => { readFiles([...files.files]); files.value = ""; });
part("task-run").addEventListener("click", run);
part("task-stop").addEventListener("click", () => stop());
part("task-retry").addEventListener("click", () => { rows.filter((row) => row.state === "failed").forEach(reset); run(); });
part("task-copy").addEventListener("click", copy);
part("task-clear").addEventListener("click", clear);
for (const button of sheets) button.addEventListener("click", () => download(button.dataset.sheet));
addEventListener("beforeunload", (event) => { if (running || unsaved) event.preventDefault(); });
texts.disabled = files.disabled = part("task-add").disabled = false;

function addPasted() {
  const how = form.elements.split.value;
  const found = pasted(texts.value, how);
  if (add(found.map((text) => ({ text })))) texts.value = "";
}

function add(found) {
  if (!found.length) { say(words.nothing); return false; }
  const taken = found.slice(0, setup.mostRows - rows.length);
  for (const { text, name = "", note = "" } of taken) {
    const row = made(text, name, note);
    rows.push(row);
    table.add(row);
  }
  changed();
  const left = found.length - taken.length;
  say(left ? words.tooMany.replace("{most}", setup.mostRows).replace("{left}", left) : words.added.replace("{count}", taken.length));
  return !left;
}

function made(text, name = "", note = "") {
  const row = { text, name, note, state: "waiting", values: {}, error: "", raw: "", cut: false, edited: false };
  const have = tokens(text);
  if (have > setup.room) tooLong(row, words.longHint.replace("{have}", have).replace("{room}", setup.room));
  return row;
}

function tooLong(row, why) {
  row.state = "long";
  row.error = why;
  row.splits = Math.max(parts(row.text, fitting(row)).length, 2);
}

// The node has the last word: what it called too long is cut smaller than we would have thought.
function fitting(row) {
  return row.forced ? Math.min(setup.room, Math.floor(tokens(row.text) / 2)) : setup.room;
}

function split(row) {
  const found = parts(row.text, fitting(row));
  const named = found.map((text, index) => {
    const place = words.part.replace("{number}", index + 1).replace("{count}", found.length);
    return made(text, row.name ? `${row.name}, ${place}` : place, row.note);
  });
  rows.splice(rows.indexOf(row), 1, ...named);
  table.insertAfter(row, named);
  row.element.remove();
  changed();
  part("task-run").focus();
}

async function readFiles(chosen) {
  const list = part("task-files");
  for (const file of chosen) {
    const line = element("li", "", words.reading.replace("{name}", file.name));
    list.append(line);
    try {
      const read = await textOf(file);
      const found = read.texts.length ? read.texts : [read.text];
      add(found.map((text) => ({ text, name: file.name, note: read.left_out })));
      line.textContent = words.read.replace("{name}", file.name).replace("{count}", found.length);
    } catch (error) {
      line.className = "task-refused";
      line.textContent = words.refused.replace("{name}", file.name).replace("{why}", error.message);
    }
  }
}

async function textOf(file) {
  if (file.size > setup.mostMb * 1e6) throw new Error(words.tooLarge.replace("{most}", setup.mostMb));
  const headers = { "X-CSRFToken": csrf, "Content-Type": "application/octet-stream", "X-Document-Name": encodeURIComponent(file.name) };
  const answer = await fetch(task.dataset.documents, { method: "POST", headers, body: file }).catch(() => null);
  const body = await answer?.json().catch(() => null);
  if (!answer?.ok || !body) throw new Error(body?.error?.message ?? (answer?.status === 403 ? words.signedOut : words.broken));
  return body;
}

function reset(row) {
  Object.assign(row, { state: "waiting", error: "", raw: "", splits: 0, values: {}, edited: false });
  table.show(row);
}

async function run() {
  if (running) return;
  running = true;
  alike = 0;
  part("task-stopped").hidden = true;
  changed();
  await Promise.all(Array.from({ length: setup.atOnce }, work));
  running = false;
  changed();
  const left = count("waiting");
  say(left ? words.stopped.replace("{waiting}", left) : words.finished.replace("{done}", count("done")).replace("{failed}", count("failed") + count("long")));
}

async function work() {
  for (;;) {
    const row = running && rows.find((each) => each.state === "waiting");
    if (!row) return;
    await answer(row);
  }
}

async function answer(row) {
  row.state = "running";
  row.controller = new AbortController();
  table.show(row);
  try {
    settle(row, await ask(row));
  } catch (error) {
    if (error.name === "AbortError") row.state = "waiting";
    else failed(row, { code: "broken", words: words.broken });
  }
  table.show(row);
  changed();
}

async function ask(row) {
  const reply = await fetch(task.dataset.run, {
    method: "POST",
    headers: { "X-CSRFToken": csrf, "Content-Type": "application/json", Accept: "application/json", "X-Fusebox-Notice": task.dataset.notice },
    body: JSON.stringify({ input: row.text }),
    signal: row.controller.signal,
  });
  if (reply.redirected) return { error: { code: "signed_out", words: words.signedOut } };
  const body = await reply.json();
  if (reply.status === 403) return { error: { code: "model_not_found", words: words.denied } };
  return body;
}

function settle(row, body) {
  if (body.error) { failed(row, body.error); return; }
  alike = 0;
  row.state = "done";
  unsaved = true;
  row.cut = body.finish_reason === "length";
  row.values = setup.columns.length
    ? Object.fromEntries(setup.columns.map(({ name }) => [name, shown(body.output[name])]))
    : { "": shown(body.output) };
}

function failed(row, error) {
  row.state = "failed";
  row.error = error.words || error.message;
  row.raw = error.raw ?? "";
  if (error.code === "input_too_long") { row.forced = true; tooLong(row, row.error); return; }
  if (FOR_ALL.includes(error.code)) {
    stop(row, row.error);
    Object.assign(row, { state: "waiting", error: "" });
    return;
  }
  alike = ALIKE.includes(error.code) ? alike + 1 : 0;
  if (alike >= MOST_ALIKE) stop(row, words.stoppedBecause.replace("{why}", row.error));
}

function stop(from, why) {
  running = false;
  for (const row of rows) if (row !== from && row.state === "running") row.controller.abort();
  if (!why) return;
  part("task-stopped").hidden = false;
  part("task-stopped").querySelector("span").textContent = why;
}

function count(state) {
  return rows.filter((row) => row.state === state).length;
}

function changed() {
  table.number(rows);
  const [done, bad] = [count("done"), count("failed") + count("long")];
  part("task-empty").hidden = rows.length > 0;
  part("task-bar").max = Math.max(rows.length, 1);
  part("task-bar").value = done + bad;
  part("task-run").hidden = running;
  part("task-run").disabled = !count("waiting");
  part("task-stop").hidden = !running;
  part("task-retry").disabled = running || !count("failed");
  part("task-clear").disabled = running || !rows.length;
  for (const button of [part("task-copy"), ...sheets]) button.disabled = !rows.length;
  // Not at every row: whoever listens would hear nothing else.
  if (running && Date.now() - told > 3000) progress(done, bad);
}

function progress(done, bad) {
  say(words.summary.replace("{done}", done).replace("{all}", rows.length).replace("{failed}", bad).replace("{waiting}", count("waiting")));
}

function say(text) {
  told = Date.now();
  summary.textContent = text;
}

function cells() {
  const head = ["#", words.text, words.state, ...table.fields.map((field) => field.title), words.problem];
  const body = rows.map((row) => [String(row.number), row.name ? `${row.name}: ${row.text}` : row.text,
    row.edited ? words.edited : words[row.state], ...table.fields.map((field) => row.values[field.name] ?? ""),
    [row.error, row.note, row.cut ? words.cut : ""].filter(Boolean).join(" ")]);
  return [head, ...body];
}

async function copy() {
  // As spreadsheets read a copied table; what would begin a formula becomes text.
  const guarded = (text) => (/^\s*[=+\-@＝＋－＠]/.test(text) && !/^[+-]?\d+(\.\d+)?$/.test(text) ? `'${text}` : text);
  const quoted = (text) => (/[\t\n"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = cells().map((line) => line.map((text) => quoted(guarded(text))).join("\t"));
  try {
    await navigator.clipboard.writeText(lines.join("\r\n"));
    unsaved = false;
    say(words.copied);
  } catch {
    say(words.notCopied);
  }
}

async function download(format) {
  const headers = { "X-CSRFToken": csrf, "Content-Type": "application/json", Accept: "application/json" };
  const reply = await fetch(task.dataset.sheet, { method: "POST", headers, body: JSON.stringify({ format, rows: cells() }) }).catch(() => null);
  if (!reply?.ok || reply.redirected) { say(reply?.redirected ? words.signedOut : words.notSaved); return; }
  const link = element("a");
  link.href = URL.createObjectURL(await reply.blob());
  link.download = `${document.title.split(" · ")[0]}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  unsaved = false;
  say(words.saved);
}

function clear() {
  if (unsaved && !confirm(words.clear)) return;
  rows.forEach((row) => row.element.remove());
  rows = [];
  unsaved = false;
  part("task-files").replaceChildren();
  changed();
  say("");
  texts.focus();
}
