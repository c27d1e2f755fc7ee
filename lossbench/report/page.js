"use strict";

// A press on a heading sorts its table; the second press turns the order round. Rows without a value stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const opposite = before === "ascending" ? "descending" : "ascending";
      const order = before === "none" ? button.dataset.first : opposite;
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].sort((a, b) => {
        const [one, other] = [a, b].map((row) => row.cells[column].dataset.value);
        if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
        return sign * (column === 0 ? one.localeCompare(other, "en", { numeric: true }) : Number(one) - Number(other));
      });
      body.append(...rows);
    });
  });
}

// Paper shows everything.
let folded = [];
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open]):not(.player)")];
  folded.forEach((element) => { element.open = true; });
});
window.addEventListener("afterprint", () => folded.forEach((element) => { element.open = false; }));
