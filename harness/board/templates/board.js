"use strict";
// Sorts the table by the column whose heading is pressed. Without script the table stands in the order of ranks.
(function () {
  var table = document.getElementById("board");
  var body = table.tBodies[0];
  var headings = Array.prototype.slice.call(table.tHead.rows[0].cells);
  function valueOf(row, column) {
    var text = row.cells[column].getAttribute("data-value");
    var number = parseFloat(text);
    return text === "" ? null : isNaN(number) || headings[column].className === "arm" ? text : number;
  }
  function sortBy(column) {
    var heading = headings[column];
    var direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    headings.forEach(function (other) { other.removeAttribute("aria-sort"); });
    heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    Array.prototype.slice.call(body.rows).sort(function (left, right) {
      var a = valueOf(left, column), b = valueOf(right, column);
      if (a === null || b === null) { return (a === null) - (b === null); }
      return direction * (typeof a === "string" ? a.localeCompare(b) : a - b);
    }).forEach(function (row) { body.appendChild(row); });
  }
  headings.forEach(function (heading, column) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.addEventListener("click", function () { sortBy(column); });
    heading.textContent = "";
    heading.appendChild(button);
  });
  headings[0].setAttribute("aria-sort", "ascending");
  function openTarget() {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; }
  }
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();
