"use strict";

// Tables sort by their titles: numbers from the highest, names from A; again: the other way; again: as they were.
const collator = new Intl.Collator("en", { numeric: true });
const MISSING = "–";

for (const table of document.querySelectorAll("table.sorts")) {
  // A block is a row with the rows that belong to it; a heading stays at the top of its own tbody.
  const bodies = [...table.tBodies].map((body) => {
    const blocks = [];
    for (const row of body.rows) {
      if (row.className === "sub" && blocks.length) blocks.at(-1).push(row);
      else if (row.className !== "group") blocks.push([row]);
    }
    return [body, blocks];
  });
  const titles = [...table.tHead.rows].at(-1).cells;
  [...titles].forEach((title, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...title.childNodes);
    title.append(button);
    const numbers = !title.matches(".name, .text");
    const key = ([row]) => {
      const cell = row.cells[column];
      if (numbers) return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
      const text = cell.textContent.trim();
      return text === MISSING || !text ? null : text;
    };
    const order = numbers ? ["descending", "ascending"] : ["ascending", "descending"];
    button.addEventListener("click", () => {
      const next = order[order.indexOf(title.getAttribute("aria-sort")) + 1];
      for (const other of titles) other.removeAttribute("aria-sort");
      if (next) title.setAttribute("aria-sort", next);
      const sign = next === "descending" ? -1 : 1;
      const compare = (a, b) => {
        const [one, two] = [key(a), key(b)];
        if (one === null || two === null) return (one === null) - (two === null); // missing last, either way
        return sign * (numbers ? one - two : collator.compare(one, two));
      };
      for (const [body, blocks] of bodies) body.append(...(next ? [...blocks].sort(compare) : blocks).flat());
    });
  });
}

// Names stay in sight while the numbers scroll: all of them where they leave room, else the last alone.
const ROOM = 0.55; // of the width

function fit() {
  for (const box of document.querySelectorAll(".scroll")) {
    const table = box.querySelector("table");
    const names = [...(table ? [...table.tHead.rows].at(-1).cells : [])];
    names.splice(names.findIndex((cell) => !cell.classList.contains("name")) >>> 0);
    const widths = names.map((cell) => cell.offsetWidth);
    const all = widths.reduce((sum, width) => sum + width, 0) <= ROOM * box.clientWidth;
    let left = 0;
    names.forEach((_, i) => {
      table.style.setProperty(`--left-${i + 1}`, all ? `${left}px` : i === names.length - 1 ? "0px" : "auto");
      left += widths[i];
    });
    more(box);
  }
}

function more(box) {
  box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
}

fit();
addEventListener("resize", fit);
addEventListener("scroll", (event) => event.target.classList?.contains("scroll") && more(event.target), true);

// Figures say their values at the point next to the mouse, the finger or, by tab and arrow keys, the focus.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true"); // the points' own labels say the same
document.body.append(tip);
const REACH = 24; // CSS pixels

function show(spot) {
  for (const other of document.querySelectorAll(".spot.on")) other.classList.remove("on");
  tip.hidden = !spot;
  if (!spot) return;
  spot.classList.add("on");
  tip.textContent = spot.getAttribute("aria-label");
  const [at, box] = [spot.getBoundingClientRect(), tip.getBoundingClientRect()];
  const left = Math.min(at.left + at.width / 2 - box.width / 2, document.documentElement.clientWidth - box.width - 8);
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${at.top - box.height - 6 > 0 ? at.top - box.height - 6 : at.bottom + 6}px`;
}

for (const plot of document.querySelectorAll(".plot")) {
  const spots = [...plot.querySelectorAll(".spot")];
  if (!spots.length) continue;
  spots.forEach((spot, index) => (spot.tabIndex = index ? -1 : 0)); // one stop for the tab key
  const point = (event) => {
    const distance = (spot) => {
      const box = spot.getBoundingClientRect();
      return Math.hypot(box.left + box.width / 2 - event.clientX, box.top + box.height / 2 - event.clientY);
    };
    const near = spots.map((spot) => [distance(spot), spot]).reduce((a, b) => (b[0] < a[0] ? b : a));
    show(near[0] <= REACH ? near[1] : null);
  };
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(null));
  plot.addEventListener("focusin", (event) => show(event.target));
  plot.addEventListener("focusout", () => show(null));
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") show(null);
    if (!step) return;
    event.preventDefault();
    const next = spots.at((spots.indexOf(document.activeElement) + step) % spots.length);
    for (const spot of spots) spot.tabIndex = spot === next ? 0 : -1;
    next.focus();
  });
}
addEventListener("scroll", () => show(document.querySelector(".spot.on")), { passive: true, capture: true });

// Galleries show the first image of every domain, or all of one, and all variants or one.
for (const gallery of document.querySelectorAll(".gallery")) {
  const [domain, what] = gallery.querySelectorAll("select");
  const choose = () => {
    for (const scene of gallery.querySelectorAll(".scene"))
      scene.hidden = domain.value ? scene.dataset.domain !== domain.value : !("first" in scene.dataset);
    for (const panel of gallery.querySelectorAll("[data-what]"))
      panel.hidden = what.value && panel.dataset.what !== what.value;
  };
  gallery.addEventListener("change", choose);
  choose();
}
