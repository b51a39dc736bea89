// Brings files to the server one by one, then has them imported together.
import { one } from "./dom";

const kToken = "moecap.token";

/** The token comes in the part of the address that is never sent, or is typed; it stays in this tab. */
export function takeToken(): void {
  const match = /^#token=([0-9a-f]+)$/.exec(location.hash);
  if (!match) return;
  sessionStorage.setItem(kToken, match[1]!);
  history.replaceState(null, "", location.pathname + location.search);
}

interface Brought {
  path: string;
  file: File;
}

function safePath(path: string): string {
  return path
    .split("/")
    .map((part) => part.replace(/[^A-Za-z0-9._+-]/g, "_").replace(/^\.+/, "_"))
    .join("/");
}

async function entriesOf(entry: FileSystemEntry, into: Brought[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    into.push({ path: safePath(entry.fullPath.slice(1)), file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (some.length === 0) return;
    for (const each of some) await entriesOf(each, into);
  }
}

interface Imported {
  error?: string;
  runs?: { run_id: string; page: string; was_there: boolean }[];
}

class Importer {
  private readonly said = one<HTMLElement>("#said")!;
  private readonly token: HTMLInputElement;

  constructor(form: HTMLFormElement) {
    this.token = one<HTMLInputElement>("input[name=token]", form)!;
    this.token.value = sessionStorage.getItem(kToken) ?? "";
    this.token.addEventListener("input", () => sessionStorage.setItem(kToken, this.token.value));
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  private async send(method: string, address: string, body?: Blob): Promise<Imported> {
    const response = await fetch(address, { method, body, headers: { authorization: `Bearer ${this.token.value}` } });
    const text = await response.text();
    if (response.headers.get("content-type")?.startsWith("application/json")) return JSON.parse(text) as Imported;
    return response.ok ? {} : { error: text };
  }

  async bring(files: Brought[]): Promise<void> {
    const name = `web-${Date.now().toString(36)}`;
    for (const [done, { path, file }] of files.entries()) {
      this.said.textContent = `${done + 1} of ${files.length}: ${path}`;
      const sent = await this.send("PUT", `/api/imports/${name}/${path.split("/").map(encodeURIComponent).join("/")}`, file);
      if (sent.error) return this.say(sent.error);
    }
    this.said.textContent = "Reading the facts …";
    const imported = await this.send("POST", `/api/imports/${name}`);
    if (imported.error) return this.say(imported.error);
    this.said.replaceChildren();
    for (const run of imported.runs ?? []) {
      const link = document.createElement("a");
      link.href = run.page;
      link.textContent = run.run_id;
      this.said.append(link, run.was_there ? " was there already. " : " is imported. ");
    }
  }

  private say(error: string): void {
    this.said.textContent = error;
    this.said.classList.add("failed");
  }
}

export function startImport(form: HTMLFormElement): void {
  const importer = new Importer(form);
  form.addEventListener("change", (event) => {
    const field = event.target as HTMLInputElement;
    if (field.type !== "file" || !field.files) return;
    void importer.bring([...field.files].map((file) => ({ path: safePath(file.webkitRelativePath || file.name), file })));
  });
  const drop = one<HTMLElement>(".drop", form)!;
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over-it");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over-it"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over-it");
    const entries = [...(event.dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry());
    void (async () => {
      const files: Brought[] = [];
      for (const entry of entries) if (entry) await entriesOf(entry, files);
      await importer.bring(files);
    })();
  });
}
