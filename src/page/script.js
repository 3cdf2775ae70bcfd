"use strict";
(() => {
  const all = (of, what) => Array.from(of.querySelectorAll(what));

  // Tabs: one panel at a time, by arrow keys too.
  for (const group of all(document, "[data-tabs]")) {
    const own = (what) => all(group, what).filter((e) => e.closest("[data-tabs]") === group);
    const tabs = own("[role=tab]");
    const panels = own("[role=tabpanel]");
    const choose = (at, focus) => {
      tabs.forEach((tab, i) => {
        tab.setAttribute("aria-selected", String(i === at));
        tab.tabIndex = i === at ? 0 : -1;
        panels[i].hidden = i !== at;
      });
      if (focus) tabs[at].focus();
    };
    tabs.forEach((tab, i) => {
      tab.addEventListener("click", () => choose(i, false));
      tab.addEventListener("keydown", (event) => {
        const last = tabs.length - 1;
        const to = { ArrowRight: i === last ? 0 : i + 1, ArrowLeft: i === 0 ? last : i - 1, Home: 0, End: last }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        choose(to, true);
      });
    });
    choose(0, false);
  }

  // Charts: what the pointer is on is told below; arrow keys go from one thing to the next.
  for (const figure of all(document, "[data-figure]")) {
    const output = figure.querySelector("output");
    const note = output.textContent;
    let on = null;
    const tell = (thing) => {
      if (on) on.classList.remove("on");
      on = thing;
      const title = thing && thing.querySelector("title");
      output.textContent = title ? title.textContent : note;
    };
    figure.addEventListener("pointerover", (event) => tell(event.target.closest("[data-say], .node")));
    figure.addEventListener("pointerleave", () => tell(null));
    figure.addEventListener("focusin", (event) => {
      const thing = event.target.closest("[data-say], .node");
      if (thing) tell(thing);
    });
    const box = figure.querySelector(".scroll");
    if (box.querySelector("[data-zoom]")) continue;
    box.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const things = all(box, "[data-say]");
      if (!things.length) return;
      const at = on ? things.indexOf(on) + step : step > 0 ? 0 : things.length - 1;
      tell(things[Math.max(0, Math.min(things.length - 1, at))]);
      on.classList.add("on");
      on.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }

  // The graph: the part that is seen moves and grows.
  for (const svg of all(document, "[data-zoom]")) {
    const whole = svg.viewBox.baseVal;
    const full = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
    let view = null;
    const show = () => svg.setAttribute("viewBox", [view.x, view.y, view.width, view.height].join(" "));
    const zoom = (by, at) => {
      const width = Math.min(Math.max(view.width / by, 60), 4 * Math.max(full.width, full.height));
      const scale = width / view.width;
      view.x += (view.width - width) * at.x;
      view.y += view.height * (1 - scale) * at.y;
      view.width = width;
      view.height *= scale;
      show();
    };
    const fit = () => { view = { ...full }; show(); };
    // At first no text is smaller than it can be read: the top of a long graph, not all of it.
    const begin = () => {
      const box = svg.getBoundingClientRect();
      if (!box.width) return fit();
      const whole = Math.min(box.width / full.width, box.height / full.height);
      const scale = whole >= 0.9 ? Math.min(1.15, whole) : Math.min(1, Math.max(0.8, box.width / full.width));
      const width = box.width / scale;
      const height = box.height / scale;
      const middle = width > full.width ? full.x + full.width / 2 : Number(svg.dataset.from);
      view = { x: middle - width / 2, y: full.y - Math.min(Math.max(height - full.height, 0) / 2, 24), width, height };
      show();
    };
    begin();
    new ResizeObserver(begin).observe(svg);
    const move = (x, y) => { view.x += x * view.width; view.y += y * view.height; show(); };
    const buttons = svg.closest(".graphbox").querySelectorAll("[data-zoom-buttons] button");
    for (const button of buttons) {
      button.addEventListener("click", () => {
        const by = Number(button.dataset.by);
        if (by) zoom(by, { x: 0.5, y: 0.5 }); else fit();
      });
    }
    svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = svg.getBoundingClientRect();
      const at = { x: (event.clientX - box.x) / box.width, y: (event.clientY - box.y) / box.height };
      zoom(event.deltaY < 0 ? 1.15 : 1 / 1.15, at);
    }, { passive: false });
    svg.closest(".scroll").addEventListener("keydown", (event) => {
      const by = { ArrowRight: [0.1, 0], ArrowLeft: [-0.1, 0], ArrowDown: [0, 0.1], ArrowUp: [0, -0.1] }[event.key];
      if (by) move(by[0], by[1]);
      else if (event.key === "+" || event.key === "=") zoom(1.25, { x: 0.5, y: 0.5 });
      else if (event.key === "-") zoom(0.8, { x: 0.5, y: 0.5 });
      else if (event.key === "0") fit();
      else return;
      event.preventDefault();
    });
    let from = null;
    let dragged = false;
    svg.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY]; dragged = false; });
    svg.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const box = svg.getBoundingClientRect();
      const by = [from[0] - event.clientX, from[1] - event.clientY];
      if (!dragged && Math.hypot(by[0], by[1]) < 4) return;
      dragged = true;
      const unit = Math.max(view.width / box.width, view.height / box.height);
      view.x += by[0] * unit;
      view.y += by[1] * unit;
      from = [event.clientX, event.clientY];
      show();
    });
    svg.addEventListener("dragstart", (event) => event.preventDefault());
    svg.addEventListener("click", (event) => { if (dragged) event.preventDefault(); from = null; }, true);
  }

  // A link to a kernel: its group is marked, and gets the focus.
  const arrive = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    all(document, ".hit").forEach((group) => group.classList.remove("hit"));
    const group = target && target.closest(".group");
    if (!group) return;
    group.classList.add("hit");
    const tab = group.querySelector("[role=tab][aria-selected=true]");
    if (tab) tab.focus({ preventScroll: true });
  };
  addEventListener("hashchange", arrive);
  arrive();

  // Light or dark: what the system has, until somebody chooses.
  const root = document.documentElement;
  document.querySelector("[data-theme-button]").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
})();
