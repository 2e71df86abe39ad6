/** Reads the text that Prometheus reads, as far as tests ask. @module */

export interface Samples {
  /** Of all samples of this name that have these labels. */
  sum(name: string, labels: Readonly<Record<string, string>>): number;
  readonly names: ReadonlySet<string>;
}

export function readSamples(text: string): Samples {
  const samples = text.split("\n").flatMap((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) return [];
    const pairs = [...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    const labels = new Map(pairs.map(([, key, value]) => [key!, value!]));
    return [{ name: match[1]!, labels, value: Number(match[3]) }];
  });
  return {
    sum: (name, labels) =>
      samples.filter((sample) =>
        sample.name === name &&
        Object.entries(labels).every(([key, value]) => sample.labels.get(key) === value)
      ).reduce((sum, { value }) => sum + value, 0),
    names: new Set(samples.map(({ name }) => name)),
  };
}
