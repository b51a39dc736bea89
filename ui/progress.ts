// Runs that are being measured and servers that are watched, kept up to date by the server's events; where none arrive (a proxy
// holds them back, too many follow), asked for.
import { all, one } from "./dom";

interface Progress {
  run_id: string;
  running: boolean;
  html: string;
}

const kPatienceMs = 5000; // for the first event
const kPollMs = 2000;

function elementOf(html: string): HTMLElement {
  return new DOMParser().parseFromString(html, "text/html").body.firstElementChild as HTMLElement;
}

/** In place of the box of that run; a page that lists what runs gets a new one. */
function showProgress(progress: Progress): void {
  const shown = all<HTMLElement>("[data-run]").find((box) => box.dataset.run === progress.run_id);
  if (shown) shown.replaceWith(elementOf(progress.html));
  else if (progress.running) one("#running")?.append(elementOf(progress.html));
  sayWhetherNothing();
}

/** What the reader has opened stays as it is. */
function showWatches(html: string): void {
  const shown = one("#watches");
  if (!shown || one("details[open]", shown)) return;
  shown.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  sayWhetherNothing();
}

function sayWhetherNothing(): void {
  const nothing = one<HTMLElement>("#nothing");
  if (nothing) nothing.hidden = one(".live") !== null;
}

/** The page itself has all boxes as they are now. */
async function poll(): Promise<void> {
  const response = await fetch(location.href).catch(() => null);
  if (!response?.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = new Map(all<HTMLElement>("[data-run]", page).map((box) => [box.dataset.run!, box]));
  for (const box of all<HTMLElement>("[data-run]")) {
    const now = fresh.get(box.dataset.run!);
    now ? box.replaceWith(now) : box.remove();
    fresh.delete(box.dataset.run!);
  }
  one("#running")?.append(...fresh.values());
  showWatches(one("#watches", page)?.innerHTML ?? "");
  sayWhetherNothing();
}

/** Follows while somebody looks: a browser opens few connections to a server, and a page in the background needs none. */
class Follower {
  private source: EventSource | null = null;
  private patience = 0;
  private polling = 0;

  constructor(private readonly address: string) {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.start()));
    if (!document.hidden) this.start();
  }

  private start(): void {
    this.stop();
    const source = (this.source = new EventSource(this.address));
    this.patience = window.setTimeout(() => this.ask(), kPatienceMs);
    source.addEventListener("hello", () => window.clearTimeout(this.patience));
    source.addEventListener("progress", (event) => showProgress(JSON.parse(event.data as string) as Progress));
    source.addEventListener("watches", (event) => showWatches((JSON.parse(event.data as string) as { html: string }).html));
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) this.ask();
    });
  }

  private ask(): void {
    this.stop();
    this.polling = window.setInterval(() => void poll(), kPollMs);
  }

  private stop(): void {
    this.source?.close();
    this.source = null;
    window.clearTimeout(this.patience);
    window.clearInterval(this.polling);
  }
}

export function startProgress(): void {
  if (one("#watches")) new Follower("/api/events?watches=1");
  else if (one("#running, [data-run]")) new Follower("/api/events");
}
