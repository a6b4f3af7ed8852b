// Sends the files of a model in chunks; what was sent before a broken connection is not sent again.
const form = document.getElementById("upload");
const panel = document.getElementById("upload-progress");
const bar = document.getElementById("upload-bar");
const figures = document.getElementById("upload-figures");
const problem = document.getElementById("upload-problem");
const problemText = document.getElementById("upload-problem-text");
const words = form.dataset;
const csrf = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRFToken"];
const CHUNK = 4 * 1024 * 1024;
const TRIES = 8;
let pausing = false;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run().catch((error) => fail(error.message));
});
document.getElementById("upload-pause").addEventListener("click", () => { pausing = true; });

async function run() {
  const files = [...form.elements.model_files.files];
  if (!files.length || !form.reportValidity()) return;
  pausing = false;
  problem.hidden = true;
  panel.hidden = false;
  for (const button of form.querySelectorAll("button:not(#upload-pause)")) button.disabled = true;
  const upload = (await begun(files)) ?? (await begin(files));
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const meter = { total, done: 0, from: null };
  meter.done = upload.files.reduce((sum, file) => sum + file.received, 0);
  for (const known of upload.files) {
    if (!(await send(upload, known, files.find((file) => file.name === known.name), meter))) return ended();
  }
  figures.textContent = words.checking;
  const operation = await ask("POST", `/api/v1/uploads/${upload.id}/finish/`);
  location.assign(`/operations/${operation.id}/`);
}

// An upload of the same files to the same node that broke off: it is gone on with.
async function begun(files) {
  const node = encodeURIComponent(form.elements.node.value);
  const open = await ask("GET", `/api/v1/uploads/?state=open&node=${node}&page_size=200`);
  const name = form.elements.name.value.trim();
  const same = (upload) => [name, `${name}:latest`].includes(upload.name) && upload.files.length === files.length
    && upload.files.every((known) => files.some((file) => file.name === known.name && file.size === known.size));
  return open.results.find(same);
}

function begin(files) {
  const sha256 = form.elements.sha256.value;
  return ask("POST", "/api/v1/uploads/", {
    name: form.elements.name.value,
    node: form.elements.node.value,
    quantize: form.elements.quantize.value,
    base: form.elements.base.value,
    files: files.map((file) => ({ name: file.name, size: file.size, sha256: files.length === 1 ? sha256 : "" })),
  });
}

async function send(upload, known, file, meter) {
  let at = known.received;
  let failures = 0;
  while (at < file.size) {
    if (pausing) return false;
    const before = at;
    try {
      const chunk = file.slice(at, at + CHUNK);
      const answer = await ask("PUT", `/api/v1/uploads/${upload.id}/files/${known.id}/?offset=${at}`, chunk);
      at = answer.received;
      failures = 0;
    } catch (error) {
      if (error.status && error.status !== 409 && error.status < 500) throw error;
      if (++failures > TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** failures));
      at = await whereItIs(upload, known, at);
    }
    meter.done += at - before;
    show(meter);
  }
  return true;
}

async function whereItIs(upload, known, fallback) {
  try {
    const now = await ask("GET", `/api/v1/uploads/${upload.id}/`);
    return now.files.find((file) => file.id === known.id).received;
  } catch {
    return fallback;
  }
}

async function ask(method, url, body) {
  const bytes = body instanceof Blob;
  const headers = { "X-CSRFToken": csrf };
  if (body) headers["Content-Type"] = bytes ? "application/octet-stream" : "application/json";
  const answer = await fetch(url, { method, headers, body: bytes || !body ? body : JSON.stringify(body) });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(told.error?.message ?? words.failed), { status: answer.status });
  return told;
}

function show(meter) {
  const now = performance.now();
  meter.from ??= { at: now, done: meter.done };
  const percent = Math.floor((100 * meter.done) / meter.total);
  bar.value = percent;
  const seconds = (now - meter.from.at) / 1000;
  const rate = seconds > 1 ? (meter.done - meter.from.done) / seconds : 0;
  const parts = [`${percent} %`, `${megabytes(meter.done)} / ${megabytes(meter.total)} MB`];
  if (rate) {
    parts.push(words.rate.replace("{rate}", `${megabytes(rate)} MB`));
    parts.push(words.left.replace("{seconds}", String(Math.ceil((meter.total - meter.done) / rate))));
  }
  figures.textContent = parts.join(" · ");
}

function megabytes(bytes) {
  return (bytes / 1e6).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 });
}

function ended() {
  figures.textContent = words.paused;
  for (const button of form.querySelectorAll("button")) button.disabled = false;
}

function fail(text) {
  problemText.textContent = text || words.failed;
  problem.hidden = false;
  panel.hidden = true;
  for (const button of form.querySelectorAll("button")) button.disabled = false;
}
