// What is wrong with a filter is said in the part that htmx replaces; its field, which stays, is
// marked here as the server marks it on a whole page.
function mark() {
  const field = document.getElementById("filter-problem")?.dataset.field;
  for (const input of document.querySelectorAll("form[role=search] :is(.form-control, .form-select)")) {
    const wrong = input.name === field;
    input.classList.toggle("is-invalid", wrong);
    if (wrong) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", "filter-problem");
    } else {
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    }
  }
}

document.body.addEventListener("htmx:afterSettle", mark);
