// The rows of a task's table as the page shows them. What models wrote is only ever put in as text.
export class Table {
  constructor(table, columns, words, act) {
    [this.head, this.body] = [table.tHead, table.tBodies[0]];
    Object.assign(this, { table, columns, words, act });
    this.fields = columns.length ? columns : [{ name: "", title: words.answer, kind: "text", options: [] }];
    const row = this.head.insertRow();
    for (const title of ["#", words.text, words.state, ...this.fields.map((field) => field.title)]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = title;
      row.append(cell);
    }
  }

  add(row) {
    row.element = document.createElement("tr");
    this.body.append(row.element);
    this.show(row);
  }

  insertAfter(row, added) {
    let last = row.element;
    for (const each of added) {
      each.element = document.createElement("tr");
      last.after(each.element);
      last = each.element;
      this.show(each);
    }
  }

  number(rows) {
    this.table.hidden = !rows.length;
    rows.forEach((row, index) => {
      row.number = index + 1;
      row.element.cells[0].textContent = String(row.number);
    });
  }

  show(row) {
    const held = row.element.contains(document.activeElement);
    const number = document.createElement("th");
    number.scope = "row";
    number.textContent = String(row.number ?? "");
    const cells = [number, labelled("td", this.words.text, source(row)), labelled("td", this.words.state, ...this.state(row))];
    if (row.state === "done") cells.push(...this.fields.map((field) => labelled("td", field.title, this.editor(row, field))));
    else cells.push(...this.outcome(row));
    row.element.replaceChildren(...cells);
    if (held) (row.element.querySelector("button, input, textarea, select") ?? this.table).focus();
  }

  state(row) {
    const tones = { waiting: "quiet", running: "busy", done: "good", failed: "bad", long: "warn" };
    const badge = element("span", `state state-${tones[row.state]}`, row.edited ? this.words.edited : this.words[row.state]);
    const buttons = element("div", "task-buttons");
    buttons.append(...this.buttons(row));
    const note = row.note || (row.cut ? this.words.cut : "");
    return note ? [badge, element("small", "muted task-note", note), buttons] : [badge, buttons];
  }

  // Why there is no answer; what the model wrote stands below it, as text.
  outcome(row) {
    const cell = labelled("td", row.error || row.raw ? this.words.problem : "");
    cell.colSpan = this.fields.length;
    cell.className = "task-problem";
    if (row.error) cell.append(element("p", "", row.error));
    if (row.raw) {
      const more = document.createElement("details");
      more.append(element("summary", "", this.words.raw), element("pre", "", row.raw));
      cell.append(more);
    }
    return [cell];
  }

  editor(row, field) {
    const input = control(field, this.words);
    input.value = row.values[field.name] ?? "";
    input.setAttribute("aria-label", this.words.row.replace("{number}", row.number).replace("{column}", field.title));
    input.addEventListener("input", () => {
      row.values[field.name] = input.value;
      const problem = wrong(field, input.value, this.words);
      input.setAttribute("aria-invalid", String(Boolean(problem)));
      input.classList.toggle("is-invalid", Boolean(problem));
      input.title = problem;
      if (!row.edited) {
        row.edited = true;
        row.element.cells[2].replaceChildren(...this.state(row));
      }
      this.act("edit", row);
    });
    return input;
  }

  buttons(row) {
    const found = [];
    const add = (name, text, count) => {
      const button = element("button", "btn btn-sm", text);
      button.type = "button";
      if (name === "remove") button.append(element("span", "visually-hidden", ` ${row.number ?? ""}`));
      button.addEventListener("click", () => this.act(name, row, count));
      found.push(button);
    };
    if (row.splits > 1) add("split", this.words.split.replace("{count}", row.splits));
    if (row.state === "long") add("again", this.words.anyway);
    if (row.state === "failed") add("again", this.words.again);
    if (row.state !== "running") add("remove", this.words.remove);
    return found;
  }
}

// A value as the table's cell has it; an object or list as JSON.
export function shown(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function source(row) {
  const text = row.text.replace(/\s+/g, " ");
  const title = row.name ? `${row.name}: ${text}` : text;
  if (row.text.length <= 90 && !row.text.includes("\n")) return element("span", "break", title);
  const more = element("details", "task-source");
  more.append(element("summary", "", `${title.slice(0, 90)}…`), element("pre", "", row.text));
  return more;
}

function control(field, words) {
  if (field.kind === "enum") return select(field.options.map((option) => [option, option]));
  if (field.kind === "boolean") return select([["true", words.yes], ["false", words.no]]);
  const input = document.createElement(field.kind === "text" || field.kind === "string" || field.kind === "json" ? "textarea" : "input");
  input.className = "form-control form-control-sm";
  if (input.tagName === "TEXTAREA") input.rows = field.kind === "text" ? 4 : 1;
  else input.inputMode = "decimal";
  return input;
}

function select(options) {
  const found = element("select", "form-select form-select-sm");
  found.append(new Option("", ""), ...options.map(([value, text]) => new Option(text, value)));
  return found;
}

function wrong(field, value, words) {
  if (!value) return "";
  if (field.kind === "number" && !Number.isFinite(Number(value))) return words.noNumber;
  if (field.kind === "integer" && !/^[+-]?\d+$/.test(value)) return words.noNumber;
  if (field.kind !== "json") return "";
  try {
    JSON.parse(value);
    return "";
  } catch {
    return words.noJson;
  }
}

function labelled(tag, label, ...children) {
  const cell = document.createElement(tag);
  if (label) cell.dataset.label = label;
  cell.append(...children);
  return cell;
}

export function element(tag, className, text) {
  const found = document.createElement(tag);
  if (className) found.className = className;
  if (text !== undefined) found.textContent = text;
  return found;
}
