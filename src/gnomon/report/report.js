"use strict";
// The page can be read without this: it adds the choice of language and theme, values under the pointer, sorting, and
// the examples behind a number of the matrix in its place. Text is set as text, never as markup.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const tags = { en: "en", zh: "zh-Hans" };
  const told = document.getElementById("told");

  // Language
  const speak = (language) => {
    root.lang = tags[language];
    for (const name of ["aria-label", "alt"]) {
      for (const element of all(`[data-${language}-${name}]`)) {
        element.setAttribute(name, element.getAttribute(`data-${language}-${name}`));
      }
    }
    for (const button of all("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
    }
  };
  for (const button of all("[data-language]")) button.addEventListener("click", () => speak(button.dataset.language));

  // Theme
  const theme = document.getElementById("theme");
  theme.addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.style.colorScheme = (root.style.colorScheme || system) === "dark" ? "light" : "dark";
  });
  for (const element of all(".tools [hidden]")) element.hidden = false;

  // Charts: a line under the pointer, or moved by the arrow keys, with the values where it stands
  const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const shown = (element) => [...element.childNodes]
    .filter((node) => node.nodeType === 3 || getComputedStyle(node).display !== "none")
    .map((node) => node.textContent).join("");
  for (const plot of all(".plot")) {
    const stops = JSON.parse(plot.dataset.stops);
    if (!stops.length) continue;
    const drawing = plot.querySelector("svg");
    const names = all(".names li", plot);
    const pointer = svg("g", { class: "pointer", visibility: "hidden" });
    pointer.append(svg("path", { class: "rule" }));
    drawing.append(pointer);
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    plot.append(tip);
    let place = -1;
    const hide = () => { tip.hidden = true; pointer.setAttribute("visibility", "hidden"); };
    const show = (index, aloud) => {
      place = Math.max(0, Math.min(stops.length - 1, index));
      const [x, text, values] = stops[place];
      for (const dot of all("circle", pointer)) dot.remove();
      pointer.firstChild.setAttribute("d", `M${x} 12V206`);
      tip.replaceChildren();
      const head = document.createElement("b");
      head.textContent = `${shown(names[names.length - 1])} ${text}`;
      tip.append(head);
      for (const [line, y, value] of values) {
        const look = names[line].className;
        pointer.append(svg("circle", { class: `dot ${look}`, cx: x, cy: y, r: 3.6 }));
        const part = document.createElement("span");
        part.className = look;
        part.textContent = `${shown(names[line])} ${value}`;
        tip.append(part);
      }
      pointer.setAttribute("visibility", "visible");
      tip.hidden = false;
      tip.style.left = `${x / 4}%`;
      tip.classList.toggle("leftward", x > 220);
      if (aloud) told.textContent = [...tip.children].map((part) => part.textContent).join(", ");
    };
    plot.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * 400;
      let nearest = 0;
      stops.forEach((stop, index) => { if (Math.abs(stop[0] - x) < Math.abs(stops[nearest][0] - x)) nearest = index; });
      show(nearest, false);
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    drawing.setAttribute("tabindex", "0");
    drawing.addEventListener("blur", hide);
    drawing.addEventListener("focus", () => { if (drawing.matches(":focus-visible")) show(place < 0 ? stops.length - 1 : place, true); });
    drawing.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9 }[event.key];
      if (event.key === "Escape") hide();
      if (move === undefined) return;
      event.preventDefault();
      show(place + move, true);
    });
  }

  // Tables: sorted by the heading that is clicked
  for (const table of all("table.sortable")) {
    const headings = all("thead th", table);
    headings.forEach((heading, column) => {
      if (!heading.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sorter";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        const value = (row) => {
          const cell = row.children[column];
          return heading.dataset.sort === "number" ? Number(cell.dataset.order) : cell.textContent;
        };
        const rows = all("tbody tr", table).sort((a, b) => {
          const [left, right] = [value(a), value(b)];
          return (typeof left === "number" ? left - right : left.localeCompare(right)) * (down ? -1 : 1);
        });
        table.tBodies[0].append(...rows);
        for (const other of headings) other.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      });
    });
  }

  // The matrix: arrow keys go from number to number; examples open under it, and Escape leads back
  const links = all(".matrix a");
  let opened = null;
  const close = () => {
    if (!opened) return;
    opened.panel.classList.remove("open");
    opened.link.removeAttribute("aria-expanded");
    opened.link.focus({ preventScroll: true });
    opened = null;
  };
  const open = (link) => {
    const panel = document.getElementById(link.hash.slice(1));
    if (opened) { opened.panel.classList.remove("open"); opened.link.removeAttribute("aria-expanded"); }
    opened = { link, panel };
    panel.classList.add("open");
    link.setAttribute("aria-expanded", "true");
    panel.focus({ preventScroll: true });
    panel.scrollIntoView({ block: "nearest" });
  };
  const here = (link) => {
    for (const other of links) other.tabIndex = -1;
    link.tabIndex = 0;
  };
  if (links.length) here(links[0]);
  for (const link of links) {
    link.setAttribute("aria-controls", link.hash.slice(1));
    link.addEventListener("click", (event) => { event.preventDefault(); here(link); open(link); });
    link.addEventListener("keydown", (event) => {
      const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] || [0, 0];
      if (!across && !down) return;
      event.preventDefault();
      let cell = link.closest("td");
      while (cell) {
        const row = down ? cell.parentElement[down > 0 ? "nextElementSibling" : "previousElementSibling"] : cell.parentElement;
        cell = row && row.children[cell.cellIndex + across];
        const next = cell && cell.querySelector("a");
        if (next) { here(next); next.focus(); return; }
      }
    });
  }
  for (const panel of all(".cell")) {
    panel.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
    panel.querySelector(".close").addEventListener("click", (event) => { event.preventDefault(); close(); });
  }

  // Contents: where one is
  if ("IntersectionObserver" in window) {
    const entries = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));
    const watch = new IntersectionObserver((seen) => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        for (const link of entries.values()) link.removeAttribute("aria-current");
        entries.get(target.id)?.setAttribute("aria-current", "true");
      }
    }, { rootMargin: "-10% 0px -80% 0px" });
    for (const id of entries.keys()) watch.observe(document.getElementById(id));
  }

  // Printed, everything is open
  const closed = new Set();
  addEventListener("beforeprint", () => { for (const part of all("details:not([open])")) { closed.add(part); part.open = true; } });
  addEventListener("afterprint", () => { for (const part of closed) part.open = false; closed.clear(); });
})();
