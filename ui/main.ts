// What the pages do beyond links and forms; each of them works without, too.
import { all, one } from "./dom";
import { startImport, takeToken } from "./import";
import { startList } from "./list";
import { startPlan } from "./plan";
import { startProgress } from "./progress";

document.documentElement.classList.add("scripted");
takeToken();
startProgress();

const filters = one<HTMLFormElement>("#filters");
const tray = one<HTMLFormElement>("#compare");
if (filters && tray) startList(filters, tray);

const plan = one<HTMLFormElement>("#plan");
if (plan) startPlan(plan);

const bring = one<HTMLFormElement>("#import");
if (bring) startImport(bring);

// A menu closes like one.
document.addEventListener("click", (event) => {
  for (const menu of all<HTMLDetailsElement>("details.menu[open]")) if (!menu.contains(event.target as Node)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const menu of all<HTMLDetailsElement>("details.menu[open]")) menu.open = false;
});
