// The planner's form: a slider beside each number, and the answer anew as they move.
import { addressOf, afterPause, all, one, PartLoader } from "./dom";

const kSteps = 1000;

/** Numbers that span several powers of ten move on a logarithmic scale; a share does not. */
class Scale {
  constructor(private readonly low: number, private readonly high: number) {}
  private get logarithmic(): boolean {
    return this.low > 0;
  }
  at(step: number): number {
    const share = step / kSteps;
    if (!this.logarithmic) return this.low + share * (this.high - this.low);
    return this.low * Math.pow(this.high / this.low, share);
  }
  stepOf(value: number): number {
    const bounded = Math.min(this.high, Math.max(this.low, value));
    const share = this.logarithmic
      ? Math.log(bounded / this.low) / Math.log(this.high / this.low)
      : (bounded - this.low) / (this.high - this.low);
    return Math.round(share * kSteps);
  }
}

const kFactors: Record<string, number> = { ms: 1e-3, s: 1, min: 60, k: 1e3, M: 1e6, "%": 1e-2, "": 1 };

/** "50ms", "20k", "0.5"; null for what is no such number. */
export function parseAmount(text: string): number | null {
  const match = /^\s*([0-9.eE+-]+)\s*(ms|s|min|k|M|%|)\s*$/.exec(text);
  const number = match ? Number(match[1]) * (kFactors[match[2] ?? ""] ?? NaN) : NaN;
  return Number.isFinite(number) ? number : null;
}

function rounded(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

function addSlider(label: HTMLLabelElement): void {
  const field = one<HTMLInputElement>("input", label)!;
  const scale = new Scale(Number(label.dataset.low), Number(label.dataset.high));
  const slider = document.createElement("input");
  slider.type = "range";
  slider.max = String(kSteps);
  slider.setAttribute("aria-label", `${field.name}, slider`);
  const follow = () => {
    const value = parseAmount(field.value || field.placeholder);
    slider.value = String(value === null ? kSteps : scale.stepOf(value));
    slider.setAttribute("aria-valuetext", field.value || field.placeholder);
  };
  slider.addEventListener("input", (event) => {
    event.stopPropagation();
    const whole = Number(label.dataset.low) >= 1;
    field.value = whole ? String(Math.round(Number(rounded(scale.at(Number(slider.value)))))) : rounded(scale.at(Number(slider.value)));
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  field.addEventListener("input", follow);
  label.insertBefore(slider, one("small", label));
  follow();
}

export function startPlan(form: HTMLFormElement): void {
  for (const label of all<HTMLLabelElement>("label.slide", form)) addSlider(label);
  const loader = new PartLoader("#answer", () => {});
  const update = afterPause(150, () => void loader.show(addressOf(form)));
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    update();
  });
  one<HTMLSelectElement>("select[name=scenario]", form)?.addEventListener("change", () => {
    // Its own numbers stand where the fields are empty.
    for (const field of all<HTMLInputElement>("label.slide input:not([type=range])", form)) field.value = "";
    location.assign(addressOf(form));
  });
}
