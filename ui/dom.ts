// Small words for what every part does with the page.

export function one<T extends Element>(selector: string, within: ParentNode = document): T | null {
  return within.querySelector<T>(selector);
}

export function all<T extends Element>(selector: string, within: ParentNode = document): T[] {
  return [...within.querySelectorAll<T>(selector)];
}

/** Calls `act` when nothing was asked for `ms` milliseconds. */
export function afterPause(ms: number, act: () => void): () => void {
  let timer = 0;
  return () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(act, ms);
  };
}

/** The address of a form's current state; what is empty is left out. */
export function addressOf(form: HTMLFormElement): string {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value !== "") query.append(name, value);
  }
  const text = query.toString();
  return form.getAttribute("action") + (text ? "?" + text : "");
}

/**
 * Loads other states of this page and puts a part of them in place of what is shown. The last one asked for wins; the address
 * bar follows, so that every state is a link.
 */
export class PartLoader {
  private last: AbortController | null = null;

  constructor(private readonly selector: string, private readonly onShown: () => void) {}

  async show(address: string): Promise<void> {
    this.last?.abort();
    const mine = (this.last = new AbortController());
    const shown = one(this.selector);
    shown?.classList.add("busy");
    try {
      const response = await fetch(address, { signal: mine.signal });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const part = one(this.selector, page) ?? one("main", page);
      if (mine.signal.aborted || !part || !shown) return;
      shown.replaceChildren(...part.childNodes);
      history.replaceState(null, "", address);
      this.onShown();
    } catch (error) {
      if (!mine.signal.aborted && shown) shown.textContent = `The server does not answer: ${String(error)}`;
    } finally {
      if (this.last === mine) shown?.classList.remove("busy");
    }
  }
}
