"use strict";
// Sorting of tables, filtering of the board, one confusion matrix at a time, curves that stand out. All content is in the page
// without it: then the table stands in the order of ranks, and every matrix is shown.
(function () {
  function all(selector, within) {
    return Array.prototype.slice.call((within || document).querySelectorAll(selector));
  }
  function make(name, parent, attributes, text) {
    var element = document.createElement(name);
    Object.keys(attributes || {}).forEach(function (key) { element.setAttribute(key, attributes[key]); });
    if (text !== undefined) { element.textContent = text; }
    return parent ? parent.appendChild(element) : element;
  }

  function valueOf(cell, isText) {
    var text = cell.hasAttribute("data-value") ? cell.getAttribute("data-value") : cell.textContent;
    var number = parseFloat(text);
    return text === "" || text === "–" ? null : isNaN(number) || isText ? text : number;
  }
  function sortable(table) {
    var body = table.tBodies[0], headings = all("th", table.tHead);
    function sortBy(column) {
      var heading = headings[column], before = heading.getAttribute("aria-sort"), isText = heading.className === "arm";
      var direction = heading.getAttribute("data-first") === "descending" ? -1 : 1;
      if (before) { direction = before === "ascending" ? -1 : 1; }
      headings.forEach(function (other) { other.removeAttribute("aria-sort"); });
      heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      all("tr", body).sort(function (left, right) {
        var a = valueOf(left.cells[column], isText), b = valueOf(right.cells[column], isText);
        if (a === null || b === null) { return (a === null) - (b === null); }
        return direction * (typeof a === "string" || typeof b === "string" ? String(a).localeCompare(b) : a - b);
      }).forEach(function (row) { body.appendChild(row); });
    }
    headings.forEach(function (heading, column) {
      var button = make("button", null, { type: "button" }, heading.textContent);
      button.addEventListener("click", function () { sortBy(column); });
      heading.textContent = "";
      heading.appendChild(button);
    });
    if (table === board && headings.length) { headings[0].setAttribute("aria-sort", "ascending"); }
  }
  var board = document.getElementById("board");
  var rows = all("tr", board.tBodies[0]);
  sortable(board);
  all("table.sortable").forEach(sortable);

  function addFilter() {
    var place = document.getElementById("filter");
    var chosen = {};
    var label = make("label", place, {}, "Filter ");
    var input = make("input", label, { type: "search", placeholder: "arm, stamp or cell", autocomplete: "off" });
    var verdicts = rows.map(function (row) { return row.getAttribute("data-verdict"); });
    var buttons = make("span", place, { role: "group", "aria-label": "Verdicts", "class": "choices" });
    var told = make("output", place, { "aria-live": "polite" });
    function apply() {
      var words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      var any = Object.keys(chosen).some(function (name) { return chosen[name]; });
      var shown = 0;
      rows.forEach(function (row) {
        var text = row.textContent.toLowerCase();
        var fits = words.every(function (word) { return text.indexOf(word) >= 0; });
        row.hidden = !fits || (any && !chosen[row.getAttribute("data-verdict")]);
        shown += row.hidden ? 0 : 1;
      });
      told.textContent = shown === rows.length ? "" : shown + " of " + rows.length + " arms";
    }
    input.addEventListener("input", apply);
    verdicts.filter(function (name, index) { return verdicts.indexOf(name) === index; }).forEach(function (name) {
      var button = make("button", buttons, { type: "button", "aria-pressed": "false" }, name);
      button.addEventListener("click", function () {
        chosen[name] = !chosen[name];
        button.setAttribute("aria-pressed", String(chosen[name]));
        apply();
      });
    });
    place.hidden = false;
  }
  if (rows.length > 1) { addFilter(); }

  all(".picks").forEach(function (group) {
    var picks = all(".pick", group);
    if (picks.length < 2) { return; }
    var label = make("label", null, { "class": "picker" }, group.getAttribute("data-label") + " ");
    var select = make("select", label);
    picks.forEach(function (pick, index) { make("option", select, { value: index }, pick.getAttribute("data-pick")); });
    var bases = all("[data-base]", group.parentNode);
    function show() {
      picks.forEach(function (pick, index) { pick.hidden = String(index) !== select.value; });
      var against = picks[select.value].getAttribute("data-against");
      bases.forEach(function (base) { base.hidden = base.getAttribute("data-base") !== against; });
    }
    select.addEventListener("change", show);
    group.insertBefore(label, group.firstChild);
    show();
  });

  function standOut(item, section, selector) {
    function mark(on) {
      section.classList.toggle("dimmed", on);
      all(selector, section).forEach(function (line) { line.classList.toggle("lit", on); });
    }
    ["mouseenter", "focus"].forEach(function (kind) { item.addEventListener(kind, function () { mark(true); }); });
    ["mouseleave", "blur"].forEach(function (kind) { item.addEventListener(kind, function () { mark(false); }); });
  }
  all(".legend [data-series]").forEach(function (item) {
    item.tabIndex = 0;
    standOut(item, item.closest("section"), "figure ." + item.getAttribute("data-series"));
  });

  var COLOURS = 7; // beside the baseline's, which is s0
  all(".key").forEach(function (key) {
    var section = key.closest("section"), baseline = null, chosen = []; // {arm, style}, the longest chosen first
    function paint(arm, style) {
      all('figure [data-arm="' + arm + '"]', section).forEach(function (line) {
        line.setAttribute("class", line.getAttribute("class").replace(/\b(s\d|other)\b/, style));
        if (style !== "other" && line.tagName === "polyline") { line.parentNode.appendChild(line); }
      });
      all('[data-arm="' + arm + '"]', key).forEach(function (item) {
        item.querySelector("line").setAttribute("class", "line " + style);
        item.querySelector("button").setAttribute("aria-pressed", String(style !== "other"));
      });
    }
    function drop(arm) {
      chosen = chosen.filter(function (one) { return one.arm !== arm; });
      paint(arm, "other");
    }
    function isChosen(arm) { return chosen.some(function (one) { return one.arm === arm; }); }
    function choose(arm) {
      var style = "s0", others = chosen.filter(function (one) { return one.style !== "s0"; });
      if (arm !== baseline) {
        if (others.length >= COLOURS) { drop(others[0].arm); }
        for (var number = 1; number <= COLOURS; number += 1) {
          style = "s" + number;
          if (!chosen.some(function (one) { return one.style === style; })) { break; }
        }
      }
      chosen.push({ arm: arm, style: style });
      paint(arm, style);
    }
    all("[data-arm]", key).forEach(function (item) {
      var arm = item.getAttribute("data-arm"), style = item.querySelector("line").getAttribute("class").split(" ")[1];
      var button = make("button", null, { type: "button", "aria-pressed": String(style !== "other") });
      while (item.firstChild) { button.appendChild(item.firstChild); }
      item.appendChild(button);
      if (style === "s0") { baseline = arm; }
      if (style !== "other") { chosen.push({ arm: arm, style: style }); }
      button.addEventListener("click", function () { if (isChosen(arm)) { drop(arm); } else { choose(arm); } });
      standOut(button, section, 'figure [data-arm="' + arm + '"]');
    });
    make("p", key, { "class": "note" }, "Press a name to colour its curves or to grey them. Beside the baseline " + COLOURS +
      " arms have a colour at once: where one more is pressed, the one that was pressed first turns grey.");
  });

  function openTarget() {
    var target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; }
  }
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();
