// A box that scrolls must be reachable by keyboard: mark those that do.
(() => {
  const boxes =
    ".bd-article :is(pre, .pst-scrollable-table-container, .cell_output > *, .output)";
  const mark = () => {
    for (const box of document.querySelectorAll(boxes)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1;
      if (scrolls && !box.hasAttribute("tabindex")) box.setAttribute("tabindex", "0");
    }
  };
  addEventListener("load", mark);
  addEventListener("resize", mark);
})();
