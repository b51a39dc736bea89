// Runs that are being measured, asked each second while somebody looks.
import { all, one, PartLoader } from "./dom";

interface Progress {
  running: boolean;
  html: string;
}

async function follow(box: HTMLElement): Promise<void> {
  let shown = box;
  for (;;) {
    await new Promise((done) => window.setTimeout(done, 1000));
    if (document.hidden) continue;
    const response = await fetch(shown.dataset.progress!).catch(() => null);
    if (!response?.ok) continue;
    const progress = (await response.json()) as Progress;
    const fresh = new DOMParser().parseFromString(progress.html, "text/html").body.firstElementChild as HTMLElement;
    shown.replaceWith(fresh);
    shown = fresh;
    if (!progress.running) return;
  }
}

export function startProgress(): void {
  if (one("#watches")) return startWatches();
  for (const box of all<HTMLElement>("[data-progress]")) void follow(box);
}

/** The page of what is live is asked for as a whole; what the reader has opened stays open until something new is there. */
function startWatches(): void {
  const loader = new PartLoader("#watches", () => {});
  window.setInterval(() => {
    if (!document.hidden && !one("#watches details[open]")) void loader.show(location.pathname);
  }, 2000);
}
