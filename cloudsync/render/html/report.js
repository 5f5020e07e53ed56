"use strict";
(function () {
  const form = document.getElementById("filter");
  const words = document.getElementById("words");
  const shown = document.getElementById("shown");
  const rows = Array.from(document.querySelectorAll("tr[data-state]"), function (row) {
    return { row: row, state: row.dataset.state, content: row.textContent.toLowerCase() };
  });
  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const states = new Set(Array.from(form.querySelectorAll("[name=state]:checked"), function (box) { return box.value; }));
    let count = 0;
    for (const entry of rows) {
      const matches = states.has(entry.state) && wanted.every(function (word) { return entry.content.includes(word); });
      if (entry.row.hidden === matches) { entry.row.hidden = !matches; }
      count += matches ? 1 : 0;
    }
    shown.textContent = count + " of " + rows.length;
  }
  form.hidden = false;
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("input", filter);
  filter();
})();
