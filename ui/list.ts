// Lists of cells and runs: filtered as one types, walked by the keyboard, cells chosen across pages.
import { addressOf, afterPause, all, one, PartLoader } from "./dom";

const kChosen = "moecap.chosen";

function chosenCells(): Set<string> {
  try {
    return new Set(JSON.parse(sessionStorage.getItem(kChosen) ?? "[]") as string[]);
  } catch {
    return new Set();
  }
}

/** The boxes of the list and the tray below it say what is chosen; what is not in view goes along in hidden fields. */
class Chooser {
  private readonly chosen = chosenCells();

  constructor(private readonly tray: HTMLFormElement) {
    document.addEventListener("change", (event) => {
      const box = event.target as HTMLInputElement;
      if (box.name !== "cell" || box.type !== "checkbox") return;
      box.checked ? this.chosen.add(box.value) : this.chosen.delete(box.value);
      this.keep();
    });
    const clear = document.createElement("button");
    clear.type = "button";
    clear.textContent = "Clear";
    clear.addEventListener("click", () => {
      this.chosen.clear();
      this.keep();
    });
    tray.append(clear);
    this.keep();
  }

  keep(): void {
    sessionStorage.setItem(kChosen, JSON.stringify([...this.chosen]));
    const inView = new Set<string>();
    for (const box of all<HTMLInputElement>("input[type=checkbox][name=cell]")) {
      box.checked = this.chosen.has(box.value);
      inView.add(box.value);
    }
    for (const field of all("input[type=hidden]", this.tray)) field.remove();
    for (const cell of this.chosen) {
      if (inView.has(cell)) continue;
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "cell";
      field.value = cell;
      this.tray.append(field);
    }
    const count = this.chosen.size;
    const words = one("#chosen", this.tray);
    if (words) words.textContent = count === 0 ? "Choose cells to compare them." : `${count} chosen`;
    for (const button of all<HTMLButtonElement>("button", this.tray)) button.disabled = count === 0;
  }
}

/** j and k walk the rows, x chooses one, Enter opens it, / goes to the filter. */
function walkRows(): void {
  let at = -1;
  const rows = () => all<HTMLTableRowElement>(".board tbody tr");
  const go = (to: number) => {
    const list = rows();
    if (list.length === 0) return;
    at = Math.max(0, Math.min(to, list.length - 1));
    for (const row of list) row.classList.remove("at");
    const row = list[at]!;
    row.classList.add("at");
    row.scrollIntoView({ block: "nearest" });
    one<HTMLInputElement>("input", row)?.focus({ preventScroll: true });
  };
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    const types = target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && target.type !== "checkbox");
    if (types || event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows()[at];
    if (event.key === "j") go(at + 1);
    else if (event.key === "k") go(at - 1);
    else if (event.key === "x" && row) one<HTMLInputElement>("input[name=cell]", row)?.click();
    else if (event.key === "Enter" && row && target instanceof HTMLInputElement) one<HTMLAnchorElement>("a", row)?.click();
    else if (event.key === "/") one<HTMLInputElement>("#filters input[type=search]")?.focus();
    else return;
    event.preventDefault();
  });
}

export function startList(form: HTMLFormElement, tray: HTMLFormElement): void {
  const chooser = new Chooser(tray);
  const loader = new PartLoader("#list", () => chooser.keep());
  const update = afterPause(180, () => void loader.show(addressOf(form)));
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    update();
  });
  // Sorting and paging stay in the page, too.
  document.addEventListener("click", (event) => {
    const link = (event.target as Element).closest<HTMLAnchorElement>("#list thead a, #list .pager a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    void loader.show(link.getAttribute("href")!).then(() => {
      const sort = new URLSearchParams(location.search).get("sort");
      const field = one<HTMLSelectElement>("select[name=sort]", form);
      if (field && sort) field.value = sort;
      if (link.closest(".pager")) window.scrollTo(0, 0);
    });
  });
  walkRows();
}
