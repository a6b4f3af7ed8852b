// Small conveniences of every page: theme, menu on phones, copying, confirming that htmx failed.
const status = document.getElementById("status");

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-theme-switch], #menu-button, [data-copy], [data-set]");
  if (!target) return;
  if (target.hasAttribute("data-theme-switch")) switchTheme();
  else if (target.id === "menu-button") toggleMenu(target);
  else if (target.dataset.set) setField(target);
  else copy(target);
});

function switchTheme() {
  const root = document.documentElement;
  const next = root.dataset.bsTheme === "dark" ? "light" : "dark";
  root.dataset.bsTheme = next;
  localStorage.setItem("fusebox-theme", next);
}

function toggleMenu(button) {
  const open = button.getAttribute("aria-expanded") !== "true";
  button.setAttribute("aria-expanded", String(open));
  document.getElementById("side").classList.toggle("open", open);
}

function setField(button) {
  const field = document.getElementById(button.dataset.set);
  field.value = button.dataset.value;
  field.closest("details")?.setAttribute("open", "");
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const text = "value" in source ? source.value : source.textContent;
  try {
    await navigator.clipboard.writeText(text.trim());
  } catch {
    // Without the permission (plain http): select it, so that one key copies it.
    const range = document.createRange();
    range.selectNodeContents(source);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  status.textContent = status.dataset.copied;
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), 1500);
}

// What a reader opened or closed stays so when its part of the page is brought up to date.
const folds = {};
document.addEventListener("toggle", (event) => {
  if (event.target.id) folds[event.target.id] = event.target.open;
}, true);
document.body.addEventListener("htmx:afterSwap", () => {
  for (const [id, open] of Object.entries(folds)) {
    const fold = document.getElementById(id);
    if (fold) fold.open = open;
  }
});

document.body.addEventListener("htmx:sendError", () => {
  status.textContent = status.dataset.failed;
});

// A model is offered only on nodes that store it: the list of nodes follows the model.
const model = document.querySelector("[data-stored-on]");
if (model) {
  const places = JSON.parse(document.getElementById("stored-on").textContent);
  const node = document.getElementById("id_node");
  const follow = () => {
    const on = places[model.value] || [];
    for (const option of node.options) option.disabled = option.value !== "" && model.value !== "" && !on.includes(option.value);
    if (node.selectedOptions[0]?.disabled) node.value = "";
  };
  model.addEventListener("change", follow);
  follow();
}

// Alarms: asked for now and then, but only while somebody is there, so that asking does not keep a
// session alive that ought to end.
const LOOK_MS = 30_000;
const PRESENT_MS = 5 * 60_000;
let touched = Date.now();
for (const kind of ["pointerdown", "keydown", "scroll"]) {
  document.addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
}
setInterval(() => {
  const news = document.getElementById("alarm-news");
  if (news && !document.hidden && Date.now() - touched < PRESENT_MS) htmx.trigger(news, "look");
}, LOOK_MS);
document.addEventListener("click", (event) => {
  event.target.closest("[data-dismiss]")?.parentElement.remove();
});
