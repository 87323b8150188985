// A box that scrolls must be reachable by keyboard: mark those that do, also where a
// solution or a cell has been opened.
(() => {
  const boxes =
    ".bd-article :is(pre, .pst-scrollable-table-container, .cell_output > *, .output)";
  const mark = () => {
    for (const box of document.querySelectorAll(boxes)) {
      if (box.scrollWidth > box.clientWidth + 1 && box.tabIndex < 0) box.tabIndex = 0;
    }
  };
  addEventListener("load", mark);
  addEventListener("resize", mark);
  addEventListener("click", () => requestAnimationFrame(mark));
  addEventListener("toggle", mark, true);
})();

// Paper is light: while a page is printed, the dark theme steps back.
(() => {
  const root = document.documentElement;
  let before = "";
  const print = (begins) => {
    if (begins && !before) {
      before = root.dataset.theme;
      root.dataset.theme = "light";
    } else if (!begins && before) {
      root.dataset.theme = before;
      before = "";
    }
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
})();
