// Filter, order, walk and copy. Everything is on the page without this script, and nothing is fetched.
(() => {
  "use strict";
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  root.classList.add("js");

  // --- copy ---
  async function put(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea"); // where the clipboard is refused: plain http, sandboxed frames
      area.value = text;
      area.readOnly = true;
      document.body.append(area);
      area.select();
      let copied = false;
      try { copied = document.execCommand("copy"); } catch { /* then by hand */ }
      area.remove();
      return copied;
    }
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const block = button.closest(".code") ?? button.closest(".bar-of-code").nextElementSibling;
    const code = block.querySelector(button.dataset.part ? "." + button.dataset.part : "code");
    const label = button.textContent;
    const copied = await put(code.textContent.replace(/\n$/, ""));
    if (!copied) getSelection().selectAllChildren(code);
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
    button.classList.toggle("done", copied);
    button.focus({ preventScroll: true });
    setTimeout(() => { button.textContent = label; button.classList.remove("done"); }, 1600);
  });

  // --- long reports: to a browser with scripts the text in <noscript> is no part of the page until it is unfolded and seen ---
  function fill(details) {
    const held = details.querySelector(":scope > noscript");
    if (!held) return;
    const made = document.createElement("template");
    made.innerHTML = held.textContent; // as the report was written: what came from the database is escaped in it
    held.replaceWith(made.content);
  }
  const seen = new IntersectionObserver((changes) => {
    for (const { isIntersecting, target } of changes) if (isIntersecting) { fill(target); seen.unobserve(target); }
  }, { rootMargin: "800px 0px" });
  document.addEventListener("toggle", ({ target }) => {
    if (target.open && target.querySelector(":scope > noscript")) seen.observe(target);
  }, true);
  const named = { "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'", "&amp;": "&" };
  function textOf(article) {
    const held = article.querySelector("noscript");
    const hidden = held ? held.textContent.replace(/<[^>]*>/g, "").replace(/&[a-z#0-9]+;/g, (entity) => named[entity] ?? entity) : "";
    const shown = [...article.children].map((child) => (held && child.contains(held) ? "" : child.textContent)).join("\n");
    return (shown + "\n" + (held ? hidden : "")).toLowerCase();
  }

  // --- paper: everything unfolded, then as it was ---
  let unfolded = [];
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.more")) fill(details);
    unfolded = [...document.querySelectorAll("details:not([open])")];
    for (const details of unfolded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
    unfolded = [];
  });

  // --- findings ---
  const form = $("filter");
  const entries = [...document.querySelectorAll(".finding")].map((article, harm) => {
    const { severity, family, schema, status, rows, table, check } = article.dataset;
    return { article, item: article.parentElement, harm, severity, family, schema, status, rows: +rows, table, check, text: null, shown: true };
  });
  const lists = [...document.querySelectorAll(".findings")];
  const groups = [...document.querySelectorAll("#accepted > details")];
  const orders = {
    "": (a, b) => a.harm - b.harm,
    rows: (a, b) => b.rows - a.rows || a.harm - b.harm,
    table: (a, b) => (a.table < b.table ? -1 : a.table > b.table ? 1 : a.harm - b.harm),
    check: (a, b) => (a.check < b.check ? -1 : a.check > b.check ? 1 : a.harm - b.harm),
  };
  let order = "";
  let walk = entries; // in the order of the page

  function reveal() {
    const target = location.hash.startsWith("#?") ? null : $(decoded(location.hash.slice(1)));
    if (!target) return;
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target.matches(".finding")) {
      if (target.parentElement.hidden && form) { form.reset(); apply(); }
      target.querySelector(".more").open = true;
    }
    target.scrollIntoView();
    if (target.matches(".finding")) target.focus({ preventScroll: true });
  }
  function decoded(text) {
    try { return decodeURIComponent(text); } catch { return text; }
  }
  if (!form) {
    addEventListener("hashchange", reveal);
    reveal();
    return;
  }
  form.hidden = false;
  const { q, family, schema, status, sort } = form.elements;
  const boxes = [...form.querySelectorAll("[name=severity]")];

  function matches(entry, severities, words) {
    if (severities.size && !severities.has(entry.severity)) return false;
    if (family.value && entry.family !== family.value) return false;
    if (schema.value && entry.schema !== schema.value) return false;
    if (status.value && entry.status !== status.value) return false;
    if (!words.length) return true;
    entry.text ??= textOf(entry.article);
    return words.every((word) => entry.text.includes(word));
  }
  function arrange() {
    if (order === sort.value) return;
    order = sort.value;
    const sorted = [...entries].sort(orders[order]);
    for (const list of lists) list.replaceChildren(...sorted.filter((entry) => entry.item.parentElement === list).map((entry) => entry.item));
    walk = lists.flatMap((list) => sorted.filter((entry) => entry.item.parentElement === list));
  }
  function apply() {
    const severities = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const entry of entries) {
      entry.shown = matches(entry, severities, words);
      count += entry.shown;
      if (entry.item.hidden === entry.shown) entry.item.hidden = !entry.shown;
    }
    arrange();
    const narrowed = severities.size || words.length || family.value || schema.value || status.value;
    for (const group of groups) if (status.value && group.querySelector(`[data-status="${status.value}"]`)) group.open = true;
    const all = entries.length.toLocaleString("en");
    $("result").textContent = narrowed ? `${count.toLocaleString("en")} of ${all} findings` : `${all} finding${entries.length === 1 ? "" : "s"}`;
    $("clear").disabled = !narrowed && !sort.value;
  }
  function store() {
    const state = new URLSearchParams();
    for (const box of boxes) if (box.checked) state.append("severity", box.value);
    for (const [name, control] of Object.entries({ family, schema, status, sort, q })) if (control.value) state.set(name, control.value);
    const text = state.toString();
    try {
      history.replaceState(null, "", text ? "#?" + text : location.pathname + location.search);
    } catch { /* some viewers refuse; the filter works all the same */ }
  }
  function restore() {
    if (location.hash.startsWith("#?")) {
      const state = new URLSearchParams(location.hash.slice(2));
      const chosen = new Set(state.getAll("severity"));
      for (const box of boxes) box.checked = chosen.has(box.value);
      for (const [name, control] of Object.entries({ family, schema, status, sort, q })) {
        control.value = state.get(name) ?? "";
        if (control.selectedIndex === -1) control.value = ""; // a value this report does not have
      }
    }
    apply();
  }
  let pending = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(pending);
    pending = setTimeout(() => { apply(); store(); }, event.target === q ? 120 : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", () => { form.reset(); apply(); store(); q.focus(); });

  const fold = $("fold");
  const folds = entries.map((entry) => entry.article.querySelector(".more"));
  let open = folds.length > 0 && folds.every((details) => details.open);
  const label = () => { fold.textContent = open ? "Fold all" : "Unfold all"; };
  label();
  fold.addEventListener("click", () => {
    open = !open;
    for (const details of folds) details.open = open;
    label();
  });

  // --- keyboard ---
  function step(by) {
    const visible = walk.filter((entry) => entry.shown && (!entry.item.closest("details") || entry.item.closest("details").open));
    if (!visible.length) return;
    const article = document.activeElement.closest?.(".finding");
    let at = visible.findIndex((entry) => entry.article === article);
    if (at < 0) {
      // nobody has the focus: from what the eye sees
      at = visible.findIndex((entry) => entry.article.getBoundingClientRect().bottom > 1);
      if (by > 0) at -= 1;
    }
    const next = visible[Math.max(0, Math.min(visible.length - 1, at + by))].article;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start", behavior: "instant" });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key === "Escape" && event.target === q) {
      if (q.value) { q.value = ""; apply(); store(); } else q.blur();
      event.preventDefault();
    } else if (typing) {
      return;
    } else if (event.key === "/") {
      event.preventDefault();
      q.focus();
      q.select();
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    } else if (event.key === "o") {
      const details = document.activeElement.closest?.(".finding")?.querySelector(".more");
      if (details) details.open = !details.open;
    }
  });

  addEventListener("hashchange", () => { if (location.hash.startsWith("#?") || !location.hash) { if (!location.hash) form.reset(); restore(); } else reveal(); });
  restore();
  reveal();
})();
