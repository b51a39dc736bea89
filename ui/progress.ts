// Runs that are being measured, asked each second while somebody looks.
import { all } from "./dom";

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
  for (const box of all<HTMLElement>("[data-progress]")) void follow(box);
}
