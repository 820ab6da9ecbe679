"use strict";
// The page is whole without this script; it adds what style sheets cannot do: lighting up what belongs together, the
// opacity slider, sorting, the filter, and the language of attributes.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  // --- language
  const setLanguage = () => {
    const code = document.querySelector("input[name=language]:checked").value;
    root.lang = code;
    for (const element of document.querySelectorAll("[data-attribute]")) {
      element.setAttribute(element.dataset.attribute, element.dataset[code]);
    }
  };
  for (const radio of document.querySelectorAll("input[name=language]")) radio.addEventListener("change", setLanguage);
  setLanguage();

  // --- what belongs together
  const regionsOf = (element) => element.dataset.regions.split(" ");
  // Elements of a scene by region, found once, when the scene is first used.
  const indexes = new WeakMap();
  const indexOf = (scene) => {
    if (!indexes.has(scene)) {
      const index = new Map();
      for (const element of scene.querySelectorAll("[data-regions]")) {
        for (const region of regionsOf(element)) {
          if (!index.has(region)) index.set(region, []);
          index.get(region).push(element);
        }
      }
      indexes.set(scene, index);
    }
    return indexes.get(scene);
  };

  const clear = (scene) => {
    for (const element of scene.querySelectorAll(".lit")) element.classList.remove("lit");
    scene.querySelector(".light").replaceChildren();
    scene.querySelector(".stage").classList.remove("lighting");
  };

  const light = (scene, source) => {
    clear(scene);
    const wanted = regionsOf(source);
    const lit = new Set([source]);
    for (const region of wanted) {
      for (const element of indexOf(scene).get(region) ?? []) {
        // One region lights all that speaks of it; what speaks of several lights these regions, not one another.
        const group = element.matches(".clause, .edge:not(.node)");
        const same = element.dataset.relation && element.dataset.relation === source.dataset.relation;
        if (!group || same || (wanted.length === 1 && !source.matches(".clause"))) lit.add(element);
      }
    }
    const outlines = [];
    for (const element of lit) {
      element.classList.add("lit");
      if (element.closest(".areas") && getComputedStyle(element.parentNode).display !== "none") {
        for (const name of ["outer", "inner"]) {
          const copy = element.cloneNode();
          copy.removeAttribute("data-regions");
          copy.setAttribute("class", name);
          outlines.push(copy);
        }
      }
    }
    scene.querySelector(".light").append(...outlines.filter((o) => o.matches(".outer")), ...outlines.filter((o) => o.matches(".inner")));
    scene.querySelector(".stage").classList.add("lighting");
    if (!source.matches("tr")) showRow(scene.querySelector(".tall tr.lit"));
  };

  // Scrolls the table alone; scrollIntoView would move the page under the pointer.
  const showRow = (row) => {
    const box = row?.closest(".tall");
    if (!box || !box.offsetParent) return;
    const head = box.querySelector("thead").offsetHeight;
    const top = row.offsetTop - head;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight) {
      box.scrollTop = row.offsetTop + row.offsetHeight - box.clientHeight;
    }
  };

  const pins = new WeakMap();
  const pin = (scene, element) => {
    const before = pins.get(scene);
    before?.removeAttribute("aria-pressed");
    if (!element || before === element) {
      pins.delete(scene);
      scene.classList.remove("pinned");
      if (element) light(scene, element); else clear(scene);
      return;
    }
    pins.set(scene, element);
    scene.classList.add("pinned");
    if (element.matches(".clause")) element.setAttribute("aria-pressed", "true");
    light(scene, element);
  };

  const sourceOf = (event) => event.target.closest?.("[data-regions]");
  const sceneOf = (element) => element.closest(".scene");
  const rest = (scene) => {
    const kept = pins.get(scene);
    if (kept) light(scene, kept); else clear(scene);
    scene.querySelector(".tip").hidden = true;
  };
  for (const name of ["pointerover", "focusin"]) {
    document.addEventListener(name, (event) => {
      const source = sourceOf(event);
      if (source && !pins.has(sceneOf(source))) light(sceneOf(source), source);
    });
  }
  for (const name of ["pointerout", "focusout"]) {
    document.addEventListener(name, (event) => {
      const source = sourceOf(event);
      if (source && !source.contains(event.relatedTarget)) rest(sceneOf(source));
    });
  }
  document.addEventListener("click", (event) => {
    const source = sourceOf(event);
    if (source) pin(sceneOf(source), source);
    else if (event.target.closest?.(".stage")) pin(sceneOf(event.target), null);
  });
  document.addEventListener("keydown", (event) => {
    const source = sourceOf(event);
    if (event.key === "Escape") {
      for (const scene of document.querySelectorAll(".scene.pinned")) pin(scene, null);
      return;
    }
    if (!source) return;
    if (event.key === "Enter" || event.key === " ") pin(sceneOf(source), source);
    else if (source.matches("tr") && (event.key === "ArrowDown" || event.key === "ArrowUp")) step(source, event.key);
    else return;
    event.preventDefault();
  });
  // One stop of the Tab key in a table; arrows go from row to row.
  const step = (row, key) => {
    let next = row;
    do next = key === "ArrowDown" ? next.nextElementSibling : next.previousElementSibling;
    while (next && !next.offsetParent);
    if (!next) return;
    row.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };
  for (const clause of document.querySelectorAll(".clause")) {
    clause.tabIndex = 0;
    clause.setAttribute("role", "button");
  }
  for (const body of document.querySelectorAll(".scene tbody")) {
    for (const row of body.rows) row.tabIndex = -1;
    if (body.rows.length) body.rows[0].tabIndex = 0;
  }

  // --- the name of what is under the pointer
  for (const stage of document.querySelectorAll(".stage")) {
    const tip = stage.querySelector(".tip");
    stage.addEventListener("pointermove", (event) => {
      const source = sourceOf(event);
      tip.hidden = !source;
      if (!source) return;
      const { relation, regions } = source.dataset;
      const row = sceneOf(stage).querySelector(
        relation ? `tr[data-relation="${relation}"]` : `.regions tr[data-regions="${regions}"]`);
      if (tip.source !== source && row) {
        tip.source = source;
        const name = [...row.querySelector("th").cloneNode(true).childNodes];
        const facts = document.createElement("span");
        facts.className = "id";
        facts.textContent = relation ? "" : ` ${regions} · ${row.cells[2].textContent}`;
        tip.replaceChildren(...name, facts);
      }
      const box = stage.getBoundingClientRect();
      const left = Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth - 4);
      const below = event.clientY - box.top + 18;
      tip.style.left = `${Math.max(4, left)}px`;
      tip.style.top = `${below + tip.offsetHeight > box.height ? below - 18 - tip.offsetHeight - 6 : below}px`;
    });
    stage.addEventListener("pointerleave", () => { tip.hidden = true; });
    const slider = sceneOf(stage).querySelector(".slider input");
    slider.addEventListener("input", () => stage.style.setProperty("--alpha", slider.value / 100));
  }

  // --- sorting
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.innerText.trim();
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), root.lang));
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const head of table.tHead.querySelectorAll("th")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const column = head.cellIndex;
        const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
        const numeric = rows.every(([value]) => typeof value === "number");
        const was = head.getAttribute("aria-sort");
        // Numbers begin with the largest, but for ids, which are sorted already.
        const rising = was ? was === "descending" : !numeric;
        rows.sort(([a], [b]) => (rising ? compare(a, b) : compare(b, a)));
        for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    }
  }

  // --- filter
  const filter = document.getElementById("filter");
  filter?.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const entries = document.querySelectorAll(".contents li");
    let found = 0;
    document.querySelectorAll(".scene").forEach((scene, number) => {
      scene.words ??= [".chips.for-regions", ".said", "header"]
        .map((part) => scene.querySelector(part).textContent.toLowerCase()).join(" ");
      const shown = words.every((word) => scene.words.includes(word));
      scene.hidden = !shown;
      entries[number].hidden = !shown;
      found += shown;
    });
    document.getElementById("no-match").hidden = found > 0;
  });
})();
