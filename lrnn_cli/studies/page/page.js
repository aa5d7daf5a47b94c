"use strict";

// A click on a column's title sorts by it: ascending first, the other way round at the next.
function sortTable(table, column) {
  const title = table.tHead.rows[0].cells[column];
  const down = title.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  title.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const key = (row) => row.cells[column].dataset.value;
  const rows = Array.from(body.rows).map((row, place) => ({ row, place, value: key(row) }));
  const numeric = rows.every((one) => one.value === "" || !Number.isNaN(Number(one.value)));
  rows.sort((a, b) => {
    if ((a.value === "") !== (b.value === "")) return a.value === "" ? 1 : -1; // no figure: always last
    const order = numeric ? Number(a.value) - Number(b.value) : a.value < b.value ? -1 : a.value > b.value ? 1 : 0;
    return (down ? -order : order) || a.place - b.place;
  });
  for (const one of rows) body.appendChild(one.row);
}

for (const table of document.querySelectorAll("table.sortable")) {
  Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
    cell.querySelector("button").addEventListener("click", () => sortTable(table, column));
  });
}

// Two pictures on top of each other; the slider moves the edge between them.
for (const pair of document.querySelectorAll(".pair")) {
  const stack = pair.querySelector(".stack");
  const slider = pair.querySelector("input[type=range]");
  slider.addEventListener("input", () => stack.style.setProperty("--cut", slider.value + "%"));
  for (const [choice, image] of [["left", ".under"], ["right", ".over"]]) {
    const select = pair.querySelector("select." + choice);
    const shown = pair.querySelector(image);
    const show = () => {
      shown.src = document.getElementById(select.value).src;
      shown.alt = select.options[select.selectedIndex].text;
    };
    select.addEventListener("change", show);
    show();
  }
}
